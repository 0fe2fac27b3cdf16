//! T1, T5, T9, T10: strange tokens, stray money and forgotten approvals.

use alloy::{
    primitives::{Address, U256, utils::parse_ether},
    providers::Provider,
    sol_types::SolCall,
};
use backstop::domain::executor::Role;
use eyre::{Result, ensure};

use super::{
    Executor, OPERATOR, OWNER, RECEIVER, SUCCESSOR, Stage, WETH_FOR_USDC,
    doubles::Spoofer,
    positions::{Form, Funding, borrower},
    stage::{events, words},
    zoo::{FALSE, FEE, KEEPS, PLAIN, RACE, SILENT, Zoo},
};

/// What the lenders of this file hold, and what a leg repays.
const STOCK: u64 = 1_000_000_000;
const LENT: u64 = 1_000_000;
const SEIZED: u64 = 1_100_000;

/// A lender that lends, and pays collateral, in tokens it was given.
pub async fn lender_with(stage: &Stage, token: Zoo) -> Result<Spoofer> {
    let lender = Spoofer::deploy(stage).await?;
    stage.set_role(lender.0, 2).await?;
    token.mint(stage, lender.0, U256::from(STOCK)).await?;
    lender.seizes(stage, U256::from(SEIZED)).await?;
    Ok(lender)
}

/// One token is debt, collateral and profit.
pub fn plan_in(token: Zoo, lender: Spoofer) -> Executor::Plan {
    let leg = Executor::Leg {
        lender: lender.0,
        collateral: token.0,
        debt: token.0,
        borrower: borrower(&WETH_FOR_USDC, 0),
        repay: U256::from(LENT),
        swaps: vec![],
    };
    Executor::Plan {
        funding: 0,
        source: lender.0,
        amount: leg.repay,
        pairToken: Address::ZERO,
        pairFee: Default::default(),
        profitToken: token.0,
        minProfit: U256::from(1),
        deadline: U256::from(1_000_000_000),
        legs: vec![leg],
    }
}

async fn plain_stage() -> Result<Stage> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    Ok(stage)
}

// ---- stray money -----------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_donation_is_no_profit_and_goes_to_the_receiver() -> Result<()> {
    let stage = plain_stage().await?;
    for funding in [Funding::Loan, Funding::Flash] {
        let mut plan = stage.plan(&WETH_FOR_USDC, "v30", funding, Form::WithDeadline)?;
        let snapshot = stage.fork.snapshot().await?;
        let profit = stage.run(&plan).await?.profit;
        stage.fork.revert(snapshot).await?;

        let snapshot = stage.fork.snapshot().await?;
        let gifts =
            [("WETH", stage.fork.amount("WETH", 5_000)?), ("USDC", stage.fork.amount("USDC", 7_000)?)];
        let mut before = Vec::new();
        for (symbol, amount) in gifts {
            stage.donate(symbol, amount).await?;
            before.push(stage.fork.balance(RECEIVER, symbol).await?);
        }
        let minimum = profit + U256::from(1);
        plan.minProfit = minimum;
        let refusal = Executor::BelowMinimumProfit { profit, minimum };
        stage.refuses_plan("a minimum that only the gift would reach", &plan, refusal).await?;
        plan.minProfit = profit;
        let receipt = stage.send(OPERATOR, &Executor::executeCall { plan }).await?;
        ensure!(events::<Executor::Executed>(&receipt)[0].profit == profit);
        eprintln!("gas {:>7}  with two gifts to sweep, {funding:?}", receipt.gas_used);
        let weth = stage.fork.balance(RECEIVER, "WETH").await?.saturating_sub(before[0]);
        let usdc = stage.fork.balance(RECEIVER, "USDC").await?.saturating_sub(before[1]);
        ensure!(weth == profit + gifts[0].1 && usdc == gifts[1].1, "{weth} and {usdc} swept");
        stage.is_clean().await?;
        stage.fork.revert(snapshot).await?;
    }
    Ok(())
}

/// T1: what was here before does not save a run that cannot pay by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_donation_does_not_repay_a_loan() -> Result<()> {
    let stage = plain_stage().await?;
    stage.donate("USDC", stage.fork.amount("USDC", 100_000_000)?).await?;
    let mut plan = stage.plain_plan()?;
    plan.minProfit = U256::ZERO;
    plan.legs[0].swaps.clear();
    let premium = plan.amount * U256::from(9) / U256::from(10_000);
    let refusal = Executor::CannotRepay { held: U256::ZERO, owed: plan.amount + premium };
    stage.refuses_plan("a run without a sale", &plan, refusal).await?;
    // More than was borrowed: the leg's approval stops at what this run holds.
    let mut plan = stage.plain_plan()?;
    plan.legs[0].repay += U256::from(1);
    stage.fails_in_the_block(&plan).await
}

/// A holder of a rebasing token may lose a unit or two to rounding; one more was taken by somebody.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_eats_into_what_was_here_is_undone() -> Result<()> {
    let stage = Stage::new().await?;
    let token = Zoo::listed(&stage, PLAIN).await?;
    let money = Zoo::listed(&stage, SILENT | RACE).await?;
    let lender = lender_with(&stage, money).await?;
    token.mint(&stage, lender.0, U256::from(STOCK)).await?;
    token.mint(&stage, stage.executor, U256::from(10)).await?;
    money.mint(&stage, RECEIVER, U256::from(1)).await?;
    let mut plan = plan_in(money, lender);
    plan.minProfit = U256::ZERO;
    plan.legs[0].collateral = token.0;
    plan.legs[0].repay = U256::ZERO;
    lender.seizes(&stage, U256::ZERO).await?;
    token.rounds(&stage, -3, 0).await?;
    let spent = Executor::DonationSpent { token: token.0, before: U256::from(10), left: U256::from(7) };
    stage.refuses_plan("three units", &plan, spent).await?;
    token.rounds(&stage, -2, 0).await?;
    let call = Executor::executeCall { plan };
    let answer = stage.ask(OPERATOR, stage.executor, call.abi_encode()).await?;
    ensure!(answer.is_ok(), "two units: {}", words(&answer.err().unwrap_or_default()));
    Ok(())
}

// ---- salvage ---------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_salvages_anything_to_the_receiver() -> Result<()> {
    let stage = Stage::new().await?;
    let salvage = |token| Executor::salvageCall { token };
    for quirks in [SILENT | RACE, FEE, FALSE] {
        let token = Zoo::unlisted(&stage, quirks).await?;
        token.mint(&stage, stage.executor, U256::from(1_000)).await?;
        if quirks == FALSE {
            let refused = Executor::TokenRefused { token: token.0 };
            stage.refuses("a token that says no", OWNER, &salvage(token.0), refused).await?;
            token.becomes(&stage, PLAIN, Address::ZERO).await?;
        }
        let receipt = stage.send(OWNER, &salvage(token.0)).await?;
        let [event] = &events::<Executor::Salvaged>(&receipt)[..] else { eyre::bail!("no event") };
        ensure!((event.token, event.amount) == (token.0, U256::from(1_000)));
        let arrived = stage.balance(token.0, RECEIVER).await?;
        let expected = if quirks == FEE { 900 } else { 1_000 };
        ensure!(arrived == U256::from(expected), "{quirks}: {arrived}");
        ensure!(stage.balance(token.0, stage.executor).await?.is_zero());
    }
    let amount = stage.fork.amount("WBTC", 3_000)?;
    stage.donate("WBTC", amount).await?;
    stage.send(OWNER, &salvage(stage.token("WBTC")?)).await?;
    ensure!(stage.fork.balance(RECEIVER, "WBTC").await? == amount, "a listed token");

    // Native coin comes without a call: a block reward, or a contract that destroys itself.
    stage.fork.set_balance(stage.executor, parse_ether("2")?).await?;
    let before = stage.fork.provider.get_balance(RECEIVER).await?;
    stage.send(OWNER, &salvage(Address::ZERO)).await?;
    let after = stage.fork.provider.get_balance(RECEIVER).await?;
    ensure!(after.saturating_sub(before) == parse_ether("2")?);
    ensure!(stage.fork.provider.get_balance(stage.executor).await?.is_zero());

    let empty = Address::with_last_byte(0x77);
    stage.refuses("no token", OWNER, &salvage(empty), Executor::BadAnswer { target: empty }).await
}

/// A defect found by these tests: the event said that all had left, because all had been asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_salvage_says_what_left_and_not_what_was_asked_for() -> Result<()> {
    let stage = Stage::new().await?;
    let token = Zoo::unlisted(&stage, PLAIN).await?;
    token.mint(&stage, stage.executor, U256::from(1_000)).await?;
    let salvage = Executor::salvageCall { token: token.0 };
    for (quirks, left) in [(KEEPS, 0), (PLAIN, 1_000)] {
        token.becomes(&stage, quirks, stage.executor).await?;
        let before = stage.balance(token.0, stage.executor).await?;
        let receipt = stage.send(OWNER, &salvage).await?;
        let amount = events::<Executor::Salvaged>(&receipt)[0].amount;
        let after = stage.balance(token.0, stage.executor).await?;
        ensure!(
            amount == U256::from(left) && before - after == amount,
            "{amount} said, {before} became {after}"
        );
    }
    Ok(())
}

/// T9, T10: where the token lets nothing through, nothing is lost but time. What it holds of ours waits until it is free;
/// where the receiver is blocked for good, another deployment with another receiver runs on.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_has_blocked_waits_for_its_salvage() -> Result<()> {
    let mut stage = Stage::new().await?;
    let token = Zoo::listed(&stage, PLAIN).await?;
    let lender = lender_with(&stage, token).await?;
    let plan = plan_in(token, lender);
    let stray = U256::from(1_000);
    let salvage = Executor::salvageCall { token: token.0 };
    token.mint(&stage, stage.executor, stray).await?;
    for blocked in [stage.executor, RECEIVER] {
        token.block(&stage, blocked, true).await?;
        for attempt in [Executor::executeCall { plan: plan.clone() }.abi_encode(), salvage.abi_encode()] {
            let from = if attempt[..4] == Executor::salvageCall::SELECTOR { OWNER } else { OPERATOR };
            let said = words(&stage.ask(from, stage.executor, attempt).await?.err().unwrap_or_default());
            ensure!(said.contains("blocked"), "{blocked}: {said}");
        }
        stage.fails_in_the_block(&plan).await?;
        ensure!(stage.balance(token.0, stage.executor).await? == stray);
        token.block(&stage, blocked, false).await?;
    }
    let snapshot = stage.fork.snapshot().await?;
    stage.send(OWNER, &salvage).await?;
    ensure!(stage.balance(token.0, RECEIVER).await? == stray, "free again");
    stage.fork.revert(snapshot).await?;

    token.block(&stage, RECEIVER, true).await?;
    let mut listing = stage.listing.clone();
    listing.0.extend([(token.0, Role::Token), (lender.0, Role::Lender)]);
    let init = listing.init_code(OWNER, OPERATOR, SUCCESSOR);
    stage.executor = stage.fork.chain.create(stage.fork.manifest.deployer, init).await?;
    let receipt = stage.send(OPERATOR, &Executor::executeCall { plan }).await?;
    let profit = events::<Executor::Executed>(&receipt)[0].profit;
    ensure!(stage.balance(token.0, SUCCESSOR).await? == profit && profit == U256::from(SEIZED - LENT));
    Ok(())
}

// ---- strange tokens ---------------------------------------------------------------------------------------------------

/// It answers nothing, and changes an allowance only from or to zero: one was planted for the lender beforehand.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_answers_nothing_and_a_planted_allowance_are_overcome() -> Result<()> {
    let stage = Stage::new().await?;
    let token = Zoo::listed(&stage, SILENT | RACE).await?;
    let lender = lender_with(&stage, token).await?;
    let plan = plan_in(token, lender);
    for planted in [0, 7, u64::MAX] {
        token.plant(&stage, stage.executor, lender.0, U256::from(planted)).await?;
        let run = stage.run(&plan).await?;
        ensure!(run.profit == U256::from(SEIZED - LENT), "{}", run.profit);
        let left = stage.allowance(token.0, lender.0).await?;
        ensure!(left.is_zero(), "{left} of {planted} left");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_says_no_undoes_the_run() -> Result<()> {
    let stage = Stage::new().await?;
    let token = Zoo::listed(&stage, FALSE).await?;
    let lender = lender_with(&stage, token).await?;
    let plan = plan_in(token, lender);
    stage.refuses_plan("false", &plan, Executor::TokenRefused { token: token.0 }).await?;
    token.becomes(&stage, PLAIN, Address::ZERO).await?;
    stage.run(&plan).await?;
    Ok(())
}

/// T1: what arrived counts, not what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_loses_on_the_way_counts_as_what_arrives() -> Result<()> {
    let stage = Stage::new().await?;
    let fee = Zoo::listed(&stage, FEE).await?;
    let money = Zoo::listed(&stage, SILENT | RACE).await?;
    let lender = lender_with(&stage, money).await?;
    fee.mint(&stage, lender.0, U256::from(STOCK)).await?;
    let mut seizing = plan_in(money, lender);
    (seizing.legs[0].collateral, seizing.profitToken, seizing.legs[0].repay) = (fee.0, fee.0, U256::ZERO);
    let receipt = stage.send(OPERATOR, &Executor::executeCall { plan: seizing.clone() }).await?;
    let arrived = U256::from(SEIZED - SEIZED / 10);
    ensure!(events::<Executor::Liquidated>(&receipt)[0].seized == arrived);
    ensure!(events::<Executor::Executed>(&receipt)[0].profit == arrived);
    ensure!(stage.balance(fee.0, stage.executor).await?.is_zero());

    // As the borrowed token it cannot be given back whole.
    let mut owing = plan_in(fee, lender);
    owing.legs[0].repay = U256::ZERO;
    owing.legs[0].collateral = money.0;
    let refusal = Executor::CannotRepay { held: U256::from(LENT - LENT / 10), owed: U256::from(LENT) };
    stage.refuses_plan("borrowing it", &owing, refusal).await
}

/// A defect found by these tests: the sweep believed the token's yes, counted the profit and left the money behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_keeps_what_it_says_it_sent_undoes_the_run() -> Result<()> {
    let stage = Stage::new().await?;
    let lying = Zoo::listed(&stage, PLAIN).await?;
    let money = Zoo::listed(&stage, SILENT | RACE).await?;
    let lender = lender_with(&stage, money).await?;
    lying.mint(&stage, lender.0, U256::from(STOCK)).await?;
    let mut plan = plan_in(money, lender);
    (plan.legs[0].collateral, plan.profitToken, plan.legs[0].repay) = (lying.0, lying.0, U256::ZERO);
    stage.run(&plan).await?;
    lying.becomes(&stage, KEEPS, stage.executor).await?;
    stage.refuses_plan("a lie", &plan, Executor::TokenRefused { token: lying.0 }).await
}
