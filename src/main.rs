//! Arguments to configuration to command; one error chain; one exit code.

use backstop::app::{
    self, configured, demo, deploy, doctor, explain, history, markets, pause, positions, recording, run,
    scan, sweep, wallet,
};
use backstop::cli::{self, Cli, Command};
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
    match &cli.command {
        Command::Demo(arguments) => return runtime.block_on(demo::demo(arguments, cli.json)),
        Command::Doctor => return runtime.block_on(doctor::doctor(&cli.sources(), cli.json)),
        Command::Markets => return markets::markets(cli.json),
        Command::ReplayFixture(arguments) => return recording::replay_fixture(arguments, cli.json),
        Command::Config { what } => {
            return runtime.block_on(configured::config(&cli.sources(), what, cli.json));
        }
        Command::Completions { shell } => return configured::raw(&cli::completions(*shell)),
        Command::Man { command } => return configured::raw(&cli::man(command.as_deref())?),
        _ => {}
    }
    if let Command::Wallet(arguments) = &cli.command {
        return wallet::wallet(&cli.sources(), arguments, cli.json);
    }
    let config = Config::load(&cli.sources())?;
    if let Some(need) = cli.command.need(config.mode) {
        config.require(need)?;
    }
    app::log::start(&config.log);
    let ended = runtime.block_on(async {
        match &cli.command {
            Command::Positions(arguments) => positions::positions(&config, arguments, cli.json).await,
            Command::Scan(arguments) => scan::scan(&config, arguments, cli.json).await,
            Command::Explain(arguments) => explain::explain(&config, arguments, cli.json).await,
            Command::Run(arguments) => run::run(&config, arguments, cli.json).await,
            Command::Deploy(arguments) => deploy::deploy(&config, arguments, cli.json).await,
            Command::History(arguments) => history::history(&config, arguments, cli.json),
            Command::Pause(arguments) => pause::pause(&config, arguments, cli.json),
            Command::Resume => pause::resume(&config, cli.json),
            Command::Sweep(arguments) => sweep::sweep(&config, arguments, cli.json).await,
            // The others need no configuration and have ended above.
            _ => Ok(()),
        }
    });
    // A key still being decrypted, or a name still being resolved, holds nobody up.
    runtime.shutdown_background();
    ended
}
