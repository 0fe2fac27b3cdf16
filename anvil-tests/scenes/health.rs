//! What `positions` prints is what the pool itself answers at that block, to the last digit, through random prices,
//! times and actions; read afresh by the command, and kept true log by log as the daemon does.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes, U256, address},
    providers::Provider,
    rpc::types::Filter,
    sol_types::SolEvent,
};
use backstop::{
    abi::aave::Pool,
    app::{
        hands::{Hands, drive},
        wire,
    },
    bed::{Fork, Rng, assets::ASSETS},
    config::{Config, Need, Sources},
    domain::{prices::Moment, protocol::Protocol},
};
use eyre::{Result, WrapErr, ensure, eyre};
use serde::Deserialize;

use super::{seed, stand::Stand};

const MULTICALL: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
const BLOCKS: usize = 20;
const ACTIONS: u64 = 5;

/// A line of `positions --json`.
#[derive(Debug, Deserialize)]
struct Line {
    block: u64,
    block_hash: B256,
    timestamp: u64,
    account: Address,
    health_factor: U256,
    collateral_base: U256,
    debt_base: U256,
}

/// How the keeper may read contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Multicall3 in small portions.
    SmallMulticalls,
    /// There is no Multicall3: JSON-RPC batches.
    Batches,
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_equal_the_contract_to_the_last_digit_in_v30() -> Result<()> {
    check("v30", Reading::Batches).await
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_equal_the_contract_to_the_last_digit_in_v36() -> Result<()> {
    check("v36", Reading::SmallMulticalls).await
}

/// Prints and audits the market after each round of chance.
async fn check(market: &'static str, reading: Reading) -> Result<()> {
    let seed = seed(&format!("positions of {market}"), 20_260_301);
    let mut rng = Rng::new(seed);
    let mut stand = Stand::new(market).await?;
    let small = match reading {
        Reading::SmallMulticalls => "7",
        Reading::Batches => {
            stand.fork.chain.set_code(MULTICALL, Bytes::new()).await?;
            "40"
        }
    };
    stand.operator.environment.push(("BACKSTOP_RPC__BATCH".into(), small.into()));
    let (mut compared, mut liquidatable) = (0_usize, 0_usize);
    let mut tally = Tally::default();
    for round in 0..BLOCKS {
        live_on(&stand.fork, market, &mut rng, round, &mut tally).await?;
        let said = stand.operator.run(&["positions", "--audit", "--json"])?;
        ensure!(said.code == Some(0), "SEED={seed} round {round}: {said:#?}");
        let way = if reading == Reading::Batches { "batches" } else { "multicall" };
        ensure!(said.stderr.contains(way), "read by {way}: {}", said.stderr);
        let lines = said.stdout.lines().map(serde_json::from_str).collect::<Result<Vec<Line>, _>>()?;
        for line in &lines {
            the_contract_agrees(&stand, line).await.wrap_err_with(|| format!("SEED={seed} round {round}"))?;
            liquidatable += usize::from(line.health_factor < U256::from(10).pow(U256::from(18)));
        }
        let listed = lines.iter().map(|line| line.account).collect::<BTreeSet<_>>();
        ensure!(
            listed == borrowers(&stand.fork, market).await?,
            "SEED={seed}: every borrower, and only they"
        );
        compared += lines.len();
    }
    eprintln!(
        "{market}: {compared} positions equal the contract's, of which {liquidatable} liquidatable, by {reading:?}; \
         actions {tally:?}"
    );
    ensure!(compared >= BLOCKS * 60, "{compared} comparisons");
    Ok(())
}

/// Actions done and refused.
type Tally = BTreeMap<&'static str, usize>;

/// A while passes: prices move, time jumps, people act, and now and then somebody borrows for the first time.
async fn live_on(fork: &Fork, market: &str, rng: &mut Rng, round: usize, tally: &mut Tally) -> Result<()> {
    for asset in &ASSETS {
        let price = fork.price(asset.symbol).await? * rng.between(850, 1_151) / 1_000;
        // A walk without end would leave what the pool's sums can hold.
        let price = price.clamp(asset.price / 3, asset.price * 3);
        fork.set_price(asset.symbol, price).await?;
    }
    let scale = *rng.pick(&[60, 3_600, 86_400, 7 * 86_400]);
    fork.increase_time(rng.between(scale, 3 * scale)).await?;
    for _ in 0..ACTIONS {
        let action = fork.random_action(rng, market).await?;
        *tally.entry(if action.is_done() { "done" } else { "refused" }).or_default() += 1;
    }
    if round % 4 == 1 {
        let newcomer = Address::from_word(B256::from(U256::from(rng.next_u64())));
        fork.supply(market, newcomer, "WETH", fork.amount("WETH", rng.between(500, 20_000))?).await?;
        let room = fork.account_data(market, newcomer, BlockId::latest()).await?.availableBorrowsBase;
        let dollars = room * U256::from(rng.between(10, 99)) / U256::from(100);
        let dai = dollars * U256::from(10).pow(U256::from(18)) / U256::from(fork.price("DAI").await?);
        fork.borrow(market, newcomer, "DAI", dai).await?;
        *tally.entry("newcomers").or_default() += 1;
    }
    Ok(())
}

/// The line names a block by its own hash and time, and the pool's answer pinned to that block.
async fn the_contract_agrees(stand: &Stand, line: &Line) -> Result<()> {
    let head = stand.head().await?;
    ensure!(
        (line.block, line.block_hash, line.timestamp) == (head.number, head.hash, head.timestamp),
        "{line:?} is not of block {} {} at {}",
        head.number,
        head.hash,
        head.timestamp
    );
    let theirs = stand.fork.account_data(stand.market, line.account, BlockId::number(line.block)).await?;
    let ours = (line.collateral_base, line.debt_base, line.health_factor);
    ensure!(
        ours == (theirs.totalCollateralBase, theirs.totalDebtBase, theirs.healthFactor),
        "{line:?}, but {theirs:?}"
    );
    Ok(())
}

/// The manifest's borrowers and everybody who borrowed since.
async fn borrowers(fork: &Fork, market: &str) -> Result<BTreeSet<Address>> {
    let known = fork.manifest.market(market)?;
    let filter = Filter::new()
        .address(known.pool)
        .event_signature(Pool::Borrow::SIGNATURE_HASH)
        .from_block(known.start_block);
    let mut found = known.borrowers.iter().copied().collect::<BTreeSet<_>>();
    for log in fork.provider.get_logs(&filter).await? {
        found.insert(Pool::Borrow::decode_log(&log.inner)?.onBehalfOf);
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_follow_the_chain_in_the_running_daemon() -> Result<()> {
    for market in super::MARKETS {
        follow(market).await.wrap_err(market)?;
    }
    Ok(())
}

/// Steps the daemon's own loop: logs mark, reads settle, replaced blocks are taken back.
async fn follow(market: &'static str) -> Result<()> {
    let seed = seed(&format!("the daemon in {market}"), 20_260_302);
    let mut rng = Rng::new(seed);
    let stand = Stand::new(market).await?;
    let config = Config::load(&Sources { file: Some(stand.operator.config()), ..Sources::default() })
        .map_err(|mistakes| eyre!("{mistakes}"))?;
    let mut wire = wire::market(&config, Need::Read, None).await?;
    let mut tally = Tally::default();
    let (mut compared, mut replaced) = (0_usize, 0_usize);
    for round in 0..12 {
        let fork_point = (round % 3 == 2).then_some(stand.fork.snapshot().await?);
        live_on(&stand.fork, market, &mut rng, round, &mut tally).await?;
        let mut steps = 0;
        if let Some(snapshot) = fork_point {
            // The keeper sees these blocks, and then that they never were.
            steps += catch_up(&config, &mut wire, &mut replaced).await?;
            stand.fork.revert(snapshot).await?;
            live_on(&stand.fork, market, &mut rng, round + 2, &mut tally).await?;
        }
        steps += catch_up(&config, &mut wire, &mut replaced).await?;
        ensure!(steps > 0, "the chain did not move");
        let keeper = &wire.keeper.market;
        let head = stand.head().await?;
        ensure!(wire.head.block.hash == head.hash, "the keeper is at the head");
        let when = Moment { timestamp: head.timestamp, prices: keeper.prices() };
        let accounts = keeper.accounts();
        ensure!(
            accounts
                .iter()
                .copied()
                .collect::<BTreeSet<_>>()
                .is_superset(&borrowers(&stand.fork, market).await?)
        );
        for account in accounts {
            let ours = keeper.health(account, &when)?;
            let theirs = stand.fork.account_data(market, account, BlockId::number(head.number)).await?;
            ensure!(
                (ours.collateral.0, ours.debt.0, ours.factor.0)
                    == (theirs.totalCollateralBase, theirs.totalDebtBase, theirs.healthFactor),
                "SEED={seed} round {round} {account}: {ours:?}, but {theirs:?}"
            );
            compared += 1;
        }
    }
    ensure!(replaced > 0, "no block was replaced");
    eprintln!(
        "{market}: {compared} positions kept true log by log, {replaced} blocks replaced, actions {tally:?}"
    );
    Ok(())
}

async fn catch_up(config: &Config, wire: &mut wire::Wire, replaced: &mut usize) -> Result<usize> {
    let mut steps = 0;
    while let Some(input) = wire.advance(config).await? {
        if let backstop::domain::keeper::Input::Head { dropped, .. } = &input {
            *replaced += dropped.len();
        }
        drive(&mut wire.keeper, input, &mut Hands::reading(&wire.reader)).await?;
        // What logs proved is what the reading found.
        let drift = wire.keeper.report().drift;
        ensure!(drift == 0, "{drift} accounts or reserves were otherwise than their logs had told");
        steps += 1;
    }
    Ok(steps)
}
