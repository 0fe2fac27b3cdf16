//! Pairs of Uniswap V2, and swaps in two parts: a pair and a V3 pool beside each other. Every amount is held against the
//! pools' arithmetic in src/domain/amm, to the last unit.

use alloy::{
    primitives::{Address, Bytes, U256, aliases::U24},
    rpc::types::TransactionReceipt,
    sol_types::{Revert, SolCall, SolEvent},
};
use backstop::{
    bed::{abi::UniswapFactory, uniswap_v2},
    domain::{
        amm::{Exact, Given, v2},
        chain::Answer,
        route::{Knowledge, Known, PoolKind, Venue},
        units::Amount,
    },
};
use eyre::{Result, WrapErr, bail, ensure, eyre};

use super::{
    Executor, MARKETS, OPERATOR, STRANGER, Shape, Stage, WETH_FOR_USDC,
    doubles::{Meddler, Meddling, Spoofer},
    positions::{Form, Funding, USDC_FOR_WETH},
    stage::events,
};

const ANY_ROUTER: u64 = 76;
/// The tier beside the pair; the flash is of another.
const TIER: u32 = 500;

alloy::sol! {
    interface IPair {
        function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 timestamp);
        function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes data) external;
    }
    interface IMoved {
        event Transfer(address indexed from, address indexed to, uint256 value);
        function transfer(address to, uint256 amount) external;
    }
}

/// A pair of WETH and USDC, a million dollars on each side.
pub async fn pair(stage: &Stage) -> Result<Address> {
    uniswap_v2::create_pair(&stage.fork.chain, &stage.fork.manifest, ["WETH", "USDC"], 1_000_000).await
}

/// Has every swap of the plan go through pairs.
pub fn through_pairs(stage: &Stage, plan: &mut Executor::Plan) {
    for swap in plan.legs.iter_mut().flat_map(|leg| &mut leg.swaps) {
        (swap.router, swap.fee) = (stage.fork.manifest.uniswap.v2_router, U24::ZERO);
    }
}

/// Puts a part of each swap before it: through the pair, or what was there of it through the pair and the part not.
pub fn in_two(stage: &Stage, plan: &mut Executor::Plan, part: U256, pair_first: bool) {
    for leg in &mut plan.legs {
        let swaps = std::mem::take(&mut leg.swaps);
        leg.swaps = swaps
            .into_iter()
            .flat_map(|swap| {
                let mut two = [Executor::Swap { amount: part, limit: limit(&swap), ..swap.clone() }, swap];
                let paired = &mut two[usize::from(!pair_first)];
                (paired.router, paired.fee) = (stage.fork.manifest.uniswap.v2_router, U24::ZERO);
                two
            })
            .collect();
    }
}

/// A part brings less than the whole.
fn limit(swap: &Executor::Swap) -> U256 {
    if swap.exactOutput { swap.limit } else { U256::from(1) }
}

/// What moved of a token from one to the other.
fn moved(receipt: &TransactionReceipt, token: Address, from: Address, to: Address) -> U256 {
    let of_token = receipt.logs().iter().filter(|log| log.address() == token);
    let moves = of_token.filter_map(|log| IMoved::Transfer::decode_log(&log.inner).ok());
    moves.filter(|moved| (moved.from, moved.to) == (from, to)).map(|moved| moved.value).sum()
}

async fn reserves(stage: &Stage, pair: Address) -> Result<v2::Pair> {
    let now = stage.fork.chain.read(pair, &IPair::getReservesCall {}).await?;
    Ok(v2::Pair { reserve0: now.reserve0.to(), reserve1: now.reserve1.to() })
}

/// What the best V3 pool brings for so much, or wants; it must be that of the tier.
async fn of_the_tier(stage: &Stage, swap: &Executor::Swap, exact: Exact) -> Result<U256> {
    let uniswap = &stage.fork.manifest.uniswap;
    let venue = Venue {
        factory: uniswap.factory,
        quoter: uniswap.quoter,
        router: uniswap.router,
        wrapped_native: stage.fork.manifest.wrapped_native,
        pairs: None,
    };
    let mut knowledge = Knowledge::of(&venue);
    for _ in 0..16 {
        let ends = (swap.tokenIn, swap.tokenOut);
        let found = match exact {
            Exact::In(amount) => knowledge.best_sale(ends.0, ends.1, Amount(amount), None, None),
            Exact::Out(amount) => knowledge.best_purchase(ends.0, ends.1, Amount(amount), None, None),
        };
        match found {
            Known::Yes(found) => {
                ensure!(found.shares[0].pool == PoolKind::V3(TIER), "{found:?}");
                return Ok(found.total.0);
            }
            Known::No => bail!("no pool serves"),
            Known::NotYet => {}
        }
        let questions = knowledge.missing();
        let mut answers = Vec::new();
        for question in &questions {
            let read = question.read(&venue);
            answers.push(Answer(stage.ask(STRANGER, read.to, read.data).await?.ok()));
        }
        knowledge.learn(&questions, &answers);
    }
    Err(eyre!("no end to the questions"))
}

/// Runs the plan, and holds every swap of it against the state before.
async fn check(stage: &Stage, pair: Address, plan: &Executor::Plan) -> Result<()> {
    let uniswap = &stage.fork.manifest.uniswap;
    let snapshot = stage.fork.snapshot().await?;
    let run = stage.run(plan).await?;
    let seized = events::<Executor::Liquidated>(&run.receipt)[0].seized;
    stage.fork.revert(snapshot).await?;
    let before = reserves(stage, pair).await?;
    let (mut given, mut taken) = (U256::ZERO, U256::ZERO);
    for (place, swap) in plan.legs[0].swaps.iter().enumerate() {
        let (a, b, fee) = (swap.tokenIn, swap.tokenOut, U24::from(TIER));
        let is_paired = swap.router == uniswap.v2_router;
        let pool = match is_paired {
            true => pair,
            false => {
                stage.fork.chain.read(uniswap.factory, &UniswapFactory::getPoolCall { a, b, fee }).await?
            }
        };
        let gave = moved(&run.receipt, a, stage.executor, pool);
        let took = moved(&run.receipt, b, pool, stage.executor);
        let exact = if swap.exactOutput { Exact::Out(took) } else { Exact::In(gave) };
        let side = if a < b { Given::Zero } else { Given::One };
        let expected = match (is_paired, exact) {
            (false, _) => of_the_tier(stage, swap, exact).await?,
            (true, Exact::In(_)) => before.swap(side, exact)?.amount_out,
            (true, Exact::Out(_)) => before.swap(side, exact)?.amount_in,
        };
        let (fixed, found) = if swap.exactOutput { (took, gave) } else { (gave, took) };
        ensure!(found == expected, "swap {place} of {fixed}: {found}, the arithmetic says {expected}");
        ensure!(swap.amount.is_zero() || fixed == swap.amount, "swap {place}: {fixed} of {}", swap.amount);
        (given, taken) = (given + gave, taken + took);
    }
    if plan.legs[0].swaps[0].exactOutput {
        ensure!(run.profit == seized - given, "{} of {seized} less {given}", run.profit);
    } else {
        ensure!(given == seized, "{given} of {seized} sold");
    }
    if plan.funding == 1 {
        // A flash costs its tier, rounded up.
        let fee = (plan.amount * plan.pairFee.to::<U256>()).div_ceil(U256::from(1_000_000));
        let owed = plan.amount + fee;
        let bought = plan.legs[0].swaps[0].exactOutput;
        ensure!(if bought { taken == owed } else { run.profit == taken - owed }, "{taken} for {owed}");
    }
    Ok(())
}

/// Every way of one shape, in both markets and with both fundings.
async fn in_every_way(shape: &Shape, change: impl Fn(&Stage, &mut Executor::Plan)) -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(shape, &MARKETS).await?;
    let pair = pair(&stage).await?;
    for market in MARKETS {
        for funding in [Funding::Loan, Funding::Flash] {
            for form in [Form::WithDeadline, Form::Without] {
                let mut plan = stage.plan(shape, market, funding, form)?;
                change(&stage, &mut plan);
                let row = format!("{} {market} {funding:?} {form:?}", shape.name);
                check(&stage, pair, &plan).await.wrap_err(row)?;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_through_a_pair_brings_what_its_arithmetic_says() -> Result<()> {
    in_every_way(&USDC_FOR_WETH, through_pairs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_through_a_pair_costs_what_its_arithmetic_says() -> Result<()> {
    in_every_way(&WETH_FOR_USDC, through_pairs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_in_two_parts_sells_all_there_is() -> Result<()> {
    for pair_first in [true, false] {
        in_every_way(&USDC_FOR_WETH, |stage, plan| {
            // Four thousand dollars of some eleven.
            in_two(stage, plan, U256::from(4_000_000_000_u64), pair_first);
            plan.legs[0].swaps.iter_mut().for_each(|swap| swap.limit = U256::from(1));
        })
        .await
        .wrap_err_with(|| format!("the pair first: {pair_first}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_in_two_parts_buys_what_is_missing() -> Result<()> {
    for pair_first in [true, false] {
        in_every_way(&WETH_FOR_USDC, |stage, plan| {
            in_two(stage, plan, U256::from(1_234_567_891_u64), pair_first);
        })
        .await
        .wrap_err_with(|| format!("the pair first: {pair_first}"))?;
    }
    Ok(())
}

/// T6: a part that is more than all buys all, and the rest nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_buys_no_more_than_what_is_missing() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    pair(&stage).await?;
    let mut whole = stage.plan(&WETH_FOR_USDC, "v30", Funding::Flash, Form::Without)?;
    through_pairs(&stage, &mut whole);
    for (what, part) in [("a unit more", whole.amount * U256::from(2)), ("the most there is", U256::MAX)] {
        let mut plan = stage.plan(&WETH_FOR_USDC, "v30", Funding::Flash, Form::Without)?;
        in_two(&stage, &mut plan, part, true);
        let mut profits = Vec::new();
        for plan in [&whole, &plan] {
            let snapshot = stage.fork.snapshot().await?;
            profits.push(stage.run(plan).await.wrap_err(what)?.profit);
            stage.fork.revert(snapshot).await?;
        }
        ensure!(profits[0] == profits[1], "{what}: {profits:?}");
    }
    Ok(())
}

/// T4, T8: a router's calls are those of its role, whatever its code would take.
#[tokio::test(flavor = "multi_thread")]
async fn a_router_is_called_as_its_role_says_and_not_otherwise() -> Result<()> {
    for (shape, market) in [(&USDC_FOR_WETH, "v30"), (&WETH_FOR_USDC, "v36")] {
        let stage = Stage::new().await?;
        stage.liquidatable(shape, &[market]).await?;
        pair(&stage).await?;
        let uniswap = stage.fork.manifest.uniswap.clone();
        let mut plan = stage.plan(shape, market, Funding::Loan, Form::Without)?;
        for (router, own) in [(uniswap.v2_router, 64), (uniswap.router, 4), (uniswap.router02, 8)] {
            plan.legs[0].swaps[0].router = router;
            for role in [0, 1, 2, 4, 8, 16, 32, 64].into_iter().filter(|role| *role != own) {
                stage.set_role(router, role).await?;
                let what = format!("{} through {router} as {role}", shape.name);
                if u64::from(role) & ANY_ROUTER == 0 {
                    let refusal = Executor::NotListed { account: router, bit: U256::from(ANY_ROUTER) };
                    stage.refuses_plan(&what, &plan, refusal).await?;
                } else {
                    // It has no such call.
                    stage.refuses_plan(&what, &plan, Executor::CallFailed { target: router }).await?;
                }
                stage.has_no_allowances().await?;
            }
            stage.set_role(router, own).await?;
        }
    }
    Ok(())
}

/// T6: to the unit, by the pair's router and by the executor.
#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_a_swap_through_a_pair_hold_to_the_unit() -> Result<()> {
    let one = U256::from(1);
    let says = |reason: &str| Revert::from(format!("UniswapV2Router: {reason}"));
    for (shape, most) in
        [(&USDC_FOR_WETH, "INSUFFICIENT_OUTPUT_AMOUNT"), (&WETH_FOR_USDC, "EXCESSIVE_INPUT_AMOUNT")]
    {
        let stage = Stage::new().await?;
        stage.liquidatable(shape, &["v36"]).await?;
        let pair = pair(&stage).await?;
        let mut plan = stage.plan(shape, "v36", Funding::Flash, Form::Without)?;
        through_pairs(&stage, &mut plan);
        let snapshot = stage.fork.snapshot().await?;
        let receipt = stage.run(&plan).await?.receipt;
        stage.fork.revert(snapshot).await?;
        let swap = plan.legs[0].swaps[0].clone();
        let exact = match swap.exactOutput {
            true => moved(&receipt, swap.tokenIn, stage.executor, pair),
            false => moved(&receipt, swap.tokenOut, pair, stage.executor),
        };
        let beyond = if swap.exactOutput { exact - one } else { exact + one };
        plan.legs[0].swaps[0].limit = beyond;
        stage.refuses_plan(shape.name, &plan, says(most)).await?;
        stage.fails_in_the_block(&plan).await?;
        plan.legs[0].swaps[0].limit = U256::ZERO;
        stage.refuses_plan("no limit", &plan, Executor::NoLimit {}).await?;
        plan.legs[0].swaps[0].limit = exact;
        stage.run(&plan).await.wrap_err("exactly the limit")?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_is_not_there_or_a_part_that_is_not_held_undoes_the_run() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&USDC_FOR_WETH, &["v30"]).await?;
    let mut plan = stage.plan(&USDC_FOR_WETH, "v30", Funding::Loan, Form::Without)?;
    through_pairs(&stage, &mut plan);
    let router = plan.legs[0].swaps[0].router;
    stage.refuses_plan("no pair", &plan, Executor::CallFailed { target: router }).await?;
    stage.fails_in_the_block(&plan).await?;
    pair(&stage).await?;
    let snapshot = stage.fork.snapshot().await?;
    let receipt = stage.run(&plan).await?.receipt;
    stage.fork.revert(snapshot).await?;
    let held = events::<Executor::Liquidated>(&receipt)[0].seized;
    let wanted = held + U256::from(1);
    plan.legs[0].swaps[0].amount = wanted;
    let token = plan.legs[0].collateral;
    stage.refuses_plan("a unit too much", &plan, Executor::NotHeld { token, wanted, held }).await?;
    plan.legs[0].swaps[0].amount = held;
    stage.run(&plan).await.wrap_err("all there is, by name")?;
    Ok(())
}

/// T11: in the middle of a pair's own swap, which has paid out already, a run that would trade with it is refused by its
/// lock, and one that would not goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_in_the_middle_of_a_swap_trades_with_nobody() -> Result<()> {
    let stage = Stage::new().await?;
    let pair = pair(&stage).await?;
    let (usdc, weth) = (stage.token("USDC")?, stage.token("WETH")?);
    let lender = Spoofer::deploy(&stage).await?;
    stage.set_role(lender.0, 2).await?;
    stage.fork.fund(lender.0, "USDC", stage.fork.amount("USDC", 1_000_000_000)?).await?;
    lender.seizes(&stage, stage.fork.amount("USDC", 2_000_000)?).await?;
    let mut plan = stage.plan(&USDC_FOR_WETH, "v30", Funding::Loan, Form::Without)?;
    (plan.source, plan.amount) = (lender.0, stage.fork.amount("USDC", 1_000_000)?);
    let leg = &mut plan.legs[0];
    (leg.lender, leg.debt, leg.repay) = (lender.0, usdc, plan.amount);
    leg.swaps[0].limit = U256::from(1);
    let elsewhere = plan.clone();
    through_pairs(&stage, &mut plan);
    let borrower = Meddler::before(&stage, Address::ZERO).await?;
    stage.set_role(borrower.0, 1).await?;
    borrower.plots(&stage, Meddling::Intrude).await?;
    let run = |plan: &Executor::Plan| Executor::executeCall { plan: plan.clone() }.abi_encode();
    borrower.order(&stage, stage.executor, run(&plan)).await?;
    borrower.order(&stage, stage.executor, run(&elsewhere)).await?;
    // Gives back what the pair lends, and its fee.
    let lent = stage.fork.amount("WETH", 1_000)?;
    let amount = lent + lent / U256::from(300);
    stage.fork.fund(borrower.0, "WETH", amount).await?;
    borrower.order(&stage, weth, IMoved::transferCall { to: pair, amount }.abi_encode()).await?;
    let [one, other] = if weth < usdc { [lent, U256::ZERO] } else { [U256::ZERO, lent] };
    let borrow =
        IPair::swapCall { amount0Out: one, amount1Out: other, to: borrower.0, data: Bytes::from([1]) };
    let receipt = stage.fork.chain.invoke(STRANGER, pair, &borrow).await?;
    let frames = stage.calls(receipt.transaction_hash).await?;
    let ends = frames
        .iter()
        .filter(|frame| (frame.from, frame.to) == (borrower.0, Some(stage.executor)))
        .map(|frame| (frame.error.is_some(), frame.output.clone()))
        .collect::<Vec<_>>();
    let [(true, locked), (false, _)] = &ends[..] else { bail!("{ends:?}") };
    let refusal = alloy::sol_types::SolError::abi_encode(&Revert::from("UniswapV2: LOCKED"));
    ensure!(locked[..] == refusal[..], "{}", super::stage::words(locked));
    stage.is_clean().await?;
    stage.ask(OPERATOR, stage.executor, run(&plan)).await?.map_err(|_| eyre!("refused after it, too"))?;
    Ok(())
}
