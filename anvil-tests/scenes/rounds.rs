//! How often the chain must be asked before a decision.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use backstop::{
    app::{bench::bench, wire},
    bed::assets::DOLLAR,
    config::{Config, Need, Sources},
    domain::keeper::{Effect, Input},
    io::simulate::Moment,
};
use eyre::{Result, WrapErr, bail, ensure, eyre};

use super::{MARKETS, stand::Stand};

/// Heads after the first, each with other prices in the feeds and in the pools.
const HEADS: u64 = 4;

/// What one head took.
#[derive(Debug)]
struct Took {
    rounds: usize,
    questions: usize,
    plans: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_among_known_pools_takes_one_round_of_questions() -> Result<()> {
    for market in MARKETS {
        check(market).await.wrap_err(market)?;
    }
    Ok(())
}

async fn check(market: &'static str) -> Result<()> {
    let stand = Stand::new(market).await?;
    fall(&stand, 1_700).await?;
    let config = Config::load(&Sources { file: Some(stand.operator.config()), ..Sources::default() })
        .map_err(|mistakes| eyre!("{mistakes}"))?;
    let mut wire = wire::market(&config, Need::Route, None).await?;
    let bench = bench(&config, &wire, None).await?;
    wire.keeper.engage(bench.terms.clone(), None);
    let venues = venues(&stand);
    let next_timestamp = wire.head.block.timestamp + 1;
    let first =
        Input::Head { dropped: vec![], added: vec![(wire.head, vec![])], jumped: false, next_timestamp };
    let cold = look(&mut wire, &bench.simulator, &venues, first).await?;
    ensure!(cold.plans > 0 && cold.rounds <= 6, "{cold:?}");
    let mut warm = Vec::new();
    for head in 0..HEADS {
        fall(&stand, 1_680 - 20 * head).await?;
        while let Some(input) = wire.advance(&config).await? {
            warm.push(look(&mut wire, &bench.simulator, &venues, input).await?);
        }
    }
    let told = |took: &Took| format!("{} ({} questions, {} plans)", took.rounds, took.questions, took.plans);
    eprintln!(
        "{market}: rounds of questions about pools: {} at first, then {}",
        told(&cold),
        warm.iter().map(told).collect::<Vec<_>>().join(", ")
    );
    let searched = warm.iter().filter(|took| took.rounds > 0).count();
    ensure!(searched as u64 >= HEADS, "the chain did not move");
    // A price that leaves the words that were read, or a first borrower of an asset, takes more.
    let more = warm.iter().filter(|took| took.rounds > 1).count();
    ensure!(more * 4 <= searched, "{more} of {searched} searches took more than one round: {warm:?}");
    ensure!(warm.iter().all(|took| took.rounds <= 3), "{warm:?}");
    Ok(())
}

async fn fall(stand: &Stand, dollars: u64) -> Result<()> {
    stand.fork.set_price("WETH", dollars * DOLLAR).await?;
    stand.fork.move_pools_to_feeds().await?;
    stand.base_fee(10).await
}

/// Whoever is asked about pools.
fn venues(stand: &Stand) -> BTreeSet<Address> {
    let uniswap = &stand.fork.manifest.uniswap;
    uniswap.pools.iter().map(|pool| pool.address).chain([uniswap.factory]).collect()
}

/// Does what a head asks for, and counts the rounds in which a venue is asked.
async fn look(
    wire: &mut wire::Wire,
    simulator: &backstop::io::simulate::Simulator,
    venues: &BTreeSet<Address>,
    first: Input,
) -> Result<Took> {
    let (mut rounds, mut questions) = (0, 0);
    let mut next = Some(first);
    while let Some(input) = next.take() {
        let mut effects = Vec::new();
        wire.keeper.step(input, &mut effects)?;
        ensure!(effects.len() <= 1, "{effects:?}");
        next = match effects.pop() {
            None => None,
            Some(Effect::Read { at, reads }) => {
                rounds += usize::from(reads.iter().any(|read| venues.contains(&read.to)));
                questions += reads.iter().filter(|read| venues.contains(&read.to)).count();
                Some(Input::Answers(wire.reader.answers(at.hash, &reads).await?))
            }
            Some(Effect::Try { at, timestamp, base_fee, calls, .. }) => {
                let when = Moment { at, timestamp, base_fee };
                Some(Input::Trials(simulator.attempt_all(&when, &calls).await?))
            }
            Some(other) => bail!("a dry run asks for {other:?}"),
        };
    }
    Ok(Took { rounds, questions, plans: wire.keeper.report().plans.len() })
}
