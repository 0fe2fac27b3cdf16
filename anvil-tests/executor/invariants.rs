//! A long random sequence of what anybody can do, on one fork, and after each step what must hold: strangers gain nothing
//! from the executor, nobody's money falls by their doing, no leave to take is left, a run brings at least its least profit
//! and leaves nothing. And violations that are planted, each of which the same judgement finds.

use alloy::primitives::{Address, B256, U256};
use backstop::domain::executor::role_slot;
use eyre::{Result, WrapErr, ensure, eyre};

use crate::scenes::seed;

use super::{
    Executor, OPERATOR, RECEIVER, STRANGER, Stage, WETH_FOR_USDC,
    ledger::{Meant, VICTIM},
    stage::{Erc20, events},
    world::World,
};

const STEPS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_nobody_gains_from_the_executor_but_the_receiver() -> Result<()> {
    let seed = seed("the executor among people", 0xe4ec);
    let mut world = World::new(seed).await?;
    let mut before = world.read().await?;
    for number in 0..STEPS {
        let (what, meant) = world.step().await.wrap_err_with(|| format!("SEED={seed} step {number}"))?;
        let after = world.read().await?;
        world
            .judge(&before, &after, &meant)
            .wrap_err_with(|| format!("SEED={seed} step {number}, {what}"))?;
        before = after;
    }
    let counts = &world.counts;
    eprintln!("{counts:?}");
    ensure!(
        counts.runs > 5 && counts.plans > 2 && counts.refused > 5 && counts.attacks > 50,
        "SEED={seed}: {counts:?}"
    );
    Ok(())
}

/// Something that must never happen, made to happen by the node.
#[derive(Clone, Copy, Debug)]
enum Violation {
    /// So much of the holder's USDC is with somebody else.
    Moved(Address, Address),
    /// Somebody may take the executor's USDC.
    Allowed(Address),
    /// A slot of the executor has another value.
    Stored(B256, B256),
    /// The executor's native coin is gone.
    Burnt,
    /// So many units of USDC are with the executor that were not.
    Added(u64),
}
use Violation::{Added, Allowed, Burnt, Moved, Stored};

impl Violation {
    async fn plant(self, stage: &Stage) -> Result<()> {
        let usdc = stage.token("USDC")?;
        match self {
            Moved(from, to) => {
                let take = Erc20::transferCall { to, amount: U256::from(1) };
                stage.fork.chain.invoke(from, usdc, &take).await?;
            }
            Allowed(spender) => {
                let approve = Erc20::approveCall { spender, amount: U256::from(1) };
                stage.fork.chain.invoke(stage.executor, usdc, &approve).await?;
            }
            Stored(slot, value) => stage.fork.chain.set_storage(stage.executor, slot.into(), value).await?,
            Burnt => stage.fork.set_balance(stage.executor, U256::ZERO).await?,
            Added(units) => stage.donate("USDC", U256::from(units)).await?,
        }
        Ok(())
    }
}

/// The world with something to take: a thousand dollars and some coin with the executor, money with everybody, and a
/// borrower that can be liquidated.
async fn rich() -> Result<World> {
    let world = World::new(0).await?;
    let stage = &world.stage;
    for holder in [stage.executor, RECEIVER, STRANGER] {
        stage.fork.fund(holder, "USDC", U256::from(1_000_000_000)).await?;
    }
    stage.turn(&WETH_FOR_USDC).await?;
    Ok(world)
}

/// The judgement must find it, and say so.
fn finds(what: &str, judged: Result<()>, words: &str) -> Result<()> {
    match judged {
        Ok(()) => Err(eyre!("{what}: was not found")),
        Err(found) => {
            ensure!(format!("{found:#}").contains(words), "{what}: found {found:#}, not {words}");
            Ok(())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_judgement_finds_what_is_planted() -> Result<()> {
    let world = rich().await?;
    let stage = &world.stage;
    let executor = stage.executor;
    let elsewhere = Address::with_last_byte(0xe1);
    let usdc = stage.token("USDC")?;
    let slot = B256::with_last_byte;
    let gift = || Meant::Gift { token: usdc, amount: U256::from(3) };
    let rows = [
        ("stolen", Moved(executor, STRANGER), Meant::Nothing, "gained 1"),
        ("gone", Moved(executor, elsewhere), Meant::Nothing, "the executor had 1000000000"),
        ("an allowance", Allowed(STRANGER), Meant::Nothing, "may take"),
        ("an allowance for a listed one", Allowed(stage.lender("v30")?), Meant::Rule, "may take"),
        ("another owner", Stored(slot(1), STRANGER.into_word()), Meant::Nothing, "the order is"),
        ("another heir", Stored(slot(2), STRANGER.into_word()), Meant::Rule, "the order is"),
        ("another receiver", Stored(slot(3), STRANGER.into_word()), Meant::Nothing, "the order is"),
        ("a new operator", Stored(role_slot(STRANGER), slot(1)), Meant::Nothing, "the order is"),
        ("a token off the list", Stored(role_slot(usdc), slot(0)), Meant::Nothing, "the order is"),
        ("the receiver robbed", Moved(RECEIVER, elsewhere), Meant::Nothing, "had 1"),
        ("the victim robbed", Moved(VICTIM, elsewhere), Meant::Nothing, "had 1"),
        ("the receiver paid without a run", Moved(STRANGER, RECEIVER), Meant::Nothing, "was given 1"),
        ("the operator paid", Moved(STRANGER, OPERATOR), Meant::Nothing, "was given 1"),
        ("coin gone", Burnt, Meant::Nothing, "the executor had 100"),
        ("a gift that was more", Added(4), gift(), "was given 3"),
        ("a gift that did not come", Added(0), gift(), "was given 3"),
        ("a salvage that left something", Moved(executor, RECEIVER), Meant::Salvage(usdc), "after a salvage"),
    ];
    for (what, violation, meant, words) in rows {
        let snapshot = stage.fork.snapshot().await?;
        let before = world.read().await?;
        violation.plant(stage).await.wrap_err(what)?;
        let after = world.read().await?;
        finds(what, world.judge(&before, &after, &meant), words)?;
        stage.fork.revert(snapshot).await?;
    }
    // The control: what is allowed passes.
    let before = world.read().await?;
    world.judge(&before, &before, &Meant::Nothing)?;
    Added(3).plant(stage).await?;
    world.judge(&before, &world.read().await?, &gift())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_judgement_finds_what_is_planted_behind_a_run() -> Result<()> {
    let world = rich().await?;
    let stage = &world.stage;
    let elsewhere = Address::with_last_byte(0xe1);
    let mut plan = stage.plain_plan()?;
    plan.profitToken = stage.token("USDC")?;
    let swap = &mut plan.legs[0].swaps[0];
    (swap.exactOutput, swap.limit) = (false, U256::from(1));
    let before = world.read().await?;
    let receipt = stage.send(OPERATOR, &Executor::executeCall { plan: plan.clone() }).await?;
    let profit = events::<Executor::Executed>(&receipt)[0].profit;
    let meant = |plan: &Executor::Plan, least| Meant::Run {
        plans: vec![plan.clone()],
        least,
        receipt: Box::new(receipt.clone()),
    };
    let after = world.read().await?;
    world.judge(&before, &after, &meant(&plan, profit))?;

    let mut dear = plan.clone();
    dear.minProfit = profit + U256::from(1);
    finds("below its least", world.judge(&before, &after, &meant(&dear, profit)), "at least")?;
    let over_all = meant(&plan, profit + U256::from(1));
    finds("below the least over all", world.judge(&before, &after, &over_all), "over all, at least")?;
    finds("a refused run that moved money", world.judge(&before, &after, &Meant::Nothing), "was given")?;
    let mut elsewhere_touched = plan.clone();
    let dai = stage.token("DAI")?;
    elsewhere_touched.profitToken = dai;
    elsewhere_touched.legs[0].debt = dai;
    elsewhere_touched.legs[0].swaps.clear();
    let not_touched = world.judge(&before, &after, &meant(&elsewhere_touched, U256::ZERO));
    finds("what the plan did not name is gone", not_touched, "are left")?;
    for (what, violation, words) in [
        ("three units left", Added(3), "are left"),
        ("a unit of the profit elsewhere", Moved(RECEIVER, elsewhere), "was due"),
        ("a unit too much", Moved(STRANGER, RECEIVER), "was due"),
        ("an allowance left", Allowed(stage.lender("v30")?), "may take"),
    ] {
        let snapshot = stage.fork.snapshot().await?;
        violation.plant(stage).await.wrap_err(what)?;
        finds(what, world.judge(&before, &world.read().await?, &meant(&plan, profit)), words)?;
        stage.fork.revert(snapshot).await?;
    }
    Ok(())
}
