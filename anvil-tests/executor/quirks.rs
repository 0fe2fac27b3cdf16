//! T1, T5, T9, T11: every strangeness of the token double, put in the place of a listed token of the bed: in real
//! markets and real pools, as what is owed, what is seized and what is gained. Either the run is exact, or it is
//! undone and nothing has moved.

use alloy::{
    primitives::{Address, Bytes, U256, address},
    sol_types::SolCall,
};
use eyre::{Result, WrapErr, ensure};

use super::{
    Executor, OPERATOR, RECEIVER, Shape, Stage, WETH_FOR_USDC, doubles,
    positions::{Form, Funding, USDC_FOR_USDC, USDC_FOR_WETH},
    stage::{events, words},
    tokens::{lender_with, plan_in},
    zoo::{
        BOMB, BURN, FALSE, FEE, KEEPS, LONG, NO_ZERO, OLD_SYMBOL, PAUSED, PLAIN, RACE, SILENT, STICKY,
        WITHHOLDS, When, Zoo,
    },
};

/// What becomes of a run.
#[derive(Clone, Copy, Debug)]
enum End {
    /// As with a token without quirks, to the last unit.
    Exact,
    /// As with a token without quirks, but for some units; at most two stay behind.
    Rounded,
    /// Undone, with these words.
    Undone(&'static str),
}
use End::{Exact, Rounded, Undone};

/// Whom a quirk is about.
#[derive(Clone, Copy, Debug)]
enum How {
    All(u64),
    Us(u64),
    /// So many units more arrive with us, and leave us.
    Rounds(i64, i64),
    /// Our money is blocked, or the receiver's.
    BlocksUs,
    BlocksReceiver,
}
use How::{All, BlocksReceiver, BlocksUs, Rounds, Us};

/// What the token is to the plans.
#[derive(Clone, Copy, Debug)]
enum Part {
    Owed,
    Seized,
    /// Owed and seized, too.
    Gained,
}

/// What the token does, as docs/executor.md has it, and what becomes of the plan with a loan and of the one with a flash, in the order of [`Part`].
struct Row(&'static str, How, [[End; 2]; 3]);

const SHORT: End = Undone("not enough");
const BLOCKED: End = Undone("blocked");
const PAUSE: End = Undone("paused");
/// What Uniswap makes of a token that fails, and of a payment that does not arrive.
const UNPAYABLE: End = Undone("Uniswap: TF");
const UNPAID: End = Undone("Uniswap: IIA");
const UNRETURNED: End = Undone("Uniswap: F1");
const PANIC: End = Undone("Panic(0x11)");
const REFUSED: End = Undone("TokenRefused");
const STANDING: End = Undone("AllowanceLeft");
/// 1,024 bytes of what was 200,000.
const CUT: End = Undone("[1024 bytes]");
const BURNT: End = Undone("CallFailed");

const ROWS: [Row; 19] = [
    Row("answers nothing", All(SILENT), [[Exact; 2]; 3]),
    Row("changes an allowance only from or to zero", All(RACE), [[Exact; 2]; 3]),
    Row("refuses an allowance of zero", All(NO_ZERO), [[Exact; 2]; 3]),
    Row("answers in 200,000 bytes", Us(LONG), [[Exact; 2]; 3]),
    Row("answers false", Us(FALSE), [[REFUSED; 2]; 3]),
    Row("loses a tenth on the way", Us(FEE), [[SHORT; 2], [UNPAID; 2], [PANIC; 2]]),
    Row("says it sent and keeps", Us(KEEPS), [[REFUSED, UNRETURNED], [UNPAID; 2], [REFUSED, UNRETURNED]]),
    Row("says it paid us and does not", Us(WITHHOLDS), [[SHORT; 2], [Undone("CannotRepay"); 2], [SHORT; 2]]),
    Row("lets allowances stand", Us(STICKY), [[STANDING; 2]; 3]),
    Row("is paused", All(PAUSED), [[PAUSE, UNPAYABLE], [PAUSE; 2], [PAUSE, UNPAYABLE]]),
    Row("fails with a reason of 200,000 bytes", Us(BOMB), [[CUT; 2]; 3]),
    Row("burns all gas", Us(BURN), [[BURNT; 2]; 3]),
    Row("rounds: two units more arrive", Rounds(2, 0), [[Rounded; 2]; 3]),
    Row("rounds: two units fewer arrive", Rounds(-2, 0), [[SHORT; 2], [UNPAID; 2], [PANIC; 2]]),
    // A flash takes from the pool what the executor never sees and cannot give back.
    Row(
        "rounds: two units more leave",
        Rounds(0, 2),
        [[Rounded, UNRETURNED], [Rounded; 2], [Rounded, UNRETURNED]],
    ),
    Row("rounds: two units fewer leave", Rounds(0, -2), [[Rounded; 2]; 3]),
    Row("rounds: three units fewer leave", Rounds(0, -3), [[REFUSED; 2]; 3]),
    Row("blocks the executor", BlocksUs, [[BLOCKED, UNPAYABLE], [BLOCKED; 2], [BLOCKED, UNPAYABLE]]),
    Row("blocks the receiver", BlocksReceiver, [[Exact; 2], [Exact; 2], [BLOCKED; 2]]),
];

/// The stage with USDC replaced, and the two plans.
async fn scene(shape: &Shape, markets: [&str; 2]) -> Result<(Stage, Zoo, [Executor::Plan; 2])> {
    let stage = Stage::new().await?;
    stage.liquidatable(shape, &markets).await?;
    let usdc = Zoo::in_place_of(&stage, "USDC").await?;
    let plans = [
        stage.plan(shape, markets[0], Funding::Loan, Form::WithDeadline)?,
        stage.plan(shape, markets[1], Funding::Flash, Form::Without)?,
    ];
    Ok((stage, usdc, plans))
}

async fn apply(stage: &Stage, token: Zoo, how: How) -> Result<()> {
    match how {
        All(quirks) => token.becomes(stage, quirks, Address::ZERO).await,
        Us(quirks) => token.becomes(stage, quirks, stage.executor).await,
        Rounds(more, dearer) => {
            token.becomes(stage, PLAIN, stage.executor).await?;
            token.rounds(stage, more, dearer).await
        }
        BlocksUs => token.block(stage, stage.executor, true).await,
        BlocksReceiver => token.block(stage, RECEIVER, true).await,
    }
}

/// Every row, from the same state, with both plans.
async fn check(stage: &Stage, token: Zoo, plans: &[Executor::Plan; 2], part: Part) -> Result<()> {
    for (funding, plan) in plans.iter().enumerate() {
        let snapshot = stage.fork.snapshot().await?;
        let plain = stage.run(plan).await.wrap_err("without quirks")?.profit;
        stage.fork.revert(snapshot).await?;
        for Row(what, how, ends) in &ROWS {
            let snapshot = stage.fork.snapshot().await?;
            apply(stage, token, *how).await?;
            ends_so(stage, token, plan, plain, ends[part as usize][funding])
                .await
                .wrap_err_with(|| format!("{part:?} token, plan {funding}: {what}"))?;
            stage.fork.revert(snapshot).await?;
        }
    }
    Ok(())
}

async fn ends_so(stage: &Stage, token: Zoo, plan: &Executor::Plan, plain: U256, end: End) -> Result<()> {
    match end {
        Exact => {
            let profit = stage.run(plan).await?.profit;
            ensure!(profit == plain, "profit {profit}, not {plain}");
        }
        Rounded => {
            let receipt = stage.send(OPERATOR, &Executor::executeCall { plan: plan.clone() }).await?;
            let profit = events::<Executor::Executed>(&receipt)[0].profit;
            // Some units of USDC, in WETH where that is what is gained: a millionth is far more.
            ensure!(profit.abs_diff(plain) < plain / U256::from(1_000_000), "profit {profit}, not {plain}");
            let left = stage.balance(token.0, stage.executor).await?;
            ensure!(left <= U256::from(2), "{left} left");
            stage.has_no_allowances().await?;
        }
        Undone(wanted) => {
            let call = Executor::executeCall { plan: plan.clone() };
            let said = match stage.ask(OPERATOR, stage.executor, call.abi_encode()).await? {
                Ok(data) => format!("profit {}", U256::from_be_slice(&data)),
                Err(data) => words(&data),
            };
            ensure!(said.contains(wanted), "{said}, not {wanted}");
            stage.fails_in_the_block(plan).await?;
            stage.has_no_allowances().await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_debt_is_repaid_or_the_run_is_undone() -> Result<()> {
    let (stage, usdc, plans) = scene(&WETH_FOR_USDC, ["v30", "v36"]).await?;
    check(&stage, usdc, &plans, Part::Owed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_collateral_is_sold_or_the_run_is_undone() -> Result<()> {
    let (stage, usdc, plans) = scene(&USDC_FOR_WETH, ["v36", "v30"]).await?;
    check(&stage, usdc, &plans, Part::Seized).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_profit_is_handed_on_or_the_run_is_undone() -> Result<()> {
    let (stage, usdc, mut plans) = scene(&USDC_FOR_USDC, ["v30", "v36"]).await?;
    for plan in &mut plans {
        plan.legs[0].swaps.clear();
        plan.profitToken = usdc.0;
    }
    check(&stage, usdc, &plans, Part::Gained).await
}

#[test]
fn the_table_of_strange_tokens_in_the_docs_is_the_one_that_is_tried() {
    let text = std::fs::read_to_string(doubles::root().join("docs/executor.md")).unwrap();
    let cell = |ends: &[End; 2]| {
        let [loan, flash] = ends.map(|end| match end {
            Exact => "exact",
            Rounded => "rounded",
            Undone(_) => "undone",
        });
        if loan == flash { loan.to_owned() } else { format!("{loan}; {flash}") }
    };
    for Row(what, _, [owed, seized, gained]) in &ROWS {
        let line = format!("| {what} | {} | {} | {} |", cell(owed), cell(seized), cell(gained));
        assert!(text.contains(&line), "docs/executor.md lacks the line\n{line}");
    }
}

/// Two units fewer arrive each time, and still it is paid back: a little more is borrowed, and all is sold for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_debt_that_rounds_down_is_repaid_from_a_surplus() -> Result<()> {
    let (stage, usdc, [mut plan, _]) = scene(&WETH_FOR_USDC, ["v30", "v36"]).await?;
    plan.amount += U256::from(2);
    plan.profitToken = usdc.0;
    let swap = &mut plan.legs[0].swaps[0];
    (swap.exactOutput, swap.tokenIn, swap.tokenOut) = (false, stage.token("WETH")?, usdc.0);
    swap.limit = stage.fork.amount("USDC", 5_000_000)?;
    let snapshot = stage.fork.snapshot().await?;
    let plain = stage.run(&plan).await?.profit;
    stage.fork.revert(snapshot).await?;
    apply(&stage, usdc, Rounds(-2, 0)).await?;
    ends_so(&stage, usdc, &plan, plain, Rounded).await
}

/// T1, T7: a token that behaves where it is simulated and changes its mind in the block: by the price of gas, or by who
/// builds the block.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_good_in_the_simulation_only_undoes_the_run_in_the_block() -> Result<()> {
    let (stage, usdc, mut plans) = scene(&USDC_FOR_USDC, ["v30", "v36"]).await?;
    let builder = address!("0x00000000000000000000000000000000b111de12");
    for plan in &mut plans {
        plan.legs[0].swaps.clear();
        plan.profitToken = usdc.0;
        for when in [When::Priced, When::BuiltBy(builder)] {
            for quirks in [FALSE, FEE, KEEPS, WITHHOLDS, STICKY, PAUSED, BOMB, BURN] {
                let snapshot = stage.fork.snapshot().await?;
                usdc.becomes(&stage, quirks, stage.executor).await?;
                usdc.only(&stage, when).await?;
                let call = Executor::executeCall { plan: plan.clone() };
                let answer = stage.ask(OPERATOR, stage.executor, call.abi_encode()).await?;
                ensure!(answer.is_ok(), "{when:?} {quirks}: {}", words(&answer.err().unwrap_or_default()));
                stage.set_builder(builder).await?;
                stage.fails_in_the_block(plan).await.wrap_err_with(|| format!("{when:?} {quirks}"))?;
                stage.has_no_allowances().await?;
                // The control: without its quirk the same builder takes the plan.
                usdc.becomes(&stage, PLAIN, stage.executor).await?;
                stage.run(plan).await?;
                stage.set_builder(Address::ZERO).await?;
                stage.fork.revert(snapshot).await?;
            }
        }
    }
    Ok(())
}

/// The executor reads neither: amounts are units, whatever they are called.
#[tokio::test(flavor = "multi_thread")]
async fn decimals_and_symbols_of_every_kind_make_no_difference() -> Result<()> {
    let stage = Stage::new().await?;
    for decimals in [0, 2, 6, 18, 27] {
        let token = Zoo::listed(&stage, OLD_SYMBOL).await?;
        token.decimals(&stage, decimals).await?;
        let unit = U256::from(10).pow(U256::from(decimals));
        let lender = lender_with(&stage, token).await?;
        token.mint(&stage, lender.0, U256::from(1_000) * unit).await?;
        lender.seizes(&stage, U256::from(11) * unit).await?;
        let mut plan = plan_in(token, lender);
        (plan.amount, plan.legs[0].repay) = (U256::from(10) * unit, U256::from(10) * unit);
        plan.minProfit = unit;
        let profit = stage.run(&plan).await?.profit;
        ensure!(profit == unit, "{decimals} decimals: {profit}");
        plan.minProfit += U256::from(1);
        let refusal = Executor::BelowMinimumProfit { profit: unit, minimum: plan.minProfit };
        stage.refuses_plan("a unit more", &plan, refusal).await?;
    }
    Ok(())
}

/// A listed token that is no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_code_is_gone_undoes_the_run() -> Result<()> {
    let (stage, usdc, plans) = scene(&WETH_FOR_USDC, ["v30", "v36"]).await?;
    stage.fork.chain.set_code(usdc.0, Bytes::new()).await?;
    for plan in &plans {
        stage.refuses_plan("no code", plan, Executor::BadAnswer { target: usdc.0 }).await?;
    }
    Ok(())
}
