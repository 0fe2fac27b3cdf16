//! T6, T7: least profit, a limit on each swap and a last block are checked on chain, so that a plan moved to a worse
//! moment fails and loses only gas.

use alloy::{
    primitives::{Address, U256},
    sol_types::SolCall,
};
use eyre::{Result, ensure};

use super::{
    Executor, OPERATOR, STRANGER, Stage, WETH_FOR_USDC,
    positions::{Form, Funding},
    stage::{Answer, words},
};

/// A scene with the plain plan's borrower liquidatable.
pub async fn stage() -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    Ok(stage)
}

/// The executor's own errors are compared whole; a router speaks in words.
pub fn refused_in_words(what: &str, answer: &Answer, wanted: &str) -> Result<()> {
    match answer {
        Ok(_) => Err(eyre::eyre!("{what}: carried out")),
        Err(data) => {
            ensure!(words(data).contains(wanted), "{what}: {}, not {wanted}", words(data));
            Ok(())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_wei_more_than_the_run_can_earn_undoes_it() -> Result<()> {
    let stage = stage().await?;
    for funding in [Funding::Loan, Funding::Flash] {
        let mut plan = stage.plan(&WETH_FOR_USDC, "v30", funding, Form::Without)?;
        let snapshot = stage.fork.snapshot().await?;
        let profit = stage.run(&plan).await?.profit;
        stage.fork.revert(snapshot).await?;

        let minimum = profit + U256::from(1);
        plan.minProfit = minimum;
        stage.refuses_plan("a wei more", &plan, Executor::BelowMinimumProfit { profit, minimum }).await?;
        let snapshot = stage.fork.snapshot().await?;
        stage.fails_in_the_block(&plan).await?;
        stage.has_no_allowances().await?;
        stage.fork.revert(snapshot).await?;

        plan.minProfit = profit;
        let snapshot = stage.fork.snapshot().await?;
        ensure!(stage.run(&plan).await?.profit == profit, "exactly the minimum is enough");
        stage.fork.revert(snapshot).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_runs_in_its_last_block_and_not_after_it() -> Result<()> {
    let stage = stage().await?;
    let mut plan = stage.plain_plan()?;
    let head = stage.fork.chain.block_number().await?;
    let next = U256::from(head + 1);
    plan.deadline = U256::from(head);
    let snapshot = stage.fork.snapshot().await?;
    stage.fails_in_the_block(&plan).await?;
    stage.fork.revert(snapshot).await?;

    plan.deadline = next;
    let snapshot = stage.fork.snapshot().await?;
    stage.run(&plan).await?;
    stage.fork.revert(snapshot).await?;

    stage.fork.mine(5).await?;
    let call = Executor::executeCall { plan: plan.clone() };
    let answer = stage.ask(OPERATOR, stage.executor, call.abi_encode()).await?;
    refused_in_words("five blocks late", &answer, "Expired")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_was_won_by_another_fails() -> Result<()> {
    let stage = stage().await?;
    let plan = stage.plain_plan()?;
    stage.run(&plan).await?;
    stage.fails_in_the_block(&plan).await?;
    let copy = Executor::executeCall { plan };
    let refusal = Executor::NotListed { account: STRANGER, bit: U256::from(1) };
    stage.refuses("a copy of the call", STRANGER, &copy, refusal).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_sense_is_refused_by_name() -> Result<()> {
    let stage = stage().await?;
    let plain = stage.plain_plan()?;
    let (weth, usdc) = (plain.profitToken, plain.legs[0].debt);

    let mut plan = plain.clone();
    plan.legs.clear();
    stage.refuses_plan("no legs", &plan, Executor::NoLegs {}).await?;

    let mut plan = plain.clone();
    plan.legs.push(plain.legs[0].clone());
    plan.legs[1].debt = weth;
    let differs = Executor::DebtDiffers { debt: weth, flashToken: usdc };
    stage.refuses_plan("two debts", &plan, differs).await?;

    for buys in [true, false] {
        let mut plan = plain.clone();
        (plan.legs[0].swaps[0].exactOutput, plan.legs[0].swaps[0].limit) = (buys, U256::ZERO);
        stage.refuses_plan("no limit", &plan, Executor::NoLimit {}).await?;
    }

    let mut plan = plain.clone();
    plan.legs[0].swaps[0].tokenOut = stage.token("DAI")?;
    let wrong = Executor::WrongTokenOut { tokenOut: stage.token("DAI")?, flashToken: usdc };
    stage.refuses_plan("buying what is not owed", &plan, wrong).await?;

    let mut plan = plain.clone();
    let greedy = stage.fork.amount("WETH", 1_000_000)?;
    (plan.legs[0].swaps[0].exactOutput, plan.legs[0].swaps[0].amount) = (false, greedy);
    let call = Executor::executeCall { plan };
    let answer = stage.ask(OPERATOR, stage.executor, call.abi_encode()).await?;
    refused_in_words("selling what is not there", &answer, "NotHeld")?;

    let mut plan = plain.clone();
    plan.legs[0].swaps.clear();
    let call = Executor::executeCall { plan };
    let answer = stage.ask(OPERATOR, stage.executor, call.abi_encode()).await?;
    refused_in_words("no way back to the debt", &answer, "CannotRepay")?;

    let mut plan = plain;
    plan.legs[0].borrower = Address::ZERO;
    stage.fails_in_the_block(&plan).await
}
