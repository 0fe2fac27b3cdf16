//! `demo --stay`: the chains of the demonstration without its keeper, and a configuration for them, for somebody who
//! wants to try the commands. Ether falls when told to.

use super::{BEFORE, Stage, fall};
use crate::bed::Fork;
use crate::io::{out, person};
use eyre::{Result, WrapErr};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

/// What one ether is worth when it begins, in dollars, and what is left of that after each further fall, in percent.
const AT_FIRST: u64 = 1_900;
const LEFT: u64 = 97;

/// # Errors
/// When the chain fails, or the configuration cannot be written.
pub(super) async fn stay(stage: &Stage, fork: &Fork, market: &str, folder: &Path) -> Result<()> {
    let mut dollars = AT_FIRST;
    stage.act(3, &format!("ether falls from ${BEFORE} to ${dollars}, and no keeper is there")).await?;
    fall(fork, dollars).await?;
    let config = folder.join("backstop.toml");
    std::fs::write(&config, fork.config_toml(market, &folder.join("data"), "dry-run")?)
        .wrap_err_with(|| format!("writing {}", config.display()))?;
    if stage.json {
        out::json(&serde_json::json!({ "v": 1, "config": config, "market": market, "rpc": fork.http() }))?;
    }
    stage.tell("")?;
    stage.tell(&format!("cd {}", folder.display()))?;
    stage.tell(&format!(
        "has a backstop.toml for the market {market} of chain B; try `backstop doctor` there"
    ))?;
    stage.tell("Enter: ether falls by 3 %. Ctrl-C: both chains end, and the folder goes")?;
    let mut wishes = person::enters()?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            Some(()) = wishes.recv() => {
                let before = dollars;
                dollars = before.saturating_mul(LEFT) / 100;
                fall(fork, dollars).await?;
                let block = fork.chain.block_number().await?;
                stage.tell(&format!("ether ${before} -> ${dollars} in block {block}"))?;
            }
        }
    }
}
