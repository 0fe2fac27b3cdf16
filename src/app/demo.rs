//! `demo`: the main job from beginning to end on a local chain with the protocol's own contracts. The keeper in it
//! is this very binary, run as an operator would run it: configuration, keystore, deployed executor, live mode.

#![allow(clippy::disallowed_methods, reason = "a demonstration tells people how long things took")]

mod stay;

use crate::abi::executor::Executor;
use crate::bed::assets::DOLLAR;
use crate::bed::operator::{Custody, Operator, RECEIVER};
use crate::bed::{Bed, Fork, Options};
use crate::cli::{Demo, DemoMarket};
use crate::domain::units::{HealthFactor, Net, Wei};
use crate::exit::{Exit, ExitExt};
use crate::io::journal::{Entry, IntentId, Outcome, Reader};
use crate::io::out;
use alloy::eips::BlockId;
use alloy::primitives::U256;
use alloy::providers::Provider;
use alloy::sol_types::SolEvent;
use eyre::{Result, WrapErr, ensure, eyre};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// What one ether is worth, in dollars: at first, and after each fall. The last is the crash.
const BEFORE: u64 = 2_000;
const FALLS: [u64; 4] = [1_965, 1_935, 1_900, 1_700];
/// Fewer transactions, or fewer liquidations, than this and something is wrong.
const LEAST: usize = 3;
const PATIENCE: Duration = Duration::from_secs(90);
/// When nothing new is won for this long, it is asked whether anything is left.
const QUIET: Duration = Duration::from_secs(1);

/// One transaction of the keeper, as the demo shows it.
#[derive(Debug, Serialize)]
struct Won {
    transaction: String,
    block: u64,
    gas: u64,
    promised_wei: Wei,
    profit_wei: Wei,
    net_wei: Net,
    liquidations: Vec<Liquidation>,
}

#[derive(Debug, Serialize)]
struct Liquidation {
    account: String,
    health_before: HealthFactor,
    health_after: HealthFactor,
    profit_wei: Wei,
}

/// # Errors
/// When a part of it does not work; nothing is left running.
pub async fn demo(arguments: &Demo, json: bool) -> Result<()> {
    let pause = if arguments.fast { Duration::ZERO } else { Duration::from_millis(700) };
    let stage = Stage { json, pause, acts: if arguments.stay { 3 } else { 6 } };
    let market = match arguments.market() {
        DemoMarket::V30 => "v30",
        DemoMarket::V36 => "v36",
    };
    let folder = Folder::new()?;
    let began = Instant::now();
    stage.act(1, "a local chain with the real Aave V3, Uniswap V3 and Chainlink contracts").await?;
    let bed = Bed::build(Options::default(), |line| out::aside(&format!("      {line}"))).await?;
    stage.tell(&format!("chain A at {}, up and filled in {:.1?}", bed.http(), began.elapsed()))?;

    stage.act(2, "a fork of it, which is what the keeper will see").await?;
    let fork = bed.fork().await?;
    stage.tell(&format!("chain B at {}", fork.http()))?;
    if arguments.stay {
        return stay::stay(&stage, &fork, market, &folder.0).await;
    }

    let mut operator = Operator::new(&fork, market, &folder.0, &std::env::current_exe()?, Custody::Keystore)?;
    stage.act(3, "the book: borrowers by health factor").await?;
    let book = operator.run(&["positions", "--below", "1.15", "-q"])?.expect_ok()?;
    book.lines().take(14).try_for_each(|line| stage.tell(line))?;

    stage.act(4, "an operator: keystore, executor contract, live mode").await?;
    operator.enlist(&fork).await?;
    stage.tell(&format!("operator  {}", operator.address))?;
    stage
        .tell(&format!("executor  {}", operator.executor.map_or(String::new(), |found| found.to_string())))?;
    stage.tell(&format!("receiver  {RECEIVER}  (cold: profit goes there, the key keeps nothing)"))?;
    let mut daemon = operator.start(&["run"])?;
    daemon.says("ready", Duration::from_secs(60)).await?;
    stage.tell("the keeper runs and waits")?;

    stage.act(5, "ether falls, first in the pools, then in the oracle; the keeper liquidates").await?;
    let profit_before = fork.balance(RECEIVER, "WETH").await?;
    let mut won = BTreeMap::new();
    for (from, to) in std::iter::once(BEFORE).chain(FALLS).zip(FALLS) {
        fall(&fork, to).await?;
        let fallen = fork.chain.block_number().await?;
        stage.tell(&format!("ether ${from} -> ${to} in block {fallen}"))?;
        watch(&stage, &fork, &operator, &mut won).await?;
    }
    stage.act(6, "nothing is left that pays").await?;
    let won = won.into_values().collect::<Vec<_>>();
    let status = daemon.stop()?;
    ensure!(status.success(), "the keeper ended with {status}");
    let profit = fork.balance(RECEIVER, "WETH").await?.saturating_sub(profit_before);
    conclude(&stage, &won, Wei(profit), began)
}

/// Lets ether fall to this many dollars, as a crash does: the market first.
async fn fall(fork: &Fork, dollars_now: u64) -> Result<()> {
    let prices = fork.manifest.tokens.keys().cloned().collect::<Vec<_>>();
    let mut dollars = BTreeMap::new();
    for symbol in prices {
        let price =
            if symbol == "WETH" { dollars_now.saturating_mul(DOLLAR) } else { fork.price(&symbol).await? };
        dollars.insert(symbol, price);
    }
    for pool in fork.manifest.uniswap.pools.iter().filter(|pool| !pool.thin) {
        let [a, b] = &pool.tokens;
        if a != "WETH" && b != "WETH" {
            continue;
        }
        let price = |symbol: &String| dollars.get(symbol).copied().unwrap_or_default();
        fork.move_pool_price((a, price(a)), (b, price(b)), pool.fee).await?;
    }
    fork.set_price("WETH", dollars_now.saturating_mul(DOLLAR)).await
}

/// Follows the keeper's journal until nothing is left that pays.
async fn watch(
    stage: &Stage,
    fork: &Fork,
    operator: &Operator,
    won: &mut BTreeMap<IntentId, Won>,
) -> Result<()> {
    let path = operator.journal(fork.manifest.chain_id);
    let began = Instant::now();
    let mut last = Instant::now();
    loop {
        // Asked before the journal is read: what was won in between is told then.
        let is_over = last.elapsed() > QUIET && nothing_left(operator, &path)?;
        let entries = match Reader::open(&path)? {
            Some(reader) => reader.history(1_000)?,
            None => vec![],
        };
        for entry in entries.into_iter().rev() {
            let id = entry.id;
            if won.contains_key(&id) || !is_won(&entry) {
                continue;
            }
            let one = look(fork, operator, &entry).await?;
            stage.tell(&format!("block {}  {}  gas {}", one.block, one.transaction, one.gas))?;
            for taken in &one.liquidations {
                stage.tell(&format!(
                    "    {}  health {} -> {}  profit {} WETH",
                    taken.account,
                    super::show::factor(taken.health_before),
                    super::show::factor(taken.health_after),
                    super::show::native(Net::Gain(taken.profit_wei)),
                ))?;
            }
            won.insert(id, one);
            last = Instant::now();
        }
        if is_over {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let log = std::fs::read_to_string(operator.folder.join("stderr.log")).unwrap_or_default();
            return Err(eyre!("something that pays is left after {PATIENCE:?}. The keeper said:\n{log}"))
                .exit(Exit::Check);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Nothing is under way, and a look of its own finds no opportunity.
fn nothing_left(operator: &Operator, journal: &Path) -> Result<bool> {
    let under_way = match Reader::open(journal)? {
        Some(reader) => !reader.unfinished()?.is_empty(),
        None => false,
    };
    Ok(!under_way
        && operator.run(&["scan", "--exit-code", "-qq"])?.code == Some(i32::from(Exit::NothingFound as u8)))
}

fn is_won(entry: &Entry) -> bool {
    entry.intent.is_some() && entry.verdict.is_some_and(|verdict| verdict.outcome == Outcome::Won)
}

async fn look(fork: &Fork, operator: &Operator, entry: &Entry) -> Result<Won> {
    let (Some(intent), Some(mined), Some(verdict)) = (&entry.intent, entry.mined, entry.verdict) else {
        return Err(eyre!("the journal's entry {} is not complete", entry.id));
    };
    let receipt = fork.provider.get_transaction_receipt(entry.hash).await?;
    let receipt = receipt.ok_or_else(|| eyre!("{} has no receipt", entry.hash))?;
    let mut borrower = None;
    let mut liquidations: Vec<Liquidation> = Vec::new();
    for log in receipt.logs().iter().filter(|log| Some(log.address()) == operator.executor) {
        if let Ok(event) = Executor::Liquidated::decode_log_data(log.data()) {
            borrower = Some(event.borrower);
        } else if let (Ok(event), Some(account)) = (Executor::Executed::decode_log_data(log.data()), borrower)
        {
            if let Some(last) = liquidations.last_mut().filter(|last| last.account == account.to_string()) {
                // Another of its debts, with a loan of its own.
                last.profit_wei = last.profit_wei.plus(Wei(event.profit))?;
                continue;
            }
            let health = async |block: u64| {
                let data = fork.account_data(&operator.market, account, BlockId::number(block)).await?;
                eyre::Ok(HealthFactor(data.healthFactor))
            };
            liquidations.push(Liquidation {
                account: account.to_string(),
                health_before: health(mined.block.saturating_sub(1)).await?,
                health_after: health(mined.block).await?,
                profit_wei: Wei(event.profit),
            });
        }
    }
    Ok(Won {
        transaction: entry.hash.to_string(),
        block: mined.block,
        gas: mined.gas_used.0,
        promised_wei: intent.promised_gross,
        profit_wei: verdict.realised_gross,
        net_wei: verdict.realised_net,
        liquidations,
    })
}

fn conclude(stage: &Stage, won: &[Won], received: Wei, began: Instant) -> Result<()> {
    let count = won.iter().map(|one| one.liquidations.len()).sum::<usize>();
    ensure!(won.len() >= LEAST && count >= LEAST, "{count} liquidations in {} transactions", won.len());
    let booked = won.iter().map(|one| one.profit_wei).try_fold(Wei::ZERO, Wei::plus)?;
    let net = won.iter().filter_map(|one| one.net_wei.gain()).try_fold(Wei::ZERO, Wei::plus)?;
    if stage.json {
        return out::json(&serde_json::json!({
            "v": 1, "transactions": won, "profit_wei": booked, "received_wei": received, "net_wei": net,
        }));
    }
    let show = |wei: Wei| super::show::native(Net::Gain(wei));
    out::line("")?;
    out::line(&format!(
        "{} liquidations in {} transactions, {} WETH of profit at the receiver ({} booked), {} after gas, in {} s.",
        count,
        won.len(),
        show(received),
        show(booked),
        show(net),
        began.elapsed().as_secs()
    ))?;
    ensure!(received == booked && received.0 > U256::ZERO, "what arrived is not what was booked");
    out::line(
        "Next: scripts/demo --stay lets you be the keeper yourself; docs/walkthrough.md is such a walk.",
    )
}

/// Where the story is told: standard output, or with `--json` standard error.
struct Stage {
    json: bool,
    pause: Duration,
    acts: u8,
}

impl Stage {
    async fn act(&self, number: u8, title: &str) -> Result<()> {
        tokio::time::sleep(self.pause).await;
        self.say(&format!("{number}/{}  {title}", self.acts))
    }

    fn tell(&self, line: &str) -> Result<()> {
        self.say(format!("      {line}").trim_end())
    }

    fn say(&self, line: &str) -> Result<()> {
        if self.json {
            out::aside(line);
            return Ok(());
        }
        out::line(line)
    }
}

/// A temporary folder of ours, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("backstop-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).wrap_err("making a temporary folder")?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _nobody_minds = std::fs::remove_dir_all(&self.0);
    }
}
