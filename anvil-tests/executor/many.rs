//! Several plans in one transaction: each whole or not at all, whatever the one beside it does. T3, T6, T9 and T11 hold
//! for each of them and for all together.

use alloy::{
    primitives::{Address, Bytes, U256},
    rpc::types::TransactionReceipt,
    sol_types::{SolCall, SolError},
};
use eyre::{Result, WrapErr, ensure, eyre};

use super::{
    Executor, MARKETS, OPERATOR, RECEIVER, STRANGER, Stage, WETH_FOR_USDC,
    doubles::{Meddler, Meddling, Mode, Spoofer},
    positions::{Form, Funding, borrower},
    reentry::{GUISES, Intrusion},
    roles::plan_data,
    stage::{events, is_refusal, words},
    zoo::{HOOKS, Zoo},
};

/// More than any of these plans needs; four of them fit into a transaction of the tests.
const SHARE: u64 = 3_000_000;

/// What a transaction of several plans did.
struct Done {
    profit: U256,
    done: U256,
    failed: Vec<(U256, Bytes)>,
    receipt: TransactionReceipt,
}

pub fn many(plans: &[Executor::Plan], share: U256, min_profit: U256) -> Executor::executeManyCall {
    Executor::executeManyCall {
        plans: plans.to_vec(),
        most: vec![share; plans.len()],
        profitToken: plans[0].profitToken,
        minProfit: min_profit,
    }
}

/// Two good plans, one a market.
async fn stage() -> Result<(Stage, [Executor::Plan; 2])> {
    let stage = Stage::new().await?;
    stage.open(&WETH_FOR_USDC, "v30", 1).await?;
    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    let plans = [
        stage.plan(&WETH_FOR_USDC, "v30", Funding::Loan, Form::WithDeadline)?,
        stage.plan(&WETH_FOR_USDC, "v36", Funding::Flash, Form::Without)?,
    ];
    Ok((stage, plans))
}

/// What the plans bring one after another, each in a transaction of its own.
async fn apart(stage: &Stage, plans: &[Executor::Plan]) -> Result<Vec<U256>> {
    let snapshot = stage.fork.snapshot().await?;
    let mut profits = Vec::new();
    for plan in plans {
        profits.push(stage.run(plan).await?.profit);
    }
    stage.fork.revert(snapshot).await?;
    Ok(profits)
}

/// Carries the plans out together, and checks what must hold whatever became of each: the answer is what the receiver got
/// and what the events say, a plan was done or has failed, and nothing is left.
async fn run(stage: &Stage, plans: &[Executor::Plan], share: u64) -> Result<Done> {
    let call = many(plans, U256::from(share), U256::ZERO);
    let before = stage.balance(call.profitToken, RECEIVER).await?;
    let receipt = stage.send(OPERATOR, &call).await?;
    let top = stage.calls(receipt.transaction_hash).await?.swap_remove(0);
    let answer = Executor::executeManyCall::abi_decode_returns(&top.output)?;
    let received = stage.balance(call.profitToken, RECEIVER).await?.saturating_sub(before);
    ensure!(received == answer.profit, "answered {}, received {received}", answer.profit);
    let executed = events::<Executor::Executed>(&receipt);
    // It called itself.
    ensure!(executed.iter().all(|event| event.operator == stage.executor));
    let logged = executed.iter().fold(U256::ZERO, |sum, event| sum + event.profit);
    ensure!(logged == answer.profit, "answered {}, logged {logged}", answer.profit);
    let failed: Vec<_> =
        events::<Executor::Failed>(&receipt).into_iter().map(|event| (event.place, event.reason)).collect();
    for place in 0..plans.len() {
        let is_done = answer.done.bit(place);
        let has_failed = failed.iter().any(|(at, _)| *at == U256::from(place));
        ensure!(is_done != has_failed, "the plan at place {place}: done {is_done}, failed {has_failed}");
    }
    ensure!(failed.iter().all(|(_, reason)| reason.len() <= 1024), "a reason is too long");
    ensure!(answer.done >> plans.len() == U256::ZERO, "more was done than was asked");
    stage.is_clean().await?;
    Ok(Done { profit: answer.profit, done: answer.done, failed, receipt })
}

/// A plan that fails, and how: the bytes, or the words of somebody else.
struct Bad {
    what: &'static str,
    plan: Executor::Plan,
    says: &'static str,
}

/// Plans that fail for every kind of reason. Their borrower is none of the good plans'.
async fn bad(stage: &Stage) -> Result<Vec<Bad>> {
    let mut good = stage.plain_plan()?;
    good.legs = vec![stage.leg(&WETH_FOR_USDC, "v30", 1, Form::WithDeadline)?];
    let mut rows = Vec::new();
    let mut add = |what, says, change: &dyn Fn(&mut Executor::Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        rows.push(Bad { what, plan, says });
    };
    add("late", "Expired", &|plan| plan.deadline = U256::ZERO);
    add("greedy", "BelowMinimumProfit", &|plan| plan.minProfit = U256::MAX);
    add("without a way back", "CannotRepay", &|plan| plan.legs[0].swaps.clear());
    add("a healthy borrower", "HEALTH_FACTOR_NOT_BELOW_THRESHOLD", &|plan| plan.legs[0].borrower = STRANGER);
    add("an unlisted router", "NotListed", &|plan| plan.legs[0].swaps[0].router = STRANGER);
    add("past its limit", "STF", &|plan| plan.legs[0].swaps[0].limit = U256::from(1));
    for (what, meddling, says) in [
        ("a lender that fails", Meddling::Fail, "meddled"),
        ("a lender that fails at length", Meddling::Bomb, "[1024 bytes]"),
        ("a lender that burns all gas", Meddling::Burn, "CallFailed"),
        ("a lender that does nothing", Meddling::Honest, "CallbackMissing"),
    ] {
        let lender = Meddler::before(stage, Address::ZERO).await?;
        stage.set_role(lender.0, 2).await?;
        lender.plots(stage, meddling).await?;
        let mut plan = good.clone();
        plan.source = lender.0;
        rows.push(Bad { what, plan, says });
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_fails_leaves_the_others_whole() -> Result<()> {
    let (stage, good) = stage().await?;
    let profits = apart(&stage, &good).await?;
    let both = profits[0] + profits[1];
    for row in bad(&stage).await? {
        for place in 0..3 {
            let what = || format!("{} at place {place}", row.what);
            let mut plans = good.to_vec();
            plans.insert(place, row.plan.clone());
            let snapshot = stage.fork.snapshot().await?;
            let done = run(&stage, &plans, SHARE).await.wrap_err_with(what)?;
            ensure!(done.profit == both, "{}: {}, not {both}", what(), done.profit);
            let [(at, reason)] = &done.failed[..] else { return Err(eyre!("{} failed", done.failed.len())) };
            ensure!(*at == U256::from(place), "{}: {at} failed", what());
            ensure!(words(reason).contains(row.says), "{}: {}", what(), words(reason));
            stage.fork.revert(snapshot).await?;
        }
    }
    Ok(())
}

/// A defect found by these tests: a plan that burned all it was given left a 64th to the others, and they failed with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_burns_its_gas_burns_its_own_share_only() -> Result<()> {
    let (stage, good) = stage().await?;
    let burner = Meddler::before(&stage, Address::ZERO).await?;
    stage.set_role(burner.0, 2).await?;
    burner.plots(&stage, Meddling::Burn).await?;
    let mut burning = good[0].clone();
    burning.source = burner.0;
    let plans = [burning.clone(), good[0].clone(), burning, good[1].clone()];
    let snapshot = stage.fork.snapshot().await?;
    let done = run(&stage, &plans, SHARE).await?;
    ensure!(done.done == U256::from(0b1010), "{:b}", done.done);
    let gas = done.receipt.gas_used;
    ensure!(gas > 2 * SHARE && gas < 2 * SHARE + 2_500_000, "{gas} used");
    stage.fork.revert(snapshot).await?;

    // Without shares nobody else gets to run. Nothing but gas is lost then.
    let before = stage.money().await?;
    let starved = stage.send(OPERATOR, &many(&plans, U256::MAX, U256::ZERO)).await;
    ensure!(starved.is_err_and(|report| format!("{report:#}").contains("out of gas")));
    ensure!(stage.money().await? == before);
    // A share that is too small is a failure like any other.
    let short = run(&stage, &good, 100_000).await?;
    ensure!(short.done.is_zero() && short.failed.len() == 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_profit_over_all_undoes_all() -> Result<()> {
    let (stage, good) = stage().await?;
    let profits = apart(&stage, &good).await?;
    let sum = profits[0] + profits[1];
    let one = U256::from(1);
    let share = U256::from(SHARE);
    let below = Executor::BelowMinimumProfit { profit: sum, minimum: sum + one };
    stage.refuses("a wei more", OPERATOR, &many(&good, share, sum + one), below).await?;
    let before = stage.money().await?;
    ensure!(stage.send(OPERATOR, &many(&good, share, sum + one)).await.is_err());
    ensure!(stage.money().await? == before, "what was undone has moved something");
    // Each plan's own least profit holds besides.
    let mut plans = good.clone();
    plans[1].minProfit = profits[1] + one;
    let below = Executor::BelowMinimumProfit { profit: profits[0], minimum: sum };
    stage.refuses("one below its own", OPERATOR, &many(&plans, share, sum), below).await?;
    // A gain of another token is handed on and not added up: here dollars, many more of them than there are wei missing.
    let mut plans = good.clone();
    plans[1].profitToken = stage.token("USDC")?;
    let swap = &mut plans[1].legs[0].swaps[0];
    (swap.exactOutput, swap.limit) = (false, U256::from(1));
    let snapshot = stage.fork.snapshot().await?;
    let receipt = stage.send(OPERATOR, &many(&plans, share, profits[0])).await?;
    let gains = events::<Executor::Executed>(&receipt);
    ensure!(gains.len() == 2 && gains[1].profit > U256::from(1_000_000), "no dollars were gained");
    stage.fork.revert(snapshot).await?;
    let minimum = profits[0] + U256::from(1_000_000);
    let below = Executor::BelowMinimumProfit { profit: profits[0], minimum };
    stage.refuses("apples and pears", OPERATOR, &many(&plans, share, minimum), below).await?;
    let snapshot = stage.fork.snapshot().await?;
    stage.send(OPERATOR, &many(&good, share, sum)).await.wrap_err("exactly the least")?;
    stage.is_clean().await?;
    stage.fork.revert(snapshot).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gift_is_swept_once_and_is_nobodys_profit() -> Result<()> {
    let (stage, good) = stage().await?;
    let profits = apart(&stage, &good).await?;
    let sum = profits[0] + profits[1];
    for symbol in ["WETH", "USDC"] {
        stage.donate(symbol, stage.fork.amount(symbol, 9_000)?).await?;
    }
    let below = Executor::BelowMinimumProfit { profit: sum, minimum: sum + U256::from(1) };
    stage
        .refuses("with a gift", OPERATOR, &many(&good, U256::from(SHARE), sum + U256::from(1)), below)
        .await?;
    let before = stage.fork.balance(RECEIVER, "WETH").await?;
    stage.send(OPERATOR, &many(&good, U256::from(SHARE), sum)).await?;
    let received = stage.fork.balance(RECEIVER, "WETH").await?.saturating_sub(before);
    ensure!(received == sum + stage.fork.amount("WETH", 9_000)?, "{received}");
    stage.is_clean().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_without_sense_is_refused_by_name() -> Result<()> {
    let (stage, good) = stage().await?;
    let mut call = many(&good, U256::from(SHARE), U256::ZERO);
    call.most.pop();
    let differ = Executor::LengthsDiffer { one: U256::from(2), other: U256::from(1) };
    stage.refuses("a share too few", OPERATOR, &call, differ).await?;
    let mut small = good[0].clone();
    small.legs.clear();
    let endless = many(&vec![small; 257], U256::from(SHARE), U256::ZERO);
    stage.refuses("more than there are bits", OPERATOR, &endless, Executor::NoLegs {}).await?;
    let mut none = many(&good, U256::ZERO, U256::ZERO);
    (none.plans, none.most) = (vec![], vec![]);
    stage.refuses("nothing", OPERATOR, &none, Executor::NoLegs {}).await?;
    // The same plan twice: the second finds the borrower healthier, or is a second liquidation with a profit of its own.
    let twice = [good[0].clone(), good[0].clone()];
    run(&stage, &twice, SHARE).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lists_fit_into_one_transaction_and_leave_no_door_open() -> Result<()> {
    let (stage, good) = stage().await?;
    let contract = Spoofer::deploy(&stage).await?;
    stage.set_role(contract.0, 1).await?;
    let [first, second] = good.map(|plan| many(&[plan], U256::from(SHARE), U256::from(1)));
    let answer = contract.relay_twice(&stage, &first, &second).await?;
    ensure!(answer.is_ok(), "{}", words(&answer.err().unwrap_or_default()));
    let late = Executor::executeOperationCall {
        token: first.plans[0].legs[0].debt,
        amount: first.plans[0].amount,
        premium: U256::ZERO,
        initiator: stage.executor,
        data: plan_data(&first.plans[0]),
    };
    let answer = contract.relay_twice(&stage, &first, &late).await?;
    is_refusal("late", &answer, &Executor::CallbackRefused { caller: contract.0 }.abi_encode())
}

/// T3: while one plan waits for its callback, no other plan's callback counts, not even from the right lender; and what a
/// plan waited for is forgotten with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_callback_serves_its_own_plan_only() -> Result<()> {
    let (stage, good) = stage().await?;
    let lender = Spoofer::deploy(&stage).await?;
    let cheat = Spoofer::deploy(&stage).await?;
    stage.fork.fund(lender.0, "USDC", stage.fork.amount("USDC", 1_000_000_000)?).await?;
    stage.set_role(lender.0, 2).await?;
    let mut first = good[0].clone();
    first.source = lender.0;
    let mut second = first.clone();
    second.minProfit += U256::from(1);
    let callback = |plan: &Executor::Plan| {
        Executor::executeOperationCall {
            token: plan.legs[0].debt,
            amount: plan.amount,
            premium: U256::ZERO,
            initiator: stage.executor,
            data: plan_data(plan),
        }
        .abi_encode()
    };
    let stranger = Executor::CallbackRefused { caller: cheat.0 }.abi_encode();
    let spent = Executor::CallbackRefused { caller: lender.0 }.abi_encode();
    let other = Executor::CallbackDataRefused {}.abi_encode();
    let rows = [
        ("the other plan's, from the lender", lender, callback(&second), other.clone()),
        ("its own, by somebody else", cheat, callback(&first), stranger),
    ];
    for (what, caller, payload, refusal) in rows {
        lender.set(&stage, Mode::Reenter, &caller, payload).await?;
        let snapshot = stage.fork.snapshot().await?;
        let done = run(&stage, &[first.clone(), good[1].clone()], SHARE).await.wrap_err(what)?;
        ensure!(done.done == U256::from(0b10), "{what}: {:b}", done.done);
        is_refusal(what, &Err(done.failed[0].1.clone()), &refusal)?;
        stage.fork.revert(snapshot).await?;
    }
    // Twice in one plan, and then the next plan: the first is undone, the second waits for its own lender.
    for (mode, refusal) in [(Mode::Twice, spent), (Mode::OtherData, other)] {
        lender.set(&stage, mode, &cheat, vec![]).await?;
        let snapshot = stage.fork.snapshot().await?;
        let done = run(&stage, &[first.clone(), good[1].clone(), second.clone()], SHARE).await?;
        ensure!(done.done == U256::from(0b010), "{mode:?}: {:b}", done.done);
        for (_, reason) in &done.failed {
            is_refusal("in its own plan", &Err(reason.clone()), &refusal)?;
        }
        stage.fork.revert(snapshot).await?;
    }
    // The control: an honest lender serves both.
    lender.set(&stage, Mode::Honest, &cheat, vec![]).await?;
    let done = run(&stage, &[first, good[1].clone()], SHARE).await?;
    ensure!(done.done == U256::from(0b11), "{:b}", done.done);
    // And when all is over no callback is taken.
    let late = stage.ask(lender.0, stage.executor, callback(&second)).await?;
    is_refusal("late", &late, &Executor::CallbackRefused { caller: lender.0 }.abi_encode())
}

/// T11: from within one plan nobody gets into another, nor into the list, whoever he is.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_from_one_plan_into_another() -> Result<()> {
    let (stage, good) = stage().await?;
    let usdc = Zoo::in_place_of(&stage, "USDC").await?;
    let intruder = Meddler::before(&stage, Address::ZERO).await?;
    usdc.hook(&stage, intruder.0).await?;
    let profits = apart(&stage, &good).await?;
    for guise in GUISES {
        for other in &good {
            let snapshot = stage.fork.snapshot().await?;
            let intrusion = Intrusion::new(&stage, other, intruder.0, guise)?;
            intrusion.brief(&stage, intruder, guise).await?;
            usdc.becomes(&stage, HOOKS, stage.executor).await?;
            let done = run(&stage, &good, 7_000_000).await.wrap_err_with(|| format!("{guise:?}"))?;
            ensure!(done.profit == profits[0] + profits[1], "{guise:?}: {}", done.profit);
            let tried = stage
                .were_refused(done.receipt.transaction_hash, intruder.0, intrusion.refusals())
                .await
                .wrap_err_with(|| format!("{guise:?}"))?;
            ensure!(tried > 20, "{guise:?}: {tried} tries");
            stage.fork.revert(snapshot).await?;
        }
    }
    Ok(())
}

/// T2, T7: a copy of the call is worth nothing, and an operator that has been retired starts nothing.
#[tokio::test(flavor = "multi_thread")]
async fn only_an_operator_starts_several() -> Result<()> {
    let (stage, good) = stage().await?;
    let call = many(&good, U256::from(SHARE), U256::ZERO);
    let not_listed = |account| Executor::NotListed { account, bit: U256::from(1) };
    // The contract itself is no operator: it may call itself only while it carries out several.
    for account in [STRANGER, RECEIVER, borrower(&WETH_FOR_USDC, 0), stage.executor] {
        stage.refuses("a copy", account, &call, not_listed(account)).await?;
    }
    let alone = Executor::executeCall { plan: good[0].clone() };
    stage.refuses("from itself", stage.executor, &alone, not_listed(stage.executor)).await?;
    stage.set_role(OPERATOR, 0).await?;
    stage.refuses("retired", OPERATOR, &call, not_listed(OPERATOR)).await
}
