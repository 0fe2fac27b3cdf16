//! An explanation for programs: one object. Integers beyond 2^53 are decimal strings.

use super::pairs::{Ending, Prospect};
use super::{Findings, Judged, Wire};
use crate::app::falls::{Fall, symbol};
use crate::app::show::{self, SwapLine};
use crate::domain::explain::{Leg, Remedy};
use crate::domain::plan::Proposal;
use crate::domain::protocols::aave_v3::Market;
use crate::domain::units::{Amount, Base, Gas, HealthFactor, Net, Price, Wei};
use crate::io::out;
use alloy::primitives::{Address, Bytes};
use eyre::Result;
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Output<'a> {
    v: u8,
    market: &'a str,
    block: u64,
    block_hash: String,
    timestamp: u64,
    account: String,
    indexed: bool,
    indexed_to: u64,
    /// Why the index does not have it.
    not_indexed: Option<String>,
    /// Why our arithmetic does not know; the figures are the contract's own then.
    unknown: Option<String>,
    health_factor: Option<HealthFactor>,
    collateral_base: Option<Base>,
    debt_base: Option<Base>,
    contract_health_factor: Option<HealthFactor>,
    emode: EMode,
    legs: Vec<LegLine>,
    liquidation_prices: Option<Vec<Fall>>,
    remedies: Vec<RemedyLine>,
    priced: bool,
    pairs: Vec<PairLine>,
    /// Calls of several pairs in one transaction, where by our arithmetic they bring more than those of any one; the
    /// verdict says what their trial came to.
    together: Option<Together>,
}

#[derive(Debug, Serialize)]
struct EMode {
    id: u8,
    label: String,
}

#[derive(Debug, Serialize)]
struct LegLine {
    asset: String,
    symbol: String,
    decimals: u8,
    price: Option<Price>,
    supplied: Amount,
    owed: Amount,
    supplied_base: Option<Base>,
    owed_base: Option<Base>,
    collateral: bool,
    threshold_bps: Option<u32>,
    /// What the price comes from: its source, and what that reads in turn.
    feeds: Vec<FeedLine>,
}

#[derive(Debug, Serialize)]
struct FeedLine {
    address: String,
    kind: &'static str,
}

#[derive(Debug, Serialize)]
struct RemedyLine {
    target: HealthFactor,
    add: Vec<Quantity>,
    repay: Vec<Quantity>,
}

/// `amount` is null where no amount of this asset is enough.
#[derive(Debug, Serialize)]
struct Quantity {
    asset: String,
    symbol: String,
    amount: Option<Amount>,
}

#[derive(Debug, Serialize)]
struct PairLine {
    debt_asset: String,
    debt_symbol: String,
    collateral_asset: String,
    collateral_symbol: String,
    close_factor_bps: u32,
    /// `the position` or `the debt`.
    close_factor_of: &'static str,
    owed: Amount,
    most_repay: Option<Amount>,
    most_seize: Option<Amount>,
    protocol_fee: Option<Amount>,
    /// `pays`, `not-priced`, or the word of the reason.
    verdict: &'static str,
    why: Option<String>,
    plan: Option<PlanLine>,
    /// What the liquidation of the plan, or else the largest one, would do by our arithmetic.
    foretold: Option<Foretold>,
    /// Or why the pool would refuse it.
    foretold_refusal: Option<&'static str>,
    pool_call: Call,
    /// What the pool says to that call from an account without money.
    pool_said: String,
}

#[derive(Debug, Serialize)]
struct Foretold {
    paid: Amount,
    received: Amount,
    protocol_fee: Amount,
    /// Left of this debt and of this collateral.
    owed: Amount,
    supplied: Amount,
    /// Debts that nobody will repay.
    written_off: Vec<Quantity>,
    health_factor: HealthFactor,
}

/// What the search came to; costs only where the call was tried.
#[derive(Debug, Serialize)]
struct PlanLine {
    legs: Vec<show::Leg>,
    swaps: Vec<SwapLine>,
    /// The protocol's token that is taken instead of the collateral, and kept.
    shares: Option<String>,
    gross_wei: Wei,
    gas: Option<Gas>,
    cost_wei: Option<Wei>,
    net_wei: Option<Net>,
    call: Call,
    executor_said: String,
}

#[derive(Debug, Serialize)]
struct Together {
    verdict: &'static str,
    why: Option<String>,
    plan: PlanLine,
}

#[derive(Debug, Serialize)]
struct Call {
    to: String,
    data: Bytes,
}

pub fn print(name: &str, wire: &Wire, findings: &Findings) -> Result<()> {
    let market = &wire.keeper.market;
    let judged = findings.judged.as_ref();
    let health = judged.ok().map(|judged| judged.health).or(findings.contract);
    let id = market.accounts.get(&findings.account).map_or(0, |held| held.emode);
    let block = wire.head.block;
    out::json(&Output {
        v: 1,
        market: name,
        block: block.number,
        block_hash: block.hash.to_string(),
        timestamp: block.timestamp,
        account: findings.account.to_string(),
        indexed: findings.is_indexed,
        indexed_to: block.number,
        not_indexed: (!findings.is_indexed).then(|| crate::app::show::not_indexed(block.number)),
        unknown: judged.err().map(ToString::to_string),
        health_factor: health.map(|health| health.factor),
        collateral_base: health.map(|health| health.collateral),
        debt_base: health.map(|health| health.debt),
        contract_health_factor: findings.contract.map(|health| health.factor),
        emode: EMode { id, label: market.emodes.get(&id).map_or(String::new(), |mode| mode.label.clone()) },
        legs: legs(market, findings),
        liquidation_prices: judged
            .ok()
            .map(|judged| judged.lines.iter().map(|line| Fall::of(market, line)).collect()),
        remedies: judged.map_or(vec![], |judged| remedies(market, judged)),
        priced: findings.is_priced,
        pairs: findings.prospects.iter().map(|prospect| pair(market, prospect)).collect(),
        together: findings.together.as_ref().map(|(proposal, ending)| {
            let (verdict, why) = super::words::ended(ending);
            Together { verdict, why, plan: plan(proposal, ending) }
        }),
    })
}

fn legs(market: &Market, findings: &Findings) -> Vec<LegLine> {
    let decimals = |asset: &Address| market.reserves.get(asset).map_or(0, |reserve| reserve.decimals);
    let known = findings.judged.as_ref().map_or(&[][..], |judged| &judged.legs);
    // An asset may be owed here and supplied there.
    let idle_of = |leg: &Leg| findings.idle.iter().find(|idle| idle.asset == leg.asset);
    let idle = findings.idle.iter().filter(|idle| !known.iter().any(|leg| leg.asset == idle.asset));
    let lines = known.iter().map(|leg| LegLine {
        asset: leg.asset.to_string(),
        symbol: symbol(market, leg.asset),
        decimals: decimals(&leg.asset),
        price: Some(leg.price),
        supplied: idle_of(leg).map_or(leg.supplied, |idle| idle.units),
        owed: leg.owed,
        supplied_base: idle_of(leg).map_or(Some(leg.supplied_value), |idle| idle.value),
        owed_base: Some(leg.owed_value),
        collateral: leg.is_collateral,
        threshold_bps: Some(leg.threshold.0),
        feeds: feeds(market, leg.asset),
    });
    let others = idle.map(|idle| LegLine {
        asset: idle.asset.to_string(),
        symbol: symbol(market, idle.asset),
        decimals: decimals(&idle.asset),
        price: idle.price,
        supplied: idle.units,
        owed: Amount::ZERO,
        supplied_base: idle.value,
        owed_base: Some(Base::ZERO),
        collateral: false,
        threshold_bps: Some(idle.threshold.0),
        feeds: feeds(market, idle.asset),
    });
    lines.chain(others).collect()
}

fn feeds(market: &Market, asset: Address) -> Vec<FeedLine> {
    let behind = market.feeds.behind(asset).into_iter();
    behind.map(|(address, kind)| FeedLine { address: address.to_string(), kind: kind.word() }).collect()
}

fn remedies(market: &Market, judged: &Judged) -> Vec<RemedyLine> {
    let quantities = |all: &[(Address, Option<Amount>)]| {
        all.iter()
            .map(|(asset, amount)| Quantity {
                asset: asset.to_string(),
                symbol: symbol(market, *asset),
                amount: *amount,
            })
            .collect()
    };
    let line = |remedy: &Remedy| RemedyLine {
        target: remedy.target,
        add: quantities(&remedy.add),
        repay: quantities(&remedy.repay),
    };
    judged.remedies.iter().map(line).collect()
}

fn pair(market: &Market, prospect: &Prospect) -> PairLine {
    let pairing = &prospect.pairing;
    let largest = pairing.largest.ok();
    let (verdict, why) = super::words::verdict(prospect);
    PairLine {
        debt_asset: pairing.debt_asset.to_string(),
        debt_symbol: symbol(market, pairing.debt_asset),
        collateral_asset: pairing.collateral_asset.to_string(),
        collateral_symbol: symbol(market, pairing.collateral_asset),
        close_factor_bps: pairing.close_factor.0,
        close_factor_of: super::words::closes(market),
        owed: pairing.owed,
        most_repay: largest.map(|outcome| outcome.repaid),
        most_seize: largest.map(|outcome| outcome.seized),
        protocol_fee: largest.map(|outcome| outcome.fee),
        verdict,
        why,
        plan: prospect.tried.as_ref().map(|proposal| plan(proposal, &prospect.ending)),
        foretold: prospect.foretold.as_ref().ok().map(|execution| Foretold {
            paid: execution.paid,
            received: execution.received,
            protocol_fee: execution.fee,
            owed: execution.owed,
            supplied: execution.supplied,
            written_off: execution
                .written_off()
                .map(|(asset, amount)| Quantity {
                    asset: asset.to_string(),
                    symbol: symbol(market, asset),
                    amount: Some(amount),
                })
                .collect(),
            health_factor: execution.health.factor,
        }),
        foretold_refusal: prospect.foretold.as_ref().err().map(|revert| revert.word()),
        pool_call: Call { to: prospect.call.to.to_string(), data: prospect.call.data.clone() },
        pool_said: prospect.said.clone(),
    }
}

fn plan(proposal: &Proposal, ending: &Ending) -> PlanLine {
    let draft = &proposal.draft;
    let paid = match ending {
        Ending::Pays(plan) => Some(plan),
        _ => None,
    };
    let net = match ending {
        Ending::Pays(plan) => Some(plan.net),
        Ending::Skipped(skip) => skip.net,
        _ => None,
    };
    PlanLine {
        legs: show::legs(draft.calls()),
        swaps: show::swap_lines(draft.swaps()),
        shares: show::shares(draft),
        gross_wei: paid.map_or(draft.gross, |plan| plan.gross),
        gas: paid.map(|plan| plan.gas),
        cost_wei: paid.map(|plan| plan.cost),
        net_wei: net,
        call: Call { to: proposal.to.to_string(), data: proposal.data.clone() },
        executor_said: super::words::executor_said(ending),
    }
}
