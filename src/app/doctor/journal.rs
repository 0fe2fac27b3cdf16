//! The data directory: can the journal be read, is anything under way, and is a daemon at work.

use super::report::Report;
use crate::config::Config;
use crate::exit::{Exit, line};
use crate::io::datadir::DataDir;
use crate::io::journal::{Errand, Reader};
use crate::io::pause::Pause;
use alloy::primitives::Address;

pub fn look(config: &Config, key: Option<Address>, report: &mut Report) {
    let Some(datadir) = DataDir::there(&config.datadir, config.market.chain_id) else {
        return report.ok("journal", format!("none yet; it will be in {}", config.datadir.display()));
    };
    if let Some(why) = Pause::at(datadir.pause()).reason() {
        let what =
            format!("paused, nothing new is sent: {}", if why.is_empty() { "no reason given" } else { &why });
        report.warn("pause", what, "`backstop resume` lifts it");
    }
    match datadir.holder() {
        Ok(None) => {}
        Ok(Some(holder)) => report.warn(
            "journal.lock",
            format!("a backstop (process {holder}) runs on {}", datadir.path().display()),
            "nothing, if that is your daemon: `run` and `deploy` are refused beside it",
        ),
        Err(error) => {
            report.fail(
                "journal.lock",
                Exit::Configuration,
                line(&error),
                "put the data directory on a local disk",
            );
        }
    }
    let path = datadir.journal();
    let reader = Reader::open(&path).and_then(|reader| match reader {
        Some(reader) => reader.sound().and_then(|()| reader.unfinished()).map(Some),
        None => Ok(None),
    });
    let open = match reader {
        Ok(None) => return report.ok("journal", format!("none yet; it will be {}", path.display())),
        Ok(Some(open)) => open,
        Err(error) => {
            let remedy = "keep the file; what it says above tells how to go on";
            return report.fail("journal", Exit::Configuration, line(&error), remedy);
        }
    };
    report.ok("journal", format!("{}  {} unfinished", path.display(), open.len()));
    for open in open {
        let (nonce, from) = (open.nonce, open.from);
        let (command, what) = match open.errand {
            None => ("run", "a liquidation"),
            Some(Errand::Deploy) => ("deploy", "a deployment"),
            Some(Errand::Sweep) => ("sweep", "a sweep"),
        };
        if key.is_some_and(|key| key != from) {
            report.fail(
                "journal.unfinished",
                Exit::Configuration,
                format!("{what} of another key, {from} (nonce {nonce}), is under way"),
                format!("run `backstop {command}` once with that key, or name another data directory"),
            );
        } else {
            report.warn(
                "journal.unfinished",
                format!("{what} (nonce {nonce}) is under way"),
                format!("`backstop {command}` finishes it"),
            );
        }
    }
}
