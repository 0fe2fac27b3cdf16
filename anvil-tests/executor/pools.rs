//! Strange tokens in real Uniswap pools, traded through both real routers.

use alloy::primitives::{
    Address, U256,
    aliases::{I24, U24, U160},
};
use backstop::bed::abi::{MintParams, PositionManager};
use eyre::{Result, ensure};

use super::{
    Executor, STRANGER, Stage,
    doubles::Spoofer,
    positions::Form,
    zoo::{PLAIN, RACE, SILENT, Zoo},
};

const TIER: u32 = 3000;
const DEEP: u128 = 1_000_000_000_000_000_000_000;
const LENT: u128 = 1_000_000_000_000;
const SEIZED: u128 = 1_100_000_000_000;

alloy::sol! {
    function approve(address spender, uint256 amount) external;
}

/// A lender of `money` that seizes `money`, and a plan that sells the surplus of it for `wanted`, one for one.
pub async fn surplus_sale(stage: &Stage, money: Zoo, wanted: Zoo, form: Form) -> Result<Executor::Plan> {
    let lender = Spoofer::deploy(stage).await?;
    stage.set_role(lender.0, 2).await?;
    money.mint(stage, lender.0, U256::from(DEEP)).await?;
    lender.seizes(stage, U256::from(SEIZED)).await?;
    let uniswap = &stage.fork.manifest.uniswap;
    let swap = Executor::Swap {
        router: if form == Form::WithDeadline { uniswap.router } else { uniswap.router02 },
        exactOutput: false,
        tokenIn: money.0,
        tokenOut: wanted.0,
        fee: U24::from(TIER),
        amount: U256::ZERO,
        limit: U256::from(1),
    };
    let leg = Executor::Leg {
        lender: lender.0,
        collateral: money.0,
        debt: money.0,
        borrower: STRANGER,
        repay: U256::from(LENT),
        swaps: vec![swap],
    };
    Ok(Executor::Plan {
        funding: 0,
        source: lender.0,
        amount: leg.repay,
        pairToken: Address::ZERO,
        pairFee: U24::ZERO,
        profitToken: wanted.0,
        minProfit: U256::from(1),
        deadline: U256::from(1_000_000_000),
        legs: vec![leg],
    })
}

/// A pool of the two at one for one.
pub async fn pool(stage: &Stage, a: Zoo, b: Zoo) -> Result<()> {
    let manager = stage.fork.manifest.uniswap.position_manager;
    let (token0, token1) = (a.0.min(b.0), a.0.max(b.0));
    let fee = U24::from(TIER);
    let create = PositionManager::createAndInitializePoolIfNecessaryCall {
        token0,
        token1,
        fee,
        sqrtPriceX96: U160::from(1) << 96,
    };
    stage.fork.chain.invoke(STRANGER, manager, &create).await?;
    for token in [a, b] {
        token.mint(stage, STRANGER, U256::from(DEEP)).await?;
        let approve = approveCall { spender: manager, amount: U256::from(DEEP) };
        stage.fork.chain.invoke(STRANGER, token.0, &approve).await?;
    }
    // Sixty is the tier's spacing: nearly the whole range.
    let edge = I24::try_from(887_220)?;
    let params = MintParams {
        token0,
        token1,
        fee,
        tickLower: -edge,
        tickUpper: edge,
        amount0Desired: U256::from(DEEP),
        amount1Desired: U256::from(DEEP),
        amount0Min: U256::ZERO,
        amount1Min: U256::ZERO,
        recipient: STRANGER,
        deadline: U256::MAX,
    };
    stage.fork.chain.invoke(STRANGER, manager, &PositionManager::mintCall { params }).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_answers_nothing_is_sold_and_bought_through_both_routers() -> Result<()> {
    let stage = Stage::new().await?;
    let silent = Zoo::listed(&stage, SILENT | RACE).await?;
    let plain = Zoo::listed(&stage, PLAIN).await?;
    pool(&stage, silent, plain).await?;
    for form in [Form::WithDeadline, Form::Without] {
        for (money, wanted) in [(silent, plain), (plain, silent)] {
            let plan = surplus_sale(&stage, money, wanted, form).await?;
            // The tier's 0.3 % are gone; the depth and the trades before weigh next to nothing.
            let run = stage.run(&plan).await?;
            let fair = U256::from(SEIZED - LENT) * U256::from(997) / U256::from(1000);
            ensure!(run.profit.abs_diff(fair) < fair / U256::from(1000), "{}", run.profit);
            for token in [silent, plain] {
                ensure!(stage.balance(token.0, stage.executor).await?.is_zero());
                ensure!(stage.allowance(token.0, plan.legs[0].swaps[0].router).await?.is_zero());
            }
        }
    }
    Ok(())
}

/// T1, T6: the router keeps its limit by what it was told; the executor by what arrived.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_counts_what_arrived_and_not_what_the_router_says() -> Result<()> {
    let stage = Stage::new().await?;
    let money = Zoo::listed(&stage, SILENT | RACE).await?;
    let shrinking = Zoo::listed(&stage, PLAIN).await?;
    pool(&stage, money, shrinking).await?;
    let mut plan = surplus_sale(&stage, money, shrinking, Form::Without).await?;
    let snapshot = stage.fork.snapshot().await?;
    let limit = stage.run(&plan).await?.profit;
    stage.fork.revert(snapshot).await?;
    plan.legs[0].swaps[0].limit = limit;
    let snapshot = stage.fork.snapshot().await?;
    ensure!(stage.run(&plan).await?.profit == limit, "exactly the limit is enough");
    stage.fork.revert(snapshot).await?;
    shrinking.rounds(&stage, -1, 0).await?;
    let below = Executor::BelowLimit { token: shrinking.0, received: limit - U256::from(1), limit };
    stage.refuses_plan("one unit lost on the way", &plan, below).await
}
