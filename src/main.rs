//! Arguments to configuration to command; one error chain; one exit code.

use backstop::app::{self, demo, deploy, history, pause, positions, run, scan, sweep, wallet};
use backstop::cli::{Cli, Command};
use backstop::config::Config;
use backstop::exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match command(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => exit::print(&report),
    }
}

fn command(cli: &Cli) -> eyre::Result<()> {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Command::Demo(arguments) = &cli.command {
        return runtime.block_on(demo::demo(arguments, cli.json));
    }
    if let Command::Wallet(arguments) = &cli.command {
        return wallet::wallet(&cli.sources(), arguments, cli.json);
    }
    let config = Config::load(&cli.sources())?;
    if let Some(need) = cli.command.need(config.mode) {
        config.require(need)?;
    }
    app::log::start(&config.log);
    runtime.block_on(async {
        match &cli.command {
            Command::Positions(arguments) => positions::positions(&config, arguments, cli.json).await,
            Command::Scan(arguments) => scan::scan(&config, arguments, cli.json).await,
            Command::Run(arguments) => run::run(&config, arguments, cli.json).await,
            Command::Deploy(arguments) => deploy::deploy(&config, arguments, cli.json).await,
            Command::History(arguments) => history::history(&config, arguments, cli.json),
            Command::Pause(arguments) => pause::pause(&config, arguments, cli.json),
            Command::Resume => pause::resume(&config, cli.json),
            Command::Sweep(arguments) => sweep::sweep(&config, arguments, cli.json).await,
            Command::Demo(arguments) => demo::demo(arguments, cli.json).await,
            Command::Wallet(arguments) => wallet::wallet(&cli.sources(), arguments, cli.json),
        }
    })
}
