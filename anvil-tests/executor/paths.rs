//! Whole runs: every shape of a liquidation, in both releases of Aave, funded by a loan and by a flash, through both
//! forms of router. Each says what gas it took.

use alloy::{primitives::U256, sol_types::SolError};
use backstop::abi::aave::Pool;
use eyre::{Result, WrapErr, ensure};

use super::{
    Executor, MARKETS, Shape, Stage,
    doubles::Spoofer,
    positions::{
        Form, Funding, USDC_FOR_USDC, USDC_FOR_WETH, WBTC_FOR_DAI, WBTC_FOR_USDC_AND_THE_REST,
        WBTC_FOR_USDC_THROUGH_WETH, WETH_FOR_USDC, WETH_FOR_WETH,
    },
    stage::{events, is_refusal, words},
};

alloy::sol! {
    error FlashloanDisabled();
}

const FUNDINGS: [Funding; 2] = [Funding::Loan, Funding::Flash];
const FORMS: [Form; 2] = [Form::WithDeadline, Form::Without];

#[tokio::test(flavor = "multi_thread")]
async fn collateral_is_the_profit_token() -> Result<()> {
    check(&WETH_FOR_USDC).await
}

#[tokio::test(flavor = "multi_thread")]
async fn debt_is_the_profit_token() -> Result<()> {
    check(&USDC_FOR_WETH).await
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_is_the_profit_token_two_swaps() -> Result<()> {
    check(&WBTC_FOR_USDC_THROUGH_WETH).await
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_is_the_profit_token_direct_and_the_rest() -> Result<()> {
    check(&WBTC_FOR_USDC_AND_THE_REST).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debt_that_one_market_does_not_flash_lend() -> Result<()> {
    check(&WBTC_FOR_DAI).await
}

#[tokio::test(flavor = "multi_thread")]
async fn collateral_and_debt_are_one_token_and_the_surplus_is_sold() -> Result<()> {
    check(&USDC_FOR_USDC).await
}

#[tokio::test(flavor = "multi_thread")]
async fn collateral_and_debt_and_profit_are_one_token_without_swaps() -> Result<()> {
    check(&WETH_FOR_WETH).await
}

/// Runs the shape every way there is, each from the same state.
async fn check(shape: &Shape) -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(shape, &MARKETS).await?;
    let forms = if shape.hops.is_empty() { &FORMS[..1] } else { &FORMS };
    for market in MARKETS {
        for funding in FUNDINGS {
            for form in forms {
                let row = format!("{} {market} {funding:?} {form:?}", shape.name);
                let plan = stage.plan(shape, market, funding, *form)?;
                if market == "v36" && shape.debt == "DAI" && funding == Funding::Loan {
                    stage.refuses_plan(&row, &plan, FlashloanDisabled {}).await?;
                    continue;
                }
                let snapshot = stage.fork.snapshot().await?;
                let run = stage.run(&plan).await.wrap_err_with(|| row.clone())?;
                ensure!(!run.profit.is_zero(), "{row}: no profit");
                agrees_with_the_market(&plan, &run.receipt).wrap_err_with(|| row.clone())?;
                eprintln!("gas {:>7}  profit {:>20}  {row}", run.gas, run.profit);
                stage.fork.revert(snapshot).await?;
            }
        }
    }
    Ok(())
}

/// What the executor says of each leg is what the market says.
fn agrees_with_the_market(
    plan: &Executor::Plan,
    receipt: &alloy::rpc::types::TransactionReceipt,
) -> Result<()> {
    let ours = events::<Executor::Liquidated>(receipt);
    let theirs = events::<Pool::LiquidationCall>(receipt);
    ensure!(ours.len() == plan.legs.len() && theirs.len() == plan.legs.len(), "an event a leg");
    for ((leg, our), their) in plan.legs.iter().zip(&ours).zip(&theirs) {
        ensure!((our.borrower, our.collateral, our.debt) == (leg.borrower, leg.collateral, leg.debt));
        ensure!(
            (their.user, their.collateralAsset, their.debtAsset) == (leg.borrower, leg.collateral, leg.debt)
        );
        ensure!(our.repaid == their.debtToCover && our.repaid == leg.repay, "repaid {}", our.repaid);
        ensure!(our.seized == their.liquidatedCollateralAmount, "seized {}", our.seized);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_borrowers_in_one_run() -> Result<()> {
    let stage = Stage::new().await?;
    let shape = &WETH_FOR_USDC;
    stage.open(shape, "v36", 1).await?;
    stage.liquidatable(shape, &["v30"]).await?;
    let one = stage.plain_plan()?;
    let snapshot = stage.fork.snapshot().await?;
    let alone = stage.run(&one).await?.profit;
    stage.fork.revert(snapshot).await?;

    let mut plan = one;
    plan.legs.push(stage.leg(shape, "v36", 1, Form::Without)?);
    plan.amount += plan.amount;
    let run = stage.run(&plan).await?;
    eprintln!("gas {:>7}  profit {:>20}  two legs in two markets", run.gas, run.profit);
    agrees_with_the_market(&plan, &run.receipt)?;
    ensure!(run.profit > alone + alone / U256::from(2), "the second leg brought nothing: {}", run.profit);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_greatest_repay_covers_all_the_market_allows() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    for market in MARKETS {
        let mut plan = stage.plan(&WETH_FOR_USDC, market, Funding::Flash, Form::Without)?;
        let debt = stage.fork.debt(market, plan.legs[0].borrower, "USDC").await?;
        plan.amount = debt;
        plan.legs[0].repay = U256::MAX;
        plan.legs[0].swaps[0].limit = stage.fork.amount("WETH", 9_000)?;
        let run = stage.run(&plan).await?;
        let repaid = events::<Executor::Liquidated>(&run.receipt)[0].repaid;
        // Half of the debt, give or take the interest of a few seconds.
        let half = debt / U256::from(2);
        ensure!(repaid.abs_diff(half) < half / U256::from(10_000), "{market}: {repaid} of {debt}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_fit_into_one_transaction_and_leave_no_door_open() -> Result<()> {
    let stage = Stage::new().await?;
    stage.open(&WETH_FOR_USDC, "v30", 1).await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let contract = Spoofer::deploy(&stage).await?;
    stage.set_role(contract.0, 1).await?;
    let first = stage.plain_plan()?;
    let mut second = stage.plan(&WETH_FOR_USDC, "v30", Funding::Flash, Form::Without)?;
    second.legs = vec![stage.leg(&WETH_FOR_USDC, "v30", 1, Form::Without)?];
    let first = Executor::executeCall { plan: first };
    let second = Executor::executeCall { plan: second };
    let answer = contract.relay_twice(&stage, &first, &second).await?;
    ensure!(answer.is_ok(), "{}", words(&answer.err().unwrap_or_default()));
    let late =
        Executor::uniswapV3FlashCallbackCall { fee0: U256::ZERO, fee1: U256::ZERO, data: Default::default() };
    let answer = contract.relay_twice(&stage, &first, &late).await?;
    let refusal = Executor::CallbackRefused { caller: contract.0 };
    is_refusal("a callback after the run", &answer, &refusal.abi_encode())
}
