//! `doctor`: is everything in order, and what to do where it is not. One file a part; a part that fails does not hide
//! those that can still be looked at. Nothing is signed, sent or written.

mod executor;
mod journal;
mod lists;
mod market;
mod node;
mod report;
mod routes;
mod wallet;

use super::log;
use crate::config::{Config, Mode, Place, Sources};
use crate::exit::Exit;
use eyre::Result;
use report::Report;

/// # Errors
/// When something fails: tagged with the exit code of the first that does.
pub async fn doctor(sources: &Sources, json: bool) -> Result<()> {
    let mut report = Report::default();
    match Config::load(sources) {
        Ok(config) => {
            log::start(&config.log);
            look(&config, &mut report).await;
        }
        Err(mistakes) => {
            for mistake in mistakes.iter() {
                report.fail("config", Exit::Configuration, mistake.to_string(), "");
            }
            report.advise("`backstop config example` explains every key");
            for part in ["rpc", "market", "wallet", "executor", "routes", "journal"] {
                report.skip(part, "the configuration cannot be read");
            }
        }
    }
    report.tell(json)
}

async fn look(config: &Config, report: &mut Report) {
    report.ok("config", origin(config));
    let node = node::look(config, report).await;
    let market = match &node {
        Some(node) => market::look(config, node, report).await,
        None => {
            report.skip("market", "the node cannot be asked");
            None
        }
    };
    let key = wallet::look(config, node.as_ref(), report).await;
    executor::look(config, node.as_ref(), market.as_ref(), key, report).await;
    routes::look(config, node.as_ref(), market.as_ref(), report).await;
    journal::look(config, key, report);
}

fn origin(config: &Config) -> String {
    let file = config.origins.file.as_ref().map_or("no file".to_owned(), |path| path.display().to_string());
    let from =
        |wanted: fn(&Place) -> bool| config.origins.places.values().filter(|place| wanted(place)).count();
    let environment = from(|place| matches!(place, Place::Environment(_)));
    let flags = from(|place| matches!(place, Place::Flag(_)));
    let mode = if config.mode == Mode::Live { "live" } else { "dry run" };
    format!("{file}, {environment} values from the environment, {flags} from flags; {mode}")
}
