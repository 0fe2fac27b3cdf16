//! From a draft to the exact call, and from its trial to a plan or the reason against it.

use super::Terms;
use crate::abi::executor::Executor;
use crate::domain::chain::Head;
use crate::domain::cost::{fees, next_base_fee};
use crate::domain::executor::{Order, call_data};
use crate::domain::plan::{Draft, Loan, Plan, Proposal, Reason, Skip, Trial, least_profit};
use crate::domain::units::{Bps, FeePerGas, Gas, Net, Overflow, Round, Wei};

/// Blocks a call may wait before the executor refuses to run it.
const DEADLINE: u64 = 25;
/// What a loan may use, of the gas that is expected of it, while nobody has tried it.
const UNTRIED: u64 = 3;

/// The exact call of a draft, to be run on top of `head`.
///
/// # Errors
/// `Overflow` when no least profit can be named.
pub fn propose(draft: Draft, terms: &Terms, head: &Head) -> Result<Proposal, Overflow> {
    let deadline = head.block.number.saturating_add(DEADLINE);
    let floor = draft.gas.cost(next_base_fee(head));
    let min_profit = least_profit(draft.gross, terms.slippage, floor)?;
    let orders = orders(&draft, terms, deadline, |loan| {
        let least = least_of(loan, &draft, terms.slippage, next_base_fee(head))?;
        Ok((least, Gas(loan.gas.0.saturating_mul(UNTRIED))))
    })?;
    let data = call_data(orders, terms.venue.wrapped_native, min_profit);
    Ok(Proposal { draft, at: head.block, to: terms.executor, data, min_profit, deadline })
}

/// Least profit of one loan. Of several, each may fall short by what all together may: one that only opens more for
/// another is not to fail for a trifle.
///
/// # Errors
/// As for `least_profit`.
pub fn least_of(loan: &Loan, draft: &Draft, slippage: Bps, base_fee: FeePerGas) -> Result<Wei, Overflow> {
    if draft.loans.len() == 1 {
        return least_profit(loan.gross, slippage, loan.gas.cost(base_fee));
    }
    let given = draft.gross.times(slippage, Round::Up)?;
    Ok(loan.gross.minus(given).unwrap_or(Wei::ZERO))
}

/// The plans of the executor that a draft comes to, one a loan, each with its least profit and the gas it may use.
///
/// # Errors
/// As `bounds`, which names the two.
pub fn orders(
    draft: &Draft,
    terms: &Terms,
    deadline: u64,
    bounds: impl Fn(&Loan) -> Result<(Wei, Gas), Overflow>,
) -> Result<Vec<(Executor::Plan, Gas)>, Overflow> {
    let order = |loan: &Loan| {
        let (min_profit, most) = bounds(loan)?;
        let order = Order {
            lender: terms.lender,
            account: draft.account,
            loan,
            venue: &terms.venue,
            min_profit,
            deadline,
        };
        Ok((order.encode(), most))
    };
    draft.loans.iter().map(order).collect()
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
        Trial::Profit { done, .. } if done < draft.loans.len() => {
            let why = "a loan of several fails alone".to_owned();
            return Err(skip(Reason::Simulation(why), estimated));
        }
        Trial::Profit { gross, gas, .. } => (draft.brought(gross), gas),
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
