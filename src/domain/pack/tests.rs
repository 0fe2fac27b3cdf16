//! Which plans share a transaction, at what least profit each: rules that need no chain.

use super::*;
use crate::domain::chain::BlockRef;
use crate::domain::keeper;
use crate::domain::plan::{Funding, Liquidation, Shares, least_profit};
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
        holding: None,
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
    let weigh =
        |pay: &[(u64, u64)]| weigh(plans(pay), &pay.iter().map(trial).collect::<Vec<_>>(), &head(), &terms());
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

/// The plan of this name, but for shares that are worth as much.
fn for_shares(name: u8, pays: &(u64, u64)) -> Plan {
    let mut plan = plan(name, pays);
    let one = Amount::new(U256::ONE);
    let (worth, cost) = (milli(2 * pays.0), milli(pays.0));
    let least = Amount::new(U256::from(77));
    let shares = Shares { token: Address::repeat_byte(0xa0), units: one, least, worth, paid: one, cost };
    plan.proposal.draft.loans[0].funding = Funding::Purse(shares);
    plan
}

#[test]
fn shares_are_worth_what_they_were_planned_for_and_promise_no_coin() {
    let three = || vec![for_shares(1, &LARGE), plan(2, &LARGE), for_shares(3, &LARGE)];
    // By itself each says how many shares it took, and that is no coin.
    let trials = [trial(&(7, 1_000_000)), trial(&LARGE), trial(&(7, 1_000_000))];
    let Step::Prove(kept, call) = weigh(three(), &trials, &head(), &terms()) else { panic!() };
    assert_eq!(kept.iter().map(|plan| plan.gross).collect::<Vec<_>>(), [milli(LARGE.0); 3]);
    let many = Executor::executeManyCall::abi_decode(&call.data).unwrap();
    let [shares, native] = [Address::repeat_byte(0xa0), terms().venue.wrapped_native];
    let bounds = many.plans.iter().map(|plan| (plan.funding, plan.profitToken, plan.minProfit));
    let least = least_profit(milli(LARGE.0), terms().slippage, Wei::ZERO).unwrap().0;
    let bound = (2, shares, U256::from(77));
    assert_eq!(bounds.collect::<Vec<_>>(), [bound, (0, native, least), bound]);
    // Over all there is nothing to hold it to: what earns coin may fail, and the shares are still worth it.
    assert_eq!(many.minProfit, U256::ZERO);

    let whole = |done| Trial::Profit { gross: milli(LARGE.0), gas: Gas(2_000_000), done };
    let proven = |done| prove(three(), call.clone(), &whole(done), &head(), &terms(), Net::Gain(milli(9)));
    let gross = |step| if let Step::Send(sent) = step { sent.gross } else { panic!() };
    assert_eq!(gross(proven(3)), milli(3 * LARGE.0));
    // One failed, and nobody says which: no shares are counted.
    assert_eq!(gross(proven(2)), milli(LARGE.0));
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
