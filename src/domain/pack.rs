//! Several liquidations in one transaction: which, in what order, and at what least profit each. Their profits are
//! taken from a rehearsal in which each runs on what those before it left, so that legs that sell into the same
//! pool are priced as they will be.

use super::chain::Head;
use super::cost::{self, FeePolicy, TRANSACTION_CAP, fees, gas_limit};
use super::executor::call_data;
use super::keeper::{Terms, least_of, orders};
use super::plan::{Call, Draft, Loan, Plan, Submission, Swap, Trial};
use super::units::{Amount, Bps, FeePerGas, Gas, Net, Overflow, Round, Wei, mul_div};
use crate::abi::executor::Executor;
use alloy::primitives::U256;
use std::cmp::Reverse;

/// How much worse than alone a swap may be when others go before it. What a leg must bring is held by its own
/// least profit, which is taken from the rehearsal.
const ROOM: Bps = Bps(1_000);
/// What a leg takes in the transaction of others, of what it takes by itself: the call is paid once, and what they
/// touch too is warm. On the real contracts 55 to 60 in 100. Chooses and weighs only; the proof has the last word.
const BESIDE_OTHERS: (u64, u64) = (7, 10);
/// What small plans may cost the rest, of what that leaves: one that is not worth its gas at the price of the whole
/// goes along for so much. Sent by itself it would hold the lane for a block, if it is still there by then.
const SMALL_CHANGE: Bps = Bps(100);

/// What is to be done next about plans that are to share a transaction. Each step has fewer plans than the one before
/// it, or is a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try them one behind the other.
    Rehearse(Vec<Plan>),
    /// All pay, in this order: try the call as a whole.
    Prove(Vec<Plan>, Call),
    Send(Box<Submission>),
    /// The best of them goes by itself.
    Alone,
}

/// The plans that share a transaction, best net per gas first, as many as one may carry.
pub fn choose(mut plans: Vec<Plan>, head: &Head, policy: &FeePolicy) -> Step {
    plans.sort_by_key(|plan| Reverse(net_per_gas(plan)));
    let most = most_gas(head, policy);
    let mut sum = Gas(0);
    plans.retain(|plan| {
        let with = Gas(sum.0.saturating_add(beside_others(plan.gas).0));
        let fits = gas_limit(with, Gas(u64::MAX)) <= most;
        if fits {
            sum = with;
        }
        fits
    });
    if plans.len() < 2 { Step::Alone } else { Step::Rehearse(plans) }
}

/// Most gas a transaction may carry in the next block.
fn most_gas(head: &Head, policy: &FeePolicy) -> Gas {
    policy.gas_limit.min(head.gas_limit).min(TRANSACTION_CAP)
}

fn beside_others(gas: Gas) -> Gas {
    let (times, of) = BESIDE_OTHERS;
    Gas(gas.0.saturating_mul(times).div_ceil(of))
}

/// Scaled, as gas is far less than wei.
fn net_per_gas(plan: &Plan) -> U256 {
    let net = plan.net.gain().unwrap_or(Wei::ZERO);
    mul_div(net.0, U256::from(1_000_000_u64), U256::from(plan.gas.0.max(1)), Round::Down).unwrap_or(U256::MAX)
}

/// The calls of a rehearsal: each loan of each plan by itself, with nothing but the room its swaps have to hold it.
pub fn rehearsal(plans: &[Plan], terms: &Terms) -> Vec<Call> {
    let calls = |plan: &Plan| {
        let orders = encode(plan, terms, |_| Ok(Wei::ZERO)).unwrap_or_default();
        let call = |order| Call {
            to: terms.executor,
            data: call_data(vec![order], terms.venue.wrapped_native, Wei::ZERO),
        };
        orders.into_iter().map(call).collect::<Vec<_>>()
    };
    plans.iter().flat_map(calls).collect()
}

/// Weighs each plan by what its loans brought behind the others. What was refused there, or does not pay, is left out.
pub fn weigh(plans: Vec<Plan>, trials: &[Trial], head: &Head, terms: &Terms) -> Step {
    let count = plans.len();
    let mut trials = trials.iter();
    let rehearsed = plans.into_iter().filter_map(|plan| {
        let trials = trials.by_ref().take(plan.proposal.draft.loans.len()).collect::<Vec<_>>();
        rehearsed(plan, &trials)
    });
    let kept = worthwhile(rehearsed.collect(), cost::next_base_fee(head), terms);
    match kept.len() {
        0 | 1 => Step::Alone,
        left if left < count => Step::Rehearse(kept),
        _ => whole(kept, head, terms),
    }
}

/// The plan with what its loans brought, where none was refused.
fn rehearsed(mut plan: Plan, trials: &[&Trial]) -> Option<Plan> {
    let draft = &mut plan.proposal.draft;
    if trials.len() != draft.loans.len() {
        return None;
    }
    for (loan, trial) in draft.loans.iter_mut().zip(trials) {
        let Trial::Profit { gross, gas, .. } = trial else { return None };
        (loan.gross, loan.gas) = (*gross, *gas);
    }
    *draft = Draft::new(draft.account, draft.health, std::mem::take(&mut draft.loans)).ok()?;
    let (gross, gas) = (draft.gross, draft.gas);
    Some(Plan { gross, gas, ..plan })
}

/// What pays by itself behind the others, and does not cost them more than small change: a transaction has one price for
/// all its gas, and where much is to be had much is offered, more than a small plan may be worth.
fn worthwhile(mut all: Vec<Plan>, base_fee: FeePerGas, terms: &Terms) -> Vec<Plan> {
    all.retain(|plan| Net::of(plan.gross, plan.gas.cost(base_fee)) >= Net::Gain(terms.minimum));
    let mut some = all.clone();
    while let Some((price, net)) = together(&some, base_fee, &terms.fees) {
        let count = some.len();
        some.retain(|plan| plan.gross > beside_others(plan.gas).cost(price));
        if some.len() == count {
            let whole = together(&all, base_fee, &terms.fees);
            return if whole.is_some_and(|(_, whole)| whole >= but_for_small_change(net)) {
                all
            } else {
                some
            };
        }
    }
    vec![]
}

/// What each unit of gas is expected to cost in the transaction of all these, and what they leave at that price; `None`
/// when they do not pay.
fn together(plans: &[Plan], base_fee: FeePerGas, policy: &FeePolicy) -> Option<(FeePerGas, Net)> {
    let gross = plans.iter().map(|plan| plan.gross).try_fold(Wei::ZERO, Wei::plus).ok()?;
    let gas = Gas(plans.iter().fold(0, |sum: u64, plan| sum.saturating_add(beside_others(plan.gas).0)));
    let price = fees(gross, gas, base_fee, policy).ok()??.expected;
    Some((price, Net::of(gross, gas.cost(price))))
}

/// The least that `net` may become for the sake of others.
fn but_for_small_change(net: Net) -> Net {
    let Some(gain) = net.gain() else { return net };
    let change = gain.times(SMALL_CHANGE, Round::Down).unwrap_or_default();
    Net::of(gain, change)
}

/// The call that carries out all of them.
fn whole(plans: Vec<Plan>, head: &Head, terms: &Terms) -> Step {
    let base_fee = cost::next_base_fee(head);
    let mut encoded = Vec::with_capacity(plans.len());
    let mut least = Wei::ZERO;
    for plan in &plans {
        let floor = plan.gas.cost(base_fee);
        let Ok(sum) = least.plus(floor) else { return Step::Alone };
        least = sum;
        let draft = &plan.proposal.draft;
        let own = |loan: &Loan| least_of(loan, draft, terms.slippage, base_fee);
        let Ok(orders) = encode(plan, terms, own) else { return Step::Alone };
        encoded.extend(orders);
    }
    // Over all: at least what the gas of all costs. A leg that fails alone takes its share with it.
    let data = call_data(encoded, terms.venue.wrapped_native, least);
    Step::Prove(plans, Call { to: terms.executor, data })
}

/// What follows from the trial of the whole. `alone`: what the best plan of all leaves by itself, tip included.
pub fn prove(
    mut plans: Vec<Plan>,
    call: Call,
    trial: &Trial,
    head: &Head,
    terms: &Terms,
    alone: Net,
) -> Step {
    let base_fee = cost::next_base_fee(head);
    let (gross, gas) = match trial {
        Trial::Profit { gross, gas, .. } if gas_limit(*gas, Gas(u64::MAX)) <= most_gas(head, &terms.fees) => {
            (*gross, *gas)
        }
        // It does not fit, or ran out of gas on the way: the last third waits. Nothing changes for those before it.
        _ => {
            plans.truncate(plans.len().saturating_mul(2) / 3);
            return if plans.len() < 2 { Step::Alone } else { whole(plans, head, terms) };
        }
    };
    let Ok(Some(fees)) = fees(gross, gas, base_fee, &terms.fees) else { return Step::Alone };
    let cost = gas.cost(fees.expected);
    let net = Net::of(gross, cost);
    if net < but_for_small_change(alone) {
        return Step::Alone;
    }
    Step::Send(Box::new(Submission { plans, to: call.to, data: call.data, gross, gas, fees, cost, net }))
}

/// The plan's orders with room for their swaps, and for gas.
fn encode(
    plan: &Plan,
    terms: &Terms,
    least: impl Fn(&Loan) -> Result<Wei, Overflow>,
) -> Result<Vec<(Executor::Plan, Gas)>, Overflow> {
    let mut draft = plan.proposal.draft.clone();
    draft.loans.iter_mut().flat_map(|loan| &mut loan.swaps).for_each(|swap| *swap = roomy(swap));
    orders(&draft, terms, plan.proposal.deadline, |loan| {
        Ok((least(loan)?, gas_limit(loan.gas, Gas(u64::MAX))))
    })
}

fn roomy(swap: &Swap) -> Swap {
    let room = swap.limit.times(ROOM, Round::Up).unwrap_or_default();
    let limit = if swap.buys {
        swap.limit.plus(room).unwrap_or(swap.limit)
    } else {
        swap.limit.minus(room).unwrap_or_default().max(Amount(U256::ONE))
    };
    Swap { limit, ..*swap }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chain::BlockRef;
    use crate::domain::keeper;
    use crate::domain::plan::{Funding, Liquidation, least_profit};
    use crate::domain::protocol::Outcome;
    use crate::domain::route::{PoolKind, Venue};
    use crate::domain::units::HealthFactor;
    use alloy::primitives::{Address, B256};
    use alloy::sol_types::SolCall;

    /// Thousandths of a coin.
    fn milli(number: u64) -> Wei {
        Wei::new(U256::from(number) * U256::from(10_u64.pow(15)))
    }

    /// A head after which gas costs one gwei.
    fn head() -> Head {
        Head {
            block: BlockRef { number: 9, hash: B256::ZERO, timestamp: 0 },
            parent: B256::ZERO,
            base_fee: FeePerGas(1_000_000_000),
            gas_used: Gas(15_000_000),
            gas_limit: Gas(30_000_000),
        }
    }

    fn terms() -> Terms {
        let [factory, quoter, router, wrapped_native, lender, executor] =
            [1, 2, 3, 4, 5, 6].map(Address::repeat_byte);
        Terms {
            venue: Venue { factory, quoter, router, wrapped_native, pairs: None },
            lender,
            executor,
            partners: vec![],
            minimum: milli(1),
            slippage: Bps(50),
            fees: FeePolicy {
                tip_share: Bps(1_000),
                max_fee: FeePerGas(300_000_000_000),
                max_tip: FeePerGas(50_000_000_000),
                gas_limit: TRANSACTION_CAP,
            },
            bundles: true,
            live: true,
        }
    }

    fn trial(&(gross, gas): &(u64, u64)) -> Trial {
        Trial::Profit { gross: milli(gross), gas: Gas(gas), done: 1 }
    }

    /// The plan of the account `name` that pays `gross` for `gas` by itself.
    fn plan(name: u8, pays: &(u64, u64)) -> Plan {
        let one = Amount::new(U256::ONE);
        let call = Liquidation {
            debt_asset: Address::repeat_byte(0xde),
            collateral_asset: Address::repeat_byte(4),
            outcome: Outcome { cover: U256::ONE, repaid: one, seized: one, fee: one },
        };
        let loan = Loan {
            funding: Funding::Lender(Address::repeat_byte(5)),
            borrowed: one,
            calls: vec![call],
            swaps: vec![],
            gross: milli(pays.0),
            gas: Gas(pays.1),
        };
        let draft = Draft::new(Address::repeat_byte(name), HealthFactor::ONE, vec![loan]).unwrap();
        let proposal = keeper::propose(draft, &terms(), &head()).unwrap();
        keeper::weigh(proposal, trial(pays), &terms(), cost::next_base_fee(&head())).unwrap()
    }

    /// Plans named from 1 on.
    fn plans(pay: &[(u64, u64)]) -> Vec<Plan> {
        (1..).zip(pay).map(|(name, pays)| plan(name, pays)).collect()
    }

    /// What is to be done, and with whom in which order.
    fn check(step: &Step, expected: &str) {
        let names = |plans: &[Plan]| {
            let names = plans.iter().map(|plan| format!(" {}", plan.proposal.draft.account.0[0]));
            names.collect::<String>()
        };
        let found = match step {
            Step::Rehearse(plans) => format!("rehearse{}", names(plans)),
            Step::Prove(plans, _) => format!("prove{}", names(plans)),
            Step::Send(submission) => format!("send{}", names(&submission.plans)),
            Step::Alone => "alone".to_owned(),
        };
        assert_eq!(found, expected);
    }

    const SMALL: (u64, u64) = (20, 1_000_000);
    const LARGE: (u64, u64) = (10_000, 1_000_000);

    #[test]
    fn as_many_as_one_transaction_carries_share_it_and_what_pays_best_per_gas_goes_first() {
        check(&choose(plans(&[SMALL, LARGE, (10_000, 600_000)]), &head(), &terms().fees), "rehearse 3 2 1");
        // With its room each takes 980,000 gas beside others.
        let Step::Rehearse(chosen) = choose(plans(&[LARGE; 24]), &head(), &terms().fees) else { panic!() };
        assert_eq!(chosen.len(), 17);
        check(&choose(plans(&[LARGE]), &head(), &terms().fees), "alone");
    }

    #[test]
    fn what_is_refused_or_earns_too_little_behind_the_others_is_left_out() {
        let refused = Trial::Refused { why: String::new() };
        let trials = [trial(&LARGE), refused.clone(), trial(&LARGE)];
        check(&weigh(plans(&[LARGE; 3]), &trials, &head(), &terms()), "rehearse 1 3");
        let trials = [trial(&SMALL), trial(&(1, 1_000_000)), trial(&SMALL)];
        check(&weigh(plans(&[SMALL; 3]), &trials, &head(), &terms()), "rehearse 1 3");
        check(&weigh(plans(&[LARGE; 2]), &[refused, trial(&LARGE)], &head(), &terms()), "alone");
    }

    #[test]
    fn each_loan_is_rehearsed_by_itself_and_a_plan_without_one_of_them_is_left_out() {
        let mut several = plans(&[LARGE; 3]);
        let draft = &mut several[1].proposal.draft;
        draft.loans = vec![draft.loans[0].clone(); 2];
        assert_eq!(rehearsal(&several, &terms()).len(), 4);
        let refused = Trial::Refused { why: String::new() };
        let trials = [trial(&LARGE), trial(&LARGE), refused, trial(&LARGE)];
        check(&weigh(several.clone(), &trials, &head(), &terms()), "rehearse 1 3");
        let trials = [trial(&LARGE), trial(&SMALL), trial(&LARGE), trial(&LARGE)];
        let Step::Prove(kept, call) = weigh(several, &trials, &head(), &terms()) else { panic!() };
        assert_eq!(kept[1].gross, milli(10_020));
        let least = Executor::executeManyCall::abi_decode(&call.data).unwrap();
        let promised = |gross: Wei| least_profit(gross, terms().slippage, Wei::ZERO).unwrap().0;
        let each = least.plans.iter().map(|plan| plan.minProfit).collect::<Vec<_>>();
        // Half a percent of 10.02 coins is what each of the two may lack: the small one all it has.
        let alone = promised(milli(LARGE.0));
        let beside = milli(LARGE.0).0 - U256::from(50_100_000_000_000_000_u64);
        assert_eq!(each, [alone, U256::ZERO, beside, alone]);
    }

    #[test]
    fn what_is_not_worth_its_gas_at_the_price_of_the_whole_goes_along_for_small_change_only() {
        let weigh = |pay: &[(u64, u64)]| {
            weigh(plans(pay), &pay.iter().map(trial).collect::<Vec<_>>(), &head(), &terms())
        };
        // At a tip of 50 gwei the gas of each costs 0.0357 coins: a small one lacks 0.0157 of them.
        check(&weigh(&[LARGE, SMALL, LARGE]), "prove 1 2 3");
        check(&weigh(&[(500, 1_000_000), SMALL, (500, 1_000_000)]), "rehearse 1 3");
        // Among their like the tip is a tenth of what they bring.
        check(&weigh(&[SMALL; 3]), "prove 1 2 3");
    }

    #[test]
    fn when_all_is_too_much_for_one_transaction_the_last_third_waits() {
        let call = || Call { to: Address::ZERO, data: vec![].into() };
        let prove =
            |trial: &Trial| prove(plans(&[LARGE; 6]), call(), trial, &head(), &terms(), Net::Gain(milli(9)));
        check(&prove(&trial(&(60_000, 11_000_000))), "send 1 2 3 4 5 6");
        check(&prove(&trial(&(60_000, 12_000_000))), "prove 1 2 3 4");
        check(&prove(&Trial::Refused { why: String::new() }), "prove 1 2 3 4");
    }

    #[test]
    fn the_limit_of_each_part_gets_room_and_its_amount_stays() {
        let [sold, bought] = [7, 8].map(Address::repeat_byte);
        let part = |buys, limit: u64| {
            let (part, limit) = (Some(Amount::new(U256::from(5))), Amount::new(U256::from(limit)));
            let (given, taken) = (Amount::ZERO, Amount::ZERO);
            Swap { sold, bought, pool: PoolKind::V2, buys, part, given, taken, limit }
        };
        assert_eq!(roomy(&part(false, 1_000)), part(false, 900));
        assert_eq!(roomy(&part(true, 1_000)), part(true, 1_100));
        assert_eq!(roomy(&part(false, 1)), part(false, 1));
    }

    #[test]
    fn a_transaction_is_shared_only_where_that_costs_the_best_alone_no_more_than_small_change() {
        let call = || Call { to: Address::ZERO, data: vec![].into() };
        let alone = plan(1, &LARGE).net;
        let prove = |gross| {
            let trial = trial(&(gross, 1_400_000));
            prove(plans(&[LARGE, SMALL]), call(), &trial, &head(), &terms(), alone)
        };
        check(&prove(10_020), "send 1 2");
        check(&prove(9_960), "send 1 2");
        check(&prove(9_800), "alone");
    }
}
