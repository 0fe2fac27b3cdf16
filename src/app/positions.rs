//! `positions`: every borrower with collateral, debt and health factor as of one block, by our arithmetic; with
//! `--audit`, next to the contract's own answer at that block.

use super::falls::Fall;
use super::show::{base_decimals, factor, not_a_borrower};
use super::wire::{self, Wire};
use crate::abi::aave::Pool;
use crate::cli::Positions;
use crate::config::{Config, Need};
use crate::domain::chain::Read;
use crate::domain::explain::Explain;
use crate::domain::prices::Moment;
use crate::domain::protocol::{Health, Protocol, Unknown};
use crate::domain::units::{Base, HealthFactor, show};
use crate::exit::{Exit, ExitExt};
use crate::io::out;
use alloy::primitives::Address;
use alloy::sol_types::SolCall;
use comfy_table::Table;
use eyre::{Result, eyre};
use serde::Serialize;
use std::collections::BTreeMap;

/// One line of `positions --json`. Integers are decimal strings.
#[derive(Debug, Serialize)]
struct Line<'a> {
    v: u8,
    market: &'a str,
    block: u64,
    block_hash: String,
    timestamp: u64,
    account: String,
    health_factor: Option<HealthFactor>,
    collateral_base: Option<Base>,
    debt_base: Option<Base>,
    emode: u8,
    /// Null where our own arithmetic does not know.
    liquidation_prices: Option<Vec<Fall>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

/// # Errors
/// Exit code 6 when `--audit` finds a difference.
pub async fn positions(config: &Config, arguments: &Positions, json: bool) -> Result<()> {
    let wire = wire::market(config, Need::Read, arguments.block).await?;
    let mut accounts = wire.keeper.market.accounts();
    if let Some(wanted) = arguments.account {
        accounts.retain(|account| *account == wanted);
        if accounts.is_empty() {
            return Err(not_a_borrower(wanted, wire.head.block.number)).exit(Exit::NothingFound);
        }
    }
    let mut judged = judge(&wire, &accounts);
    let ask = accounts
        .iter()
        .copied()
        .filter(|account| arguments.audit || judged.get(account).is_some_and(Result::is_err));
    let asked = ask.collect::<Vec<_>>();
    let contract = contract_answers(&wire, &asked).await.exit(Exit::Network)?;
    let drifted = if arguments.audit { drift(&judged, &contract) } else { vec![] };
    let unknown = judged.values().filter(|health| health.is_err()).count();
    // Where our arithmetic does not know, the contract's own answer is shown.
    for (account, health) in &contract {
        if let (Some(known @ Err(_)), Some(health)) = (judged.get_mut(account), health) {
            *known = Ok(*health);
        }
    }
    let mut rows = judged.iter().collect::<Vec<_>>();
    rows.sort_by_key(|(account, health)| (health.as_ref().ok().map(|health| health.factor), **account));
    if let Some(below) = arguments.below {
        rows.retain(|(_, health)| health.as_ref().map_or(true, |health| health.factor < below));
    }
    if json {
        print_lines(config, &wire, &rows)?
    } else {
        print_table(config, &wire, &rows)?
    }
    if arguments.audit {
        report(&wire, accounts.len(), unknown, &drifted)?;
    }
    Ok(())
}

type Judged = BTreeMap<Address, Result<Health, Unknown>>;

fn judge(wire: &Wire, accounts: &[Address]) -> Judged {
    let market = &wire.keeper.market;
    let when = Moment { timestamp: wire.head.block.timestamp, prices: market.prices() };
    accounts.iter().map(|account| (*account, market.health(*account, &when))).collect()
}

/// `getUserAccountData` of each account at the head; `None` where the contract itself cannot say.
async fn contract_answers(wire: &Wire, accounts: &[Address]) -> Result<BTreeMap<Address, Option<Health>>> {
    let to = wire.keeper.market.addresses.pool;
    let reads = accounts
        .iter()
        .map(|user| Read { to, data: Pool::getUserAccountDataCall { user: *user }.abi_encode().into() })
        .collect::<Vec<_>>();
    let answers = wire.reader.answers(wire.head.block.hash, &reads).await?;
    let decoded = answers.iter().map(|answer| {
        let data = Pool::getUserAccountDataCall::abi_decode_returns(answer.0.as_ref()?).ok()?;
        Some(Health {
            collateral: Base(data.totalCollateralBase),
            debt: Base(data.totalDebtBase),
            factor: HealthFactor(data.healthFactor),
        })
    });
    Ok(accounts.iter().copied().zip(decoded).collect())
}

/// The accounts on which we and the contract differ. What we do not know we do not differ about: it is counted
/// apart.
fn drift(judged: &Judged, contract: &BTreeMap<Address, Option<Health>>) -> Vec<(Address, String)> {
    let mut drifted = Vec::new();
    for (account, theirs) in contract {
        let Some(Ok(ours)) = judged.get(account) else { continue };
        if Some(ours) != theirs.as_ref() {
            drifted.push((*account, format!("ours {ours:?}, the contract's {theirs:?}")));
        }
    }
    drifted
}

fn report(wire: &Wire, accounts: usize, unknown: usize, drifted: &[(Address, String)]) -> Result<()> {
    for (account, difference) in drifted {
        tracing::error!(%account, difference, "drift");
    }
    let block = wire.head.block.number;
    if unknown > 0 {
        tracing::warn!(unknown, "audit: these are not known to us: the contract's own figures are shown");
    }
    if drifted.is_empty() {
        tracing::info!(accounts, compared = accounts.saturating_sub(unknown), block, "audit: no drift");
        return Ok(());
    }
    let what = "audit: {} of {} accounts differ from the contract's own answer at block {}";
    let what = what.replacen("{}", &drifted.len().to_string(), 1);
    let what = what.replacen("{}", &accounts.to_string(), 1).replacen("{}", &block.to_string(), 1);
    Err(eyre!(what)).exit(Exit::Check)
}

type Row<'a> = (&'a Address, &'a Result<Health, Unknown>);

fn print_lines(config: &Config, wire: &Wire, rows: &[Row<'_>]) -> Result<()> {
    let market = &wire.keeper.market;
    let when = Moment { timestamp: wire.head.block.timestamp, prices: market.prices() };
    for (account, health) in rows {
        let known = health.as_ref().ok();
        let falls = market.liquidation_prices(**account, &when).ok();
        out::json(&Line {
            v: 1,
            market: &config.market.name,
            block: wire.head.block.number,
            block_hash: wire.head.block.hash.to_string(),
            timestamp: wire.head.block.timestamp,
            account: account.to_string(),
            health_factor: known.map(|health| health.factor),
            collateral_base: known.map(|health| health.collateral),
            debt_base: known.map(|health| health.debt),
            emode: wire.keeper.market.accounts.get(*account).map_or(0, |held| held.emode),
            liquidation_prices: falls.map(|lines| lines.iter().map(|line| Fall::of(market, line)).collect()),
            unknown: health.as_ref().err().map(ToString::to_string),
        })?;
    }
    Ok(())
}

fn print_table(config: &Config, wire: &Wire, rows: &[Row<'_>]) -> Result<()> {
    let decimals = base_decimals(&wire.keeper.market);
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["BORROWER", "HEALTH", "COLLATERAL", "DEBT", "E-MODE"]);
    for (account, health) in rows {
        let held = wire.keeper.market.accounts.get(*account);
        let emode = held.map_or(0, |held| held.emode);
        let label = wire.keeper.market.emodes.get(&emode).map_or(String::new(), |mode| mode.label.clone());
        match health {
            Ok(health) => table.add_row([
                account.to_string(),
                factor(health.factor),
                show(health.collateral.0, decimals, 2),
                show(health.debt.0, decimals, 2),
                label,
            ]),
            Err(why) => table.add_row([account.to_string(), "unknown".into(), why.to_string()]),
        };
    }
    let market = &wire.keeper.market;
    out::line(&format!(
        "{}  aave-v3 {} (revision {})  block {}  {} borrowers",
        config.market.name,
        market.rules.map_or("unknown release", |rules| rules.release),
        market.revision,
        wire.head.block.number,
        market.accounts.len(),
    ))?;
    out::line("")?;
    if rows.is_empty() {
        return out::line("none of them is below");
    }
    out::line(&table.to_string())
}
