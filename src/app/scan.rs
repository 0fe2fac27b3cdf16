//! `scan`: one look at one block. What could be liquidated in the next block, with the exact call and what it
//! would bring; and what is left alone, with the reason.

use super::bench::bench;
use super::hands::{Hands, drive};
use super::show::{Opportunity, Skipped, factor, native, not_a_borrower, tell};
use super::wire::{self, Wire};
use crate::cli::Scan;
use crate::config::{Config, Need};
use crate::domain::keeper::Input;
use crate::domain::units::{Net, Wei};
use crate::exit::{Exit, ExitExt};
use crate::io::out;
use comfy_table::Table;
use eyre::{Result, eyre};
use serde::Serialize;

/// `scan --json`: one object. Integers beyond 2^53 are decimal strings.
#[derive(Debug, Serialize)]
struct Output<'a> {
    v: u8,
    market: &'a str,
    block: u64,
    borrowers: usize,
    indexed_to: u64,
    opportunities: Vec<Opportunity>,
    skipped: Vec<Skipped>,
}

/// # Errors
/// Exit code 4 when asked for with `--exit-code` and nothing was found.
pub async fn scan(config: &Config, arguments: &Scan, json: bool) -> Result<()> {
    let mut wire = wire::market(config, Need::Route, None).await?;
    let bench = bench(config, &wire, None).await?;
    let borrowers = wire.keeper.market.accounts.len();
    if let Some(account) = arguments.account {
        wire.keeper.market.accounts.retain(|known, _| *known == account);
        if wire.keeper.market.accounts.is_empty() {
            return Err(not_a_borrower(account, wire.head.block.number)).exit(Exit::NothingFound);
        }
    }
    wire.keeper.engage(bench.terms.clone(), None);
    let head = wire.head;
    // Judged at the head's own second, the earliest the next block can have: what is liquidatable then, and the
    // amounts that are allowed then, stay so while interest runs.
    let next_timestamp = head.block.timestamp;
    let input = Input::Head { dropped: vec![], added: vec![(head, vec![])], jumped: false, next_timestamp };
    let mut hands = Hands { reader: &wire.reader, simulator: Some(&bench.simulator), desk: None };
    drive(&mut wire.keeper, input, &mut hands).await?;
    if json {
        print_json(config, &wire, borrowers)?
    } else {
        print_table(config, &wire, borrowers)?
    }
    if arguments.exit_code && wire.keeper.report().plans.is_empty() {
        return Err(eyre!("no opportunity at block {}", head.block.number)).exit(Exit::NothingFound);
    }
    Ok(())
}

fn print_json(config: &Config, wire: &Wire, borrowers: usize) -> Result<()> {
    let report = wire.keeper.report();
    out::json(&Output {
        v: 1,
        market: &config.market.name,
        block: wire.head.block.number,
        borrowers,
        indexed_to: wire.head.block.number,
        opportunities: report.plans.iter().map(Opportunity::from).collect(),
        skipped: report.skips.iter().map(Skipped::from).collect(),
    })
}

fn print_table(config: &Config, wire: &Wire, borrowers: usize) -> Result<()> {
    let market = &wire.keeper.market;
    let report = wire.keeper.report();
    out::line(&format!(
        "{}  aave-v3 {}  block {}  {borrowers} borrowers  indexed to head",
        config.market.name,
        market.rules.map_or("?", |rules| rules.release),
        wire.head.block.number,
    ))?;
    out::line("")?;
    if !report.plans.is_empty() {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["BORROWER", "HEALTH", "SEIZE", "REPAY", "GROSS", "GAS", "NET", "VIA"]);
        for plan in &report.plans {
            let told = tell(market, &plan.proposal.draft);
            table.add_row([
                plan.proposal.draft.account.to_string(),
                factor(plan.proposal.draft.health),
                told.seize,
                told.repay,
                native(Net::Gain(plan.gross)),
                plan.gas.0.to_string(),
                native(plan.net),
                told.via,
            ]);
        }
        out::line(&table.to_string())?;
        out::line("")?;
    }
    for skip in &report.skips {
        let health = skip.health.map_or("unknown".into(), factor);
        let net = skip.net.map_or(String::new(), |net| format!(", net {}", native(net)));
        out::line(&format!("skipped {}  health {health}{net}: {}", skip.account, skip.reason))?;
    }
    let total = report.plans.iter().filter_map(|plan| plan.net.gain()).try_fold(Wei::ZERO, Wei::plus);
    let total = total.map_or("?".into(), |total| native(Net::Gain(total)));
    let count = report.plans.len();
    out::line(&format!("{count} opportunities, {total} net of gas in the native coin. Nothing was sent."))
}
