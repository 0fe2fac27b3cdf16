//! From a draft to the exact call, and from its trial to a plan or the reason against it.

use super::Terms;
use crate::domain::chain::Head;
use crate::domain::cost::{fees, next_base_fee};
use crate::domain::executor::{Order, call_data};
use crate::domain::plan::{Draft, Plan, Proposal, Reason, Skip, Trial, least_profit};
use crate::domain::units::{FeePerGas, Net, Overflow};

/// Blocks a call may wait before the executor refuses to run it.
const DEADLINE: u64 = 25;

/// The exact call of a draft, to be run on top of `head`.
///
/// # Errors
/// `Overflow` when no least profit can be named.
pub fn propose(draft: Draft, terms: &Terms, head: &Head) -> Result<Proposal, Overflow> {
    let deadline = head.block.number.saturating_add(DEADLINE);
    let floor = draft.gas.cost(next_base_fee(head));
    let min_profit = least_profit(draft.gross, terms.slippage, floor)?;
    let order = Order {
        lender: terms.lender,
        account: draft.account,
        debt_asset: draft.debt_asset,
        collateral_asset: draft.collateral_asset,
        calls: draft.calls().copied().collect(),
        funding: draft.funding,
        borrowed: draft.borrowed,
        swaps: &draft.swaps,
        venue: &terms.venue,
        min_profit,
        deadline,
    };
    let data = call_data(order.encode());
    Ok(Proposal { draft, at: head.block, to: terms.executor, data, min_profit, deadline })
}

/// The plan a proposal becomes after its trial, or why not.
///
/// # Errors
/// The refusal, with its numbers.
pub fn weigh(
    proposal: Proposal,
    trial: Trial,
    terms: &Terms,
    base_fee: FeePerGas,
) -> Result<Plan, Box<Skip>> {
    let draft = &proposal.draft;
    let estimated = Net::of(draft.gross, draft.gas.cost(base_fee));
    let skip = |reason: Reason, net: Net| Box::new(Skip::of(draft, reason, Some(net)));
    let (gross, gas) = match trial {
        Trial::Profit { gross, gas } => (gross, gas),
        Trial::Refused { why } => return Err(skip(Reason::Simulation(why), estimated)),
    };
    let net = Net::of(gross, gas.cost(base_fee));
    if gas > terms.fees.gas_limit {
        return Err(skip(Reason::GasLimit, net));
    }
    if net.gain().is_none() {
        return Err(skip(Reason::Unprofitable, net));
    }
    let fees = match fees(gross, gas, base_fee, &terms.fees) {
        Ok(Some(fees)) => fees,
        Ok(None) => return Err(skip(Reason::FeeCeiling, net)),
        Err(_) => return Err(skip(Reason::Overflow, net)),
    };
    let cost = gas.cost(fees.expected);
    let net = Net::of(gross, cost);
    if net < Net::Gain(terms.minimum) {
        return Err(skip(Reason::BelowMinimum, net));
    }
    Ok(Plan { proposal, gross, gas, fees, cost, net })
}
