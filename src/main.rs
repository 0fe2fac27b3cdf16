//! Arguments to configuration to command; one error chain; one exit code.

use backstop::app::{self, demo, deploy, explain, positions, run, scan};
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
            Command::Demo(arguments) => demo::demo(arguments, cli.json).await,
        }
    });
    // A key still being decrypted, or a name still being resolved, holds nobody up.
    runtime.shutdown_background();
    ended
}
