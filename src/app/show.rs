//! How decisions look: as JSON for programs, as words and rounded figures for people.

use crate::domain::plan::{Draft, Liquidation, Loan, Plan, Skip, Swap};
use crate::domain::protocols::aave_v3::Market;
use crate::domain::route::PoolKind;
use crate::domain::units::{Amount, Gas, HealthFactor, Net, Wei, show};
use alloy::primitives::{Address, Bytes, U256};
use eyre::{Report, eyre};
use serde::Serialize;

/// One plan, as `scan` and a dry run print it.
#[derive(Debug, Serialize)]
pub struct Opportunity {
    account: String,
    health_factor: HealthFactor,
    legs: Vec<Leg>,
    swaps: Vec<SwapLine>,
    /// The protocol's token that is taken instead of the collateral, and kept.
    shares: Option<String>,
    gross_wei: Wei,
    gas: Gas,
    cost_wei: Wei,
    net_wei: Net,
    call: Call,
}

/// One `liquidationCall` of a plan.
#[derive(Debug, Serialize)]
pub struct Leg {
    debt_asset: String,
    collateral_asset: String,
    /// `debtToCover`.
    cover: Amount,
    repay: Amount,
    seize: Amount,
}

/// One swap of a plan, in what JSON says of it: units by the pool's arithmetic, fee in millionths.
#[derive(Debug, Serialize)]
pub struct SwapLine {
    sold: String,
    bought: String,
    /// `uniswap-v3` or `uniswap-v2`.
    pool: &'static str,
    fee: u32,
    give: Amount,
    take: Amount,
}

#[derive(Debug, Serialize)]
struct Call {
    to: String,
    data: Bytes,
}

/// One refusal, as `scan` and a dry run print it.
#[derive(Debug, Serialize)]
pub struct Skipped {
    account: String,
    reason: &'static str,
    debt_asset: Option<String>,
    collateral_asset: Option<String>,
    repay: Option<Amount>,
    net_wei: Option<Net>,
    why: String,
}

impl From<&Plan> for Opportunity {
    fn from(plan: &Plan) -> Self {
        let draft = &plan.proposal.draft;
        Self {
            account: draft.account.to_string(),
            health_factor: draft.health,
            legs: legs(draft.calls()),
            swaps: swap_lines(draft.swaps()),
            shares: shares(draft),
            gross_wei: plan.gross,
            gas: plan.gas,
            cost_wei: plan.cost,
            net_wei: plan.net,
            call: Call { to: plan.proposal.to.to_string(), data: plan.proposal.data.clone() },
        }
    }
}

pub fn legs<'a>(calls: impl IntoIterator<Item = &'a Liquidation>) -> Vec<Leg> {
    let leg = |call: &Liquidation| Leg {
        debt_asset: call.debt_asset.to_string(),
        collateral_asset: call.collateral_asset.to_string(),
        cover: Amount(call.outcome.cover),
        repay: call.outcome.repaid,
        seize: call.outcome.seized,
    };
    calls.into_iter().map(leg).collect()
}

/// The token that a draft takes and keeps.
pub fn shares(draft: &Draft) -> Option<String> {
    draft.loans.iter().find_map(Loan::shares).map(|shares| shares.token.to_string())
}

pub fn swap_lines<'a>(swaps: impl IntoIterator<Item = &'a Swap>) -> Vec<SwapLine> {
    let line = |swap: &Swap| SwapLine {
        sold: swap.sold.to_string(),
        bought: swap.bought.to_string(),
        pool: match swap.pool {
            PoolKind::V3(_) => "uniswap-v3",
            PoolKind::V2 => "uniswap-v2",
        },
        fee: swap.pool.fee(),
        give: swap.given,
        take: swap.taken,
    };
    swaps.into_iter().map(line).collect()
}

impl From<&Skip> for Skipped {
    fn from(skip: &Skip) -> Self {
        Self {
            account: skip.account.to_string(),
            reason: skip.reason.word(),
            debt_asset: skip.debt_asset.map(|asset| asset.to_string()),
            collateral_asset: skip.collateral_asset.map(|asset| asset.to_string()),
            repay: skip.repay,
            net_wei: skip.net,
            why: skip.reason.to_string(),
        }
    }
}

/// A plan in people's words.
pub struct Told {
    pub seize: String,
    pub repay: String,
    pub via: String,
}

/// Amounts with their symbols, and the way between them.
pub fn tell(market: &Market, draft: &Draft) -> Told {
    let amount = |(asset, units): (Address, Amount)| {
        market.reserves.get(&asset).map_or_else(
            || format!("{units} of {asset}"),
            |reserve| format!("{} {}", show(units.0, reserve.decimals, 4), reserve.symbol),
        )
    };
    let all =
        |amounts: Vec<(Address, Amount)>| amounts.into_iter().map(amount).collect::<Vec<_>>().join(" + ");
    Told { seize: all(draft.seized()), repay: all(draft.repaid()), via: route(draft) }
}

/// The pools on the way, by their kind and fees.
fn route(draft: &Draft) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for swap in draft.swaps() {
        let kind = match swap.pool {
            PoolKind::V3(_) => "univ3",
            PoolKind::V2 => "univ2",
        };
        let named = if last.replace(kind) == Some(kind) { String::new() } else { format!("{kind} ") };
        words.push(format!("{named}{} %", show_tier(swap.pool.fee())));
    }
    if draft.purse().is_some() {
        return "kept as shares, paid from the purse".into();
    }
    if words.is_empty() { "no swap".into() } else { words.join(" + ") }
}

fn show_tier(tier: u32) -> String {
    let digits = show(U256::from(tier), 4, 4);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A table without lines, as every command prints them.
pub fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    table
}

/// Native coin with six places.
pub fn native(net: Net) -> String {
    match net {
        Net::Gain(wei) => show(wei.0, 18, 6),
        Net::Loss(wei) => format!("-{}", show(wei.0, 18, 6)),
    }
}

/// Four places; an account without debt has no health factor that a person could use.
pub fn factor(factor: HealthFactor) -> String {
    if factor.0 == U256::MAX { "no debt".into() } else { show(factor.0, 18, 4) }
}

/// A percentage with its sign and without grouping: what programs read.
pub fn signed_percent(is_below: bool, raw: U256, places: u8) -> String {
    let digits = show(raw, places, usize::from(places)).replace(' ', "");
    format!("{}{digits}", if is_below { '-' } else { '+' })
}

/// How many decimals the market's base currency has.
pub fn base_decimals(market: &Market) -> u8 {
    u8::try_from(market.base_unit.to_string().len().saturating_sub(1)).unwrap_or(0)
}

/// Why an account is not in the index.
pub fn not_indexed(block: u64) -> String {
    format!("it never borrowed from this market up to block {block}, and only borrowers are kept")
}

/// Why there is nothing to say of an account that was asked for, and who says something.
pub fn not_a_borrower(account: Address, block: u64) -> Report {
    eyre!("{account}: {}; `backstop explain {account}` looks at anybody", not_indexed(block))
}
