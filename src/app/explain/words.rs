//! An explanation for people.

use super::pairs::{Ending, Prospect};
use super::{Findings, Judged, Wire};
use crate::app::falls::{distance, is_undetermined, symbol, turn};
use crate::app::show::{base_decimals, factor, native, not_indexed, tell};
use crate::domain::plan::{Draft, Proposal, Reason};
use crate::domain::protocol::{Execution, Health};
use crate::domain::protocols::aave_v3::{Market, rules::CloseFactor};
use crate::domain::units::{Amount, Net, show};
use crate::io::out;
use alloy::primitives::{Address, Bytes, U256, hex};
use comfy_table::Table;
use eyre::Result;

/// The word of a verdict, and its reason.
pub fn verdict(prospect: &Prospect) -> (&'static str, Option<String>) {
    match (&prospect.ending, prospect.pairing.largest) {
        (Ending::Illegal, Err(revert)) => (revert.word(), Some(revert.to_string())),
        (ending, _) => ended(ending),
    }
}

/// The same of a plan.
pub fn ended(ending: &Ending) -> (&'static str, Option<String>) {
    match ending {
        Ending::Pays(_) => ("pays", None),
        Ending::Skipped(skip) => (skip.reason.word(), Some(skip.reason.to_string())),
        Ending::Illegal => ("unknown", None),
        Ending::Unpriced => {
            ("not-priced", Some("the market's configuration has no route: plans are not priced".into()))
        }
    }
}

/// What became of the executor's call in the simulation.
pub fn executor_said(ending: &Ending) -> String {
    match ending {
        Ending::Pays(plan) if plan.proposal.draft.purse().is_some() => {
            let gross = native(Net::Gain(plan.gross));
            format!(
                "accepted; the shares are worth {gross} more than is paid, at the oracle's prices less your discount"
            )
        }
        Ending::Pays(plan) => format!("a profit of {} before gas", native(Net::Gain(plan.gross))),
        Ending::Skipped(skip) => match &skip.reason {
            Reason::Simulation(why) => format!("refused: {why}"),
            _ => "accepted".into(),
        },
        Ending::Illegal | Ending::Unpriced => "not simulated".into(),
    }
}

pub fn print(name: &str, wire: &Wire, findings: &Findings) -> Result<()> {
    let market = &wire.keeper.market;
    let held = market.accounts.get(&findings.account);
    let emode = match held.map_or(0, |held| held.emode) {
        0 => "none".into(),
        id => market.emodes.get(&id).map_or_else(|| id.to_string(), |mode| format!("{id} {}", mode.label)),
    };
    out::line(&format!(
        "{}  {name}  aave-v3 {} (revision {})  block {}  e-mode: {emode}",
        findings.account,
        market.rules.map_or("unknown release", |rules| rules.release),
        market.revision,
        wire.head.block.number,
    ))?;
    if !findings.is_indexed {
        let why = not_indexed(wire.head.block.number);
        out::line(&format!("unknown to the index: {why}. Read from the chain for this."))?;
    }
    out::line("")?;
    match &findings.judged {
        Err(why) => {
            out::line(&format!("cannot be judged: {why}"))?;
            let Some(health) = findings.contract else {
                return out::line("and the contract itself refuses to say.");
            };
            summary(market, &health, "the contract's own figures")
        }
        Ok(judged) => {
            let agrees = match findings.contract {
                Some(health) if health == judged.health => "the contract says the same",
                _ => "THE CONTRACT SAYS OTHERWISE: see `backstop positions --audit`",
            };
            summary(market, &judged.health, agrees)?;
            legs(market, findings, judged)?;
            falls(market, judged)?;
            remedies(market, judged)?;
            pairs(market, findings)
        }
    }
}

fn summary(market: &Market, health: &Health, note: &str) -> Result<()> {
    let base = |value: U256| show(value, base_decimals(market), 2);
    let state = if health.factor.is_liquidatable() { "  LIQUIDATABLE" } else { "" };
    out::line(&format!("  health factor  {}{state}   ({note})", factor(health.factor)))?;
    out::line(&format!("  collateral     {}", base(health.collateral.0)))?;
    out::line(&format!("  debt           {}", base(health.debt.0)))?;
    out::line("")
}

fn amount(market: &Market, asset: Address, units: Amount) -> String {
    market.reserves.get(&asset).map_or_else(
        || format!("{units} of {asset}"),
        |reserve| format!("{} {}", show(units.0, reserve.decimals, 6), reserve.symbol),
    )
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    table
}

fn legs(market: &Market, findings: &Findings, judged: &Judged) -> Result<()> {
    if judged.legs.is_empty() && findings.idle.is_empty() {
        return out::line("  no collateral and no debt");
    }
    let decimals = base_decimals(market);
    let mut table = table(&["", "ASSET", "AMOUNT", "PRICE", "VALUE", "THRESHOLD"]);
    for leg in &judged.legs {
        let price = show(leg.price.0, decimals, decimals.into());
        if leg.is_collateral {
            table.add_row([
                "collateral".into(),
                symbol(market, leg.asset),
                amount(market, leg.asset, leg.supplied),
                price.clone(),
                show(leg.supplied_value.0, decimals, 2),
                format!("{} %", show(U256::from(leg.threshold.0), 2, 2)),
            ]);
        }
        if !leg.owed.is_zero() {
            table.add_row([
                "debt".into(),
                symbol(market, leg.asset),
                amount(market, leg.asset, leg.owed),
                price,
                show(leg.owed_value.0, decimals, 2),
                String::new(),
            ]);
        }
    }
    for idle in &findings.idle {
        let unknown = || "unknown".to_owned();
        table.add_row([
            "supplied, not collateral".into(),
            symbol(market, idle.asset),
            amount(market, idle.asset, idle.units),
            idle.price.map_or_else(unknown, |price| show(price.0, decimals, decimals.into())),
            idle.value.map_or_else(unknown, |value| show(value.0, decimals, 2)),
            format!("({} %)", show(U256::from(idle.threshold.0), 2, 2)),
        ]);
    }
    out::line(&table.to_string())?;
    out::line("")
}

fn falls(market: &Market, judged: &Judged) -> Result<()> {
    if judged.lines.is_empty() {
        return Ok(());
    }
    let decimals = base_decimals(market);
    out::line(if judged.health.factor.is_liquidatable() {
        "recovers at (each price alone, all else as it is)"
    } else {
        "falls at (each price alone, all else as it is)"
    })?;
    let price = |price: U256| show(price, decimals, decimals.into());
    for line in &judged.lines {
        let symbol = symbol(market, line.asset);
        let now = price(line.current.0);
        out::line(&match turn(line) {
            Some((_, turn)) => {
                let distance = distance(line.current, turn, 2);
                format!("  {symbol:<6} {}   ({distance} % from {now})", price(turn.0))
            }
            None if is_undetermined(line) => format!("  {symbol:<6} not determined   (now {now})"),
            None => format!("  {symbol:<6} at no price   (now {now})"),
        })?;
    }
    out::line("")
}

fn remedies(market: &Market, judged: &Judged) -> Result<()> {
    for remedy in &judged.remedies {
        let target = factor(remedy.target);
        if judged.health.factor >= remedy.target {
            out::line(&format!("health {target}: it has that"))?;
            continue;
        }
        let each = |all: &[(Address, Option<Amount>)]| {
            let known = all.iter().filter_map(|(asset, units)| Some(amount(market, *asset, (*units)?)));
            known.collect::<Vec<_>>().join(" or ")
        };
        let ways = [("add ", each(&remedy.add)), ("repay ", each(&remedy.repay))];
        let ways = ways.iter().filter(|(_, what)| !what.is_empty());
        let ways = ways.map(|(verb, what)| format!("{verb}{what}")).collect::<Vec<_>>();
        let ways = if ways.is_empty() { "no single step reaches it".into() } else { ways.join("; or ") };
        out::line(&format!("health {target}: {ways}"))?;
    }
    out::line("")
}

/// What the close factor is a share of.
pub fn closes(market: &Market) -> &'static str {
    match market.rules.map(|rules| rules.close_factor) {
        Some(CloseFactor::WholePosition) => "the position",
        Some(CloseFactor::PerReserve) | None => "the debt",
    }
}

/// What the account has of the pair afterwards, and what nobody will repay.
fn leaves(market: &Market, prospect: &Prospect, execution: &Execution) -> String {
    let pairing = &prospect.pairing;
    let owed = amount(market, pairing.debt_asset, execution.owed);
    let supplied = amount(market, pairing.collateral_asset, execution.supplied);
    let lost = execution.written_off().map(|(asset, units)| amount(market, asset, units)).collect::<Vec<_>>();
    let lost = if lost.is_empty() { String::new() } else { format!("; written off: {}", lost.join(", ")) };
    format!("{owed} owed and {supplied} supplied, health {}{lost}", factor(execution.health.factor))
}

fn pairs(market: &Market, findings: &Findings) -> Result<()> {
    if findings.prospects.is_empty() {
        return out::line("nothing to liquidate: there is no debt, or no collateral");
    }
    out::line("in the next block")?;
    for prospect in &findings.prospects {
        let pairing = &prospect.pairing;
        out::line(&format!(
            "  repay {} for {}   close factor {} % of {}, owed {}",
            symbol(market, pairing.debt_asset),
            symbol(market, pairing.collateral_asset),
            show(U256::from(pairing.close_factor.0), 2, 0),
            closes(market),
            amount(market, pairing.debt_asset, pairing.owed),
        ))?;
        if let Ok(largest) = pairing.largest {
            out::line(&format!(
                "    at most      {} for {}, {} to the protocol",
                amount(market, pairing.debt_asset, largest.repaid),
                amount(market, pairing.collateral_asset, largest.seized),
                amount(market, pairing.collateral_asset, largest.fee),
            ))?;
        }
        if let Some(proposal) = &prospect.tried {
            best(market, proposal)?;
        }
        brings(&prospect.ending)?;
        if let Ok(execution) = &prospect.foretold {
            out::line(&format!("    leaves       {}", leaves(market, prospect, execution)))?;
        }
        said(verdict(prospect))?;
        match &prospect.tried {
            Some(proposal) => tried(proposal, &prospect.ending)?,
            None => {
                out::line(&format!("    call         {} {}", prospect.call.to, begun(&prospect.call.data)))?;
                out::line("    simulated    only as asked by an account without money")?;
            }
        }
        out::line(&format!("    the pool     says to a caller without money: {}", prospect.said))?;
    }
    if let Some((proposal, ending)) = &findings.together {
        out::line("  together, in one transaction")?;
        best(market, proposal)?;
        brings(ending)?;
        said(ended(ending))?;
        tried(proposal, ending)?;
    }
    out::line("Nothing was sent.")
}

fn best(market: &Market, proposal: &Proposal) -> Result<()> {
    let told = tell(market, &proposal.draft);
    let calls = in_calls(&proposal.draft);
    out::line(&format!("    best         {} for {}{calls}, {}", told.repay, told.seize, told.via))
}

fn brings(ending: &Ending) -> Result<()> {
    match ending {
        Ending::Pays(plan) => {
            let (gross, cost) = (native(Net::Gain(plan.gross)), native(Net::Gain(plan.cost)));
            let net = native(plan.net);
            out::line(&format!("    brings       {gross} - {cost} for {} gas = {net}", plan.gas.0))
        }
        Ending::Skipped(skip) => {
            skip.net.map_or(Ok(()), |net| out::line(&format!("    brings       {} after gas", native(net))))
        }
        Ending::Illegal | Ending::Unpriced => Ok(()),
    }
}

fn said((word, why): (&str, Option<String>)) -> Result<()> {
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    out::line(&format!("    verdict      {word}{why}"))
}

fn tried(proposal: &Proposal, ending: &Ending) -> Result<()> {
    out::line(&format!("    call         {} {}", proposal.to, begun(&proposal.data)))?;
    out::line(&format!("    simulated    {}", executor_said(ending)))
}

fn in_calls(draft: &Draft) -> String {
    match draft.calls().count() {
        1 => String::new(),
        2 => " in two calls".to_owned(),
        more => format!(" in {more} calls"),
    }
}

/// Call data for people: which function, and how much there is of it.
fn begun(data: &Bytes) -> String {
    let selector = data.get(..4).map(hex::encode).unwrap_or_default();
    format!("0x{selector}… ({} bytes; --json has them)", data.len())
}
