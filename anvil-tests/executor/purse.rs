//! The purse: what the owner has put in buys the lender's own token of a collateral, where its reserve can pay nothing out, and
//! buys nothing else, whoever has the operator's key.

use alloy::{
    primitives::{Address, U256, aliases::U24},
    sol_types::{SolCall, SolError},
};
use backstop::bed::{Rng, assets::DOLLAR};
use eyre::{Result, ensure};

use crate::scenes::seed;

use super::{
    Executor, MARKETS, OPERATOR, OWNER, RECEIVER, STRANGER, Stage, WETH_FOR_USDC,
    doubles::Spoofer,
    many, mutations,
    positions::{Form, Funding, borrower},
    stage::{events, words},
};

const TOKEN: u8 = 32;
const PURSE: u8 = 128;
/// Thousandths of a dollar in the purse: what two of the plans spend, and some.
const FILLED: u64 = 12_345_000;

/// A market whose WETH is all lent out, an executor with dollars in its purse, and the plan that spends them.
struct Till {
    stage: Stage,
    shares: Address,
    plan: Executor::Plan,
}

impl Till {
    async fn new(market: &'static str) -> Result<Self> {
        let stage = Stage::new().await?;
        stage.liquidatable(&WETH_FOR_USDC, &[market]).await?;
        stage.fork.exhaust(market, "WETH").await?;
        let shares = stage.fork.a_token(market, "WETH").await?;
        stage.set_role(stage.token("USDC")?, PURSE).await?;
        stage.set_role(shares, TOKEN).await?;
        stage.donate("USDC", stage.fork.amount("USDC", FILLED)?).await?;
        let mut leg = stage.leg(&WETH_FOR_USDC, market, 0, Form::Without)?;
        leg.swaps.clear();
        let plan = Executor::Plan {
            funding: 2,
            source: Address::ZERO,
            amount: leg.repay,
            pairToken: Address::ZERO,
            pairFee: U24::ZERO,
            profitToken: shares,
            minProfit: U256::from(1),
            deadline: U256::from(1_000_000_000),
            legs: vec![leg],
        };
        Ok(Self { stage, shares, plan })
    }

    /// What is in the purse.
    async fn purse(&self) -> Result<U256> {
        self.stage.balance(self.stage.token("USDC")?, self.stage.executor).await
    }

    /// The plan is refused with this error, and the purse is as it was.
    async fn refuses(
        &self,
        what: &str,
        error: impl SolError,
        change: impl FnOnce(&mut Executor::Plan),
    ) -> Result<()> {
        let mut plan = self.plan.clone();
        change(&mut plan);
        self.stage.refuses_plan(what, &plan, error).await?;
        let before = self.purse().await?;
        self.stage.fails_in_the_block(&plan).await?;
        ensure!(self.purse().await? == before, "{what}: the purse was touched");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purse_takes_shares_where_the_reserve_can_pay_nothing_out() -> Result<()> {
    for market in MARKETS {
        let till = Till::new(market).await?;
        let Till { stage, shares, plan, .. } = &till;
        // Nobody can be paid out: with a loan the same liquidation is undone.
        let loan = stage.plan(&WETH_FOR_USDC, market, Funding::Loan, Form::Without)?;
        let answer =
            stage.ask(OPERATOR, stage.executor, Executor::executeCall { plan: loan }.abi_encode()).await?;
        ensure!(answer.is_err(), "{market}: the reserve has something left");

        let before = till.purse().await?;
        let call = Executor::executeCall { plan: plan.clone() };
        let receipt = stage.send(OPERATOR, &call).await?;
        let [executed] = &events::<Executor::Executed>(&receipt)[..] else { eyre::bail!("not one run") };
        let [liquidated] = &events::<Executor::Liquidated>(&receipt)[..] else { eyre::bail!("not one call") };
        let (paid, taken) = (liquidated.repaid, liquidated.seized);
        ensure!((executed.profitToken, executed.profit) == (*shares, taken), "{executed:?}, taken {taken}");
        ensure!(paid == plan.legs[0].repay, "paid {paid}");
        // Twenty four hundredths of an ether more than the dollars: the bonus, less the protocol's share of it.
        let worth = taken * U256::from(1_900) / U256::from(10).pow(U256::from(12));
        ensure!(worth > paid * U256::from(104) / U256::from(100), "{market}: {worth} for {paid}");
        ensure!(before - till.purse().await? == paid, "the purse paid something else");
        let received = stage.balance(*shares, RECEIVER).await?;
        ensure!(received.abs_diff(taken) <= U256::from(2), "{market}: taken {taken}, received {received}");
        let left = stage.balance(*shares, stage.executor).await?;
        ensure!(left <= U256::from(2), "{market}: {left} shares left");
        ensure!(stage.balance(stage.token("WETH")?, RECEIVER).await?.is_zero());
        stage.has_no_allowances().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purse_buys_listed_shares_and_nothing_else() -> Result<()> {
    let till = Till::new("v36").await?;
    let Till { stage, shares, plan, .. } = &till;
    let (usdc, weth) = (stage.token("USDC")?, stage.token("WETH")?);
    let others = stage.fork.a_token("v36", "DAI").await?;
    stage.set_role(others, TOKEN).await?;
    let swaps = stage.leg(&WETH_FOR_USDC, "v36", 0, Form::Without)?.swaps;
    let one_call = |legs| Executor::NotOneCall { legs: U256::from(legs) };
    till.refuses("a swap", one_call(1), |plan| plan.legs[0].swaps = swaps).await?;
    till.refuses("two calls", one_call(2), |plan| plan.legs.push(plan.legs[0].clone())).await?;
    till.refuses("for nothing", Executor::NoLimit {}, |plan| plan.minProfit = U256::ZERO).await?;
    // Listed or not, the collateral itself is none.
    for token in [usdc, others, weth] {
        let not_shares = Executor::NotShares { token, collateral: weth };
        till.refuses("for something else", not_shares, |plan| plan.profitToken = token).await?;
    }
    let purse = till.purse().await?;
    let more = purse + U256::from(1);
    let not_held = Executor::NotHeld { token: usdc, wanted: more, held: purse };
    till.refuses("more than is there", not_held, |plan| plan.amount = more).await?;
    let unknown = Executor::UnknownFunding { funding: 3 };
    till.refuses("by another way", unknown, |plan| plan.funding = 3).await?;

    let not_listed = |account, bit| Executor::NotListed { account, bit: U256::from(bit) };
    till.refuses("an unlisted lender", not_listed(STRANGER, 2), |plan| plan.legs[0].lender = STRANGER)
        .await?;
    for (token, bits, missing) in
        [(*shares, 0, 160), (*shares, TOKEN, 0), (usdc, TOKEN, 128), (usdc, PURSE, 0)]
    {
        stage.set_role(token, bits).await?;
        if missing != 0 {
            till.refuses("what the owner took back", not_listed(token, missing), |_| {}).await?;
        }
    }
    let call = Executor::executeCall { plan: plan.clone() };
    for person in [STRANGER, OWNER, RECEIVER] {
        stage.refuses("somebody else", person, &call, not_listed(person, 1)).await?;
    }
    // The lender asks for a unit more than the plan gives it.
    let mut short = plan.clone();
    short.amount = plan.amount - U256::from(1);
    stage.fails_in_the_block(&short).await?;
    let mut greedy = plan.clone();
    greedy.minProfit = U256::from(10).pow(U256::from(19));
    let answer = stage
        .ask(OPERATOR, stage.executor, Executor::executeCall { plan: greedy.clone() }.abi_encode())
        .await?;
    let Err(data) = answer else { eyre::bail!("took ten ether for five thousand dollars") };
    ensure!(data.starts_with(&Executor::BelowMinimumProfit::SELECTOR), "{}", words(&data));
    stage.fails_in_the_block(&greedy).await?;
    ensure!(till.purse().await? == purse, "the purse was touched");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purse_stays_whole_beside_runs_that_borrow() -> Result<()> {
    for token in ["USDC", "WETH"] {
        let stage = Stage::new().await?;
        stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
        let plan = stage.plan(&WETH_FOR_USDC, "v30", Funding::Loan, Form::WithDeadline)?;
        let snapshot = stage.fork.snapshot().await?;
        let expected = stage.run(&plan).await?.profit;
        stage.fork.revert(snapshot).await?;
        stage.set_role(stage.token(token)?, PURSE).await?;
        let filled = stage.fork.amount(token, FILLED)?;
        stage.donate(token, filled).await?;
        // A loan that cannot be repaid from what was seized is not repaid from the purse either.
        let mut poor = plan.clone();
        poor.legs[0].swaps.clear();
        let answer =
            stage.ask(OPERATOR, stage.executor, Executor::executeCall { plan: poor }.abi_encode()).await?;
        let Err(data) = answer else { eyre::bail!("{token}: the purse repaid a loan") };
        ensure!(data.starts_with(&Executor::CannotRepay::SELECTOR), "{token}: {}", words(&data));
        let receipt = stage.send(OPERATOR, &Executor::executeCall { plan: plan.clone() }).await?;
        let [executed] = &events::<Executor::Executed>(&receipt)[..] else { eyre::bail!("not one run") };
        let received = stage.balance(stage.token("WETH")?, RECEIVER).await?;
        ensure!(
            (executed.profit, received) == (expected, expected),
            "{token}: {executed:?}, {received}, {expected}"
        );
        let left = stage.balance(stage.token(token)?, stage.executor).await?;
        ensure!(left == filled, "{token}: {left} of {filled} left");
        // And the owner takes it back.
        let before = stage.balance(stage.token(token)?, RECEIVER).await?;
        stage.send(OWNER, &Executor::salvageCall { token: stage.token(token)? }).await?;
        ensure!(stage.balance(stage.token(token)?, RECEIVER).await? - before == filled);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_plans_share_a_purse_until_it_is_spent() -> Result<()> {
    let till = Till::new("v30").await?;
    let Till { stage, plan, .. } = &till;
    // A borrower of its own for each: two are paid for, the third finds too little.
    stage.fork.set_price("WETH", 2_000 * DOLLAR).await?;
    for number in [1, 2] {
        stage.open(&WETH_FOR_USDC, "v30", number).await?;
    }
    stage.turn(&WETH_FOR_USDC).await?;
    let plans = [0, 1, 2].map(|number| {
        let mut plan = plan.clone();
        plan.legs[0].borrower = borrower(&WETH_FOR_USDC, number);
        plan
    });
    let before = till.purse().await?;
    let call = many::many(&plans, U256::from(3_000_000), U256::ZERO);
    let receipt = stage.send(OPERATOR, &call).await?;
    let paid =
        events::<Executor::Liquidated>(&receipt).iter().fold(U256::ZERO, |sum, event| sum + event.repaid);
    let failed = events::<Executor::Failed>(&receipt);
    let [third] = &failed[..] else { eyre::bail!("{} failed", failed.len()) };
    ensure!(
        third.place == U256::from(2) && third.reason.starts_with(&Executor::NotHeld::SELECTOR),
        "{third:?}"
    );
    ensure!(before - till.purse().await? == paid && paid == plan.amount * U256::from(2), "paid {paid}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_lender_that_gives_no_shares_gets_nothing_of_the_purse() -> Result<()> {
    let till = Till::new("v36").await?;
    let lender = Spoofer::deploy(&till.stage).await?;
    till.stage.set_role(lender.0, 2).await?;
    // It takes the dollars and gives nothing.
    lender.seizes(&till.stage, U256::ZERO).await?;
    let nothing = Executor::BelowMinimumProfit { profit: U256::ZERO, minimum: U256::from(1) };
    till.refuses("a lender that gives nothing", nothing, |plan| plan.legs[0].lender = lender.0).await
}

const EDITED: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_call_buys_shares_for_the_receiver_or_fails() -> Result<()> {
    let till = Till::new("v36").await?;
    let Till { stage, shares, plan } = &till;
    // Beside it a plan that borrows, for another borrower, in the market that can pay.
    stage.fork.set_price("WETH", 2_000 * DOLLAR).await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let mut loan = stage.plan(&WETH_FOR_USDC, "v30", Funding::Loan, Form::Without)?;
    loan.minProfit = U256::ZERO;
    let many = many::many(&[plan.clone(), loan], U256::from(3_000_000), U256::ZERO);
    let calls = [Executor::executeCall { plan: plan.clone() }.abi_encode(), many.abi_encode()];
    let usdc = stage.token("USDC")?;
    let seed = seed("edited calls of a purse", 0x9a57);
    let mut rng = Rng::new(seed);
    let (mut ran, mut bought) = (0, 0);
    for number in 0..EDITED {
        let mut data = rng.pick(&calls).clone();
        for _ in 0..rng.between(1, 3) {
            mutations::edit(&mut rng, &mut data);
        }
        if stage.ask(OPERATOR, stage.executor, data.clone()).await?.is_err() {
            continue;
        }
        ran += 1;
        let snapshot = stage.fork.snapshot().await?;
        let before = (till.purse().await?, stage.balance(usdc, OPERATOR).await?);
        stage.fork.send(OPERATOR, stage.executor, data).await?;
        let spent = before.0.saturating_sub(till.purse().await?);
        let taken = stage.balance(*shares, RECEIVER).await?;
        let worth = taken * U256::from(1_900) / U256::from(10).pow(U256::from(12));
        let case = format!("SEED={seed} call {number}: {spent} spent, {taken} taken");
        ensure!(worth >= spent, "{case}");
        ensure!(stage.balance(usdc, OPERATOR).await? == before.1, "{case}");
        ensure!(stage.balance(*shares, OPERATOR).await?.is_zero(), "{case}");
        stage.has_no_allowances().await?;
        bought += usize::from(!spent.is_zero());
        stage.fork.revert(snapshot).await?;
    }
    eprintln!("{ran} of {EDITED} edited calls ran, {bought} of them bought shares");
    ensure!(bought > 5 && ran > bought, "too few to say anything: {ran} ran, {bought} bought");
    Ok(())
}
