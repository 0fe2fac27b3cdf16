//! T8: listed counterparties that are no real ones. Who is listed is trusted with one run, down to that run's limits and
//! its least profit, and no further.

use alloy::{
    primitives::{Address, U256},
    sol_types::SolCall,
};
use backstop::domain::executor::Role;
use eyre::{Result, WrapErr, ensure};

use super::{
    Executor, OPERATOR, RECEIVER, STRANGER, Stage, WETH_FOR_USDC,
    doubles::{Meddler, Meddling, Mode, Spoofer},
    positions::{Form, Funding},
    stage::{events, words},
    tokens::{lender_with, plan_in},
    zoo::{PLAIN, Zoo},
};

alloy::sol! {
    interface IMoney {
        function transfer(address to, uint256 amount) external;
        function transferFrom(address from, address to, uint256 amount) external;
    }
}

/// What a listed lender asks for its loan, takes besides and pays for a liquidation. Money that was here before stays out
/// of its reach.
#[tokio::test(flavor = "multi_thread")]
async fn a_listed_lender_can_take_the_profit_down_to_the_least_and_no_further() -> Result<()> {
    let stage = Stage::new().await?;
    let money = Zoo::listed(&stage, PLAIN).await?;
    let lender = lender_with(&stage, money).await?;
    let factory = Spoofer::deploy(&stage).await?;
    stage.set_role(factory.0, 16).await?;
    money.mint(&stage, factory.0, U256::from(1_000_000_000)).await?;
    factory.pair(&stage, money.0, stage.token("WETH")?).await?;
    let donation = U256::from(5_000_000);
    money.mint(&stage, stage.executor, donation).await?;

    let loan = plan_in(money, lender);
    let mut flash = loan.clone();
    (flash.funding, flash.source, flash.pairToken) = (1, factory.0, stage.token("WETH")?);
    let gain = U256::from(100_000);
    let one = U256::from(1);
    let minimum = U256::from(40_000);
    for (mut plan, source) in [(loan, lender), (flash, factory)] {
        plan.minProfit = minimum;
        let owed = |premium| plan.amount + premium;
        let asks = async |premium| source.charges(&stage, premium).await;

        asks(gain - minimum + one).await?;
        let below = Executor::BelowMinimumProfit { profit: minimum - one, minimum };
        stage.refuses_plan("a unit too much", &plan, below).await?;
        asks(gain + one).await?;
        let broke = Executor::CannotRepay { held: owed(gain), owed: owed(gain + one) };
        stage.refuses_plan("more than the run holds", &plan, broke).await?;
        asks(U256::MAX).await?;
        stage.fails_in_the_block(&plan).await.wrap_err("all there is")?;
        asks(gain - minimum).await?;
        let snapshot = stage.fork.snapshot().await?;
        let receipt = stage.send(OPERATOR, &Executor::executeCall { plan: plan.clone() }).await?;
        let executed = events::<Executor::Executed>(&receipt);
        ensure!(executed[0].profit == minimum, "{}", executed[0].profit);
        ensure!(stage.balance(money.0, RECEIVER).await? == minimum + donation, "the donation is whole");
        ensure!(stage.balance(money.0, stage.executor).await?.is_zero());
        ensure!(stage.allowance(money.0, source.0).await?.is_zero());
        stage.fork.revert(snapshot).await?;

        // One that names its price and takes a unit more.
        asks(U256::ZERO).await?;
        if plan.funding == 0 {
            source.set(&stage, Mode::Greedy, &source, vec![]).await?;
            stage.fails_in_the_block(&plan).await.wrap_err("greedy")?;
            source.set(&stage, Mode::Honest, &source, vec![]).await?;
        }
        // One that takes the repayment and pays nothing, or too little, for it.
        let repay = plan.legs[0].repay;
        lender.seizes(&stage, U256::ZERO).await?;
        let broke = Executor::CannotRepay { held: plan.amount - repay, owed: plan.amount };
        stage.refuses_plan("nothing seized", &plan, broke).await?;
        lender.seizes(&stage, repay + minimum - one).await?;
        let below = Executor::BelowMinimumProfit { profit: minimum - one, minimum };
        stage.refuses_plan("too little seized", &plan, below).await?;
        lender.seizes(&stage, repay + gain).await?;
    }
    Ok(())
}

/// A router that takes what it was approved for and pays what it likes.
#[tokio::test(flavor = "multi_thread")]
async fn a_listed_router_can_take_down_to_the_limit_and_no_further() -> Result<()> {
    let mut stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let router = Meddler::before(&stage, Address::ZERO).await?;
    stage.set_role(router.0, 8).await?;
    stage.listing.0.push((router.0, Role::RouterV2));
    let (weth, usdc) = (stage.token("WETH")?, stage.token("USDC")?);
    let funds = stage.fork.amount("USDC", 100_000_000)?;
    stage.fork.fund(STRANGER, "USDC", funds).await?;
    let give = IMoney::transferCall { to: router.0, amount: funds };
    stage.fork.chain.invoke(STRANGER, usdc, &give).await?;
    router.plots(&stage, Meddling::Intrude).await?;
    let tells = async |taken: U256, paid: U256| -> Result<()> {
        router.forgets(&stage).await?;
        let take = IMoney::transferFromCall { from: stage.executor, to: router.0, amount: taken };
        router.order(&stage, weth, take.abi_encode()).await?;
        let pay = IMoney::transferCall { to: stage.executor, amount: paid };
        router.order(&stage, usdc, pay.abi_encode()).await
    };

    let mut plan = stage.plan(&WETH_FOR_USDC, "v30", Funding::Loan, Form::Without)?;
    let limit = stage.fork.amount("USDC", 5_010_000)?;
    let sold = stage.fork.amount("WETH", 2_700)?;
    let swap = &mut plan.legs[0].swaps[0];
    (swap.router, swap.exactOutput, swap.amount, swap.limit) = (router.0, false, sold, limit);
    let one = U256::from(1);

    for paid in [U256::ZERO, limit - one] {
        tells(sold, paid).await?;
        let below = Executor::BelowLimit { token: usdc, received: paid, limit };
        stage.refuses_plan("paid too little", &plan, below).await?;
        stage.fails_in_the_block(&plan).await?;
    }
    // Whatever it takes, up to what was approved, and whether it takes it at all: no leave to take is left behind.
    for taken in [sold, sold - one, one, U256::ZERO, sold + one] {
        tells(taken, limit).await?;
        let snapshot = stage.fork.snapshot().await?;
        let run = stage.run(&plan).await.wrap_err_with(|| format!("{taken} taken"))?;
        ensure!(run.profit >= plan.minProfit);
        let left = stage.balance(weth, router.0).await?;
        ensure!(left == if taken > sold { U256::ZERO } else { taken }, "{left} of {taken} taken");
        let late = IMoney::transferFromCall { from: stage.executor, to: router.0, amount: one };
        stage.donate("WETH", one).await?;
        let answer = stage.ask(router.0, weth, late.abi_encode()).await?;
        ensure!(answer.is_err(), "taken after the run");
        stage.fork.revert(snapshot).await?;
    }
    // Buying: it takes the most it may and brings nothing.
    let swap = &mut plan.legs[0].swaps[0];
    (swap.exactOutput, swap.amount, swap.limit) = (true, U256::ZERO, sold);
    tells(sold, U256::ZERO).await?;
    let call = Executor::executeCall { plan: plan.clone() }.abi_encode();
    let answer = stage.ask(OPERATOR, stage.executor, call).await?;
    let said = words(&answer.err().unwrap_or_default());
    ensure!(said.contains("CannotRepay"), "bought nothing: {said}");
    stage.fails_in_the_block(&plan).await
}
