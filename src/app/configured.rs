//! `config`, and the commands that print what is known without looking anywhere: `completions` and `man`.

use super::{addresses, wire};
use crate::cli::ConfigCommand;
use crate::config::{Config, Mistake, Mistakes, Mode, Need, Shown, Sources};
use crate::exit::{Exit, ExitExt, line};
use crate::io::out;
use eyre::Result;
use serde_json::json;

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// # Errors
/// Exit code 3 with every mistake; 5 when the chain was to be looked at and the node does not answer.
pub async fn config(sources: &Sources, what: &ConfigCommand, json: bool) -> Result<()> {
    match what {
        ConfigCommand::Example => raw(EXAMPLE),
        ConfigCommand::Show { sources: with_sources } => show(sources, *with_sources, json),
        ConfigCommand::Check { online } => check(sources, *online, json).await,
    }
}

/// Text as it is, without a line's end of our own.
///
/// # Errors
/// When standard output cannot be written.
pub fn raw(text: &str) -> Result<()> {
    out::line(text.trim_end())
}

fn show(sources: &Sources, with_sources: bool, json: bool) -> Result<()> {
    let all = Config::shown(sources)?;
    if json {
        let values = all
            .iter()
            .map(|one| json!({ "key": one.key, "value": one.value, "source": one.place.to_string() }));
        return out::json(&json!({ "v": 1, "values": values.collect::<Vec<_>>() }));
    }
    let lines: Vec<String> = all.iter().map(Shown::line).collect();
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(60);
    for (line, one) in lines.iter().zip(&all) {
        if with_sources {
            out::line(&format!("{line:<width$}  # {}", one.place))?;
        } else {
            out::line(line)?;
        }
    }
    Ok(())
}

async fn check(sources: &Sources, online: bool, json: bool) -> Result<()> {
    let config = Config::load(sources)?;
    let need = if config.mode == Mode::Live { Need::Live } else { Need::Written };
    let mut all: Vec<Mistake> = Vec::new();
    if let Err(mistakes) = config.require(need) {
        all.extend(mistakes.iter().cloned());
    }
    if online && let Err(error) = look(&config).await {
        match error.downcast_ref::<Mistakes>() {
            Some(mistakes) => all.extend(mistakes.iter().cloned()),
            None if all.is_empty() => return Err(error),
            None => out::aside(&format!("not looked at on the chain: {}", line(&error))),
        }
    }
    if !all.is_empty() {
        return Err(Mistakes::new(all).into());
    }
    let file = config.origins.file.as_ref().map(|path| path.display().to_string());
    if json {
        return out::json(&json!({ "v": 1, "file": file, "market": config.market.name, "online": online }));
    }
    out::line(&format!(
        "no mistakes in {} (market {}{})",
        file.as_deref().unwrap_or("the environment and flags: there is no file"),
        config.market.name,
        if online { ", looked at on the chain" } else { "" }
    ))
}

/// The chain's id, and the code at every configured address.
async fn look(config: &Config) -> Result<()> {
    let rpc = wire::connect(config).await?;
    let head = rpc.block("latest").await.exit(Exit::Network)?;
    addresses::check(config, Need::Route, &rpc, head).await.map(drop)
}
