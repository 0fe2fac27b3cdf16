//! A burst: 24 positions of many kinds fall in one block, and the keeper takes them all in the two blocks that follow,
//! for what they bring taken one by one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use alloy::{
    consensus::Transaction as _,
    eips::BlockId,
    primitives::{Address, I256, U256, keccak256},
    providers::Provider,
    rpc::types::TransactionReceipt,
    sol_types::SolEvent,
};
use backstop::{
    abi::executor::Executor,
    bed::{
        Fork,
        abi::FluxAggregator,
        assets::{Asset, DOLLAR},
        chain::Batch,
        operator::{Daemon, RECEIVER},
    },
    domain::{cost::TRANSACTION_CAP, units::HealthFactor},
};
use eyre::{Result, WrapErr, ensure, eyre};

use super::{
    promise::signed,
    stand::{Scan, Stand, next_base_fee},
};

/// Positions that fall below a health factor of one in one block, and pay.
const MANY: usize = 24;
/// Blocks after the fall's own in which all of them are taken.
const WITHIN: u64 = 2;
/// Dollars after the fall; the bed has ether at 2,000 and bitcoin at 40,000.
const FALLEN: [(&str, u64); 2] = [("WETH", 1_770), ("WBTC", 36_800)];
/// What the keeper may bring less than the best, one by one: one part in this many.
const SHARE: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(120);

/// A borrower who stands just above the line.
struct Kind {
    /// Whole dollars of each.
    collateral: &'static [(&'static str, u64)],
    debts: &'static [&'static str],
}

const KINDS: [Kind; 9] = [
    Kind { collateral: &[("WETH", 1_000_000)], debts: &["USDC"] },
    Kind { collateral: &[("WETH", 150_000)], debts: &["DAI"] },
    Kind { collateral: &[("WETH", 500_000)], debts: &["WBTC"] },
    Kind { collateral: &[("WETH", 350_000), ("WBTC", 120_000)], debts: &["USDC"] },
    Kind { collateral: &[("WETH", 40_000), ("USDC", 10_000)], debts: &["DAI"] },
    Kind { collateral: &[("WBTC", 700_000)], debts: &["USDC"] },
    Kind { collateral: &[("WETH", 1_500)], debts: &["USDC"] },
    Kind { collateral: &[("WETH", 250_000)], debts: &["USDC", "DAI"] },
    Kind { collateral: &[("WBTC", 60_000)], debts: &["DAI"] },
];

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_taken_whole_within_two_blocks_in_v30() -> Result<()> {
    check("v30").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_taken_whole_within_two_blocks_in_v36() -> Result<()> {
    check("v36").await
}

/// What a way of taking them brought.
#[derive(Debug, Default)]
struct Brought {
    gained: U256,
    gas: u64,
    transactions: usize,
}

impl Brought {
    /// Gas at this price on both sides, the base fee of the first block after the fall; no tips on either.
    fn net(&self, base_fee: u64) -> Result<I256> {
        Ok(signed(self.gained)? - signed(U256::from(self.gas) * U256::from(base_fee))?)
    }
}

async fn check(market: &'static str) -> Result<()> {
    let mut stand = Stand::enlisted(market).await?;
    pools_go_ahead(&stand.fork).await?;
    let before = look(&stand).await?;
    let opened = open(&stand, MANY.saturating_sub(before)).await?;
    ensure!(look(&stand).await? == MANY, "not every one of {opened:?} falls, and pays");
    stand.base_fee(1).await?;
    stand.operator.write("live", "")?;
    let mut daemon = stand.operator.start(&["run", "-v"])?;
    daemon.says("ready", PATIENCE).await?;

    fall(&stand.fork).await?;
    let fallen = stand.fork.chain.block_number().await?;
    let snapshot = stand.fork.snapshot().await?;
    let base_fee = next_base_fee(&stand.head().await?)?;
    let (taken, brought) = follow(&stand, &daemon, fallen).await?;
    let status = daemon.stop()?;
    ensure!(status.success(), "the keeper ended with {status}");

    stand.fork.revert(snapshot).await?;
    stand.fork.chain.set_automine(true).await?;
    let apart = stand.operator.folder.join("apart");
    stand.operator.environment.push(("BACKSTOP_DATADIR".into(), apart.display().to_string()));
    let first = stand.scan()?;
    let wanted = accounts(&first);
    ensure!(wanted.len() == MANY, "{} fall and pay", wanted.len());
    for account in &wanted {
        let health = async |block| -> Result<U256> {
            Ok(stand.fork.account_data(market, *account, BlockId::number(block)).await?.healthFactor)
        };
        ensure!(health(fallen - 1).await? >= HealthFactor::ONE.0, "{account} had fallen before");
        ensure!(health(fallen).await? < HealthFactor::ONE.0, "{account} did not fall");
    }
    ensure!(taken == wanted, "taken in {WITHIN} blocks: {taken:?}, not {wanted:?}");
    let best = one_by_one(&stand).await?;
    let (net, most) = (brought.net(base_fee)?, best.net(base_fee)?);
    let alone: U256 = first.opportunities.iter().map(|plan| plan.gross_wei).sum();
    eprintln!(
        "{market}: {MANY} fall and pay, {before} of the bed's own and {} opened; {} fall and do not pay. Each alone would \
         gain {alone} together",
        opened.len(),
        first.skipped.len(),
    );
    eprintln!(
        "{market}: {net} net with {brought:?}; one by one {most} net with {best:?}: {} millionths less",
        (most - net) * I256::try_from(1_000_000)? / most
    );
    let part = I256::try_from(SHARE)?;
    ensure!(net * part >= most * (part - I256::ONE), "{net} net, and {most} one by one");
    Ok(())
}

fn accounts(scan: &Scan) -> BTreeSet<Address> {
    scan.opportunities.iter().map(|plan| plan.account).collect()
}

/// How many fall and pay as things are. The chain is as before then.
async fn look(stand: &Stand) -> Result<usize> {
    let snapshot = stand.fork.snapshot().await?;
    fall(&stand.fork).await?;
    let scan = stand.scan()?;
    stand.fork.chain.set_automine(true).await?;
    stand.fork.revert(snapshot).await?;
    Ok(scan.opportunities.len())
}

/// Opens so many positions, of as many kinds.
async fn open(stand: &Stand, many: usize) -> Result<Vec<Address>> {
    let Stand { fork, market, .. } = stand;
    ensure!((6..=KINDS.len()).contains(&many), "{many} are lacking, there are {} kinds", KINDS.len());
    let mut opened = Vec::new();
    for (kind, number) in KINDS.iter().zip(0..many) {
        let user = Address::from_word(keccak256(format!("in a burst, {market}, {number}")));
        for (symbol, dollars) in kind.collateral {
            let asset = Asset::named(symbol)?;
            let amount = asset.worth(u128::from(dollars * DOLLAR), asset.price);
            fork.supply(market, user, symbol, amount).await?;
        }
        let room = fork.account_data(market, user, BlockId::latest()).await?.availableBorrowsBase;
        // All of the room but a thousandth.
        let each = room * U256::from(999) / U256::from(1_000 * kind.debts.len());
        for symbol in kind.debts {
            let asset = Asset::named(symbol)?;
            let amount = each * asset.unit() / U256::from(asset.price);
            fork.borrow(market, user, symbol, amount).await?;
        }
        opened.push(user);
    }
    Ok(opened)
}

/// Dollars of a token once it has fallen, 8 decimals.
fn price(symbol: &str) -> Result<u64> {
    let fallen = FALLEN.iter().find(|(known, _)| *known == symbol);
    fallen.map_or_else(|| Ok(Asset::named(symbol)?.price), |(_, dollars)| Ok(dollars * DOLLAR))
}

/// The pools have the prices of the fall already: what is seized is sold at what it is worth.
async fn pools_go_ahead(fork: &Fork) -> Result<()> {
    for pool in fork.manifest.uniswap.pools.iter().filter(|pool| !pool.thin) {
        let [a, b] = &pool.tokens;
        fork.move_pool_price((a, price(a)?), (b, price(b)?), pool.fee).await?;
    }
    Ok(())
}

/// Both feeds fall in one block. No other block is mined by itself after it.
async fn fall(fork: &Fork) -> Result<()> {
    fork.chain.set_automine(false).await?;
    let mut batch = Batch::new(&fork.chain);
    for (symbol, dollars) in FALLEN {
        let aggregator = fork.manifest.token(symbol)?.aggregator;
        let round = fork.chain.read(aggregator, &FluxAggregator::latestRoundCall {}).await?;
        let answer = I256::try_from(dollars * DOLLAR)?;
        let submission = FluxAggregator::submitCall { round: round + U256::from(1), answer };
        batch.add(fork.manifest.submitter, aggregator, &submission).await?;
    }
    batch.mine().await
}

/// Mines a block each time the keeper has sent, until it has nothing to send. Gives whom it took in time, and what all
/// of its transactions brought.
async fn follow(stand: &Stand, daemon: &Daemon, fallen: u64) -> Result<(BTreeSet<Address>, Brought)> {
    let had = stand.fork.balance(RECEIVER, "WETH").await?;
    let (mut taken, mut brought) = (BTreeSet::new(), Brought::default());
    let mut block = fallen;
    while has_sent(stand, daemon, block).await? {
        stand.fork.mine(1).await?;
        block += 1;
        for receipt in ours(stand, block).await? {
            ensure!(receipt.status(), "{} reverted: {}", receipt.transaction_hash, daemon.stderr());
            let accounts = liquidated(&receipt)?;
            eprintln!(
                "block {} after the fall: {} taken, {} gas, {} gained so far",
                block - fallen,
                accounts.len(),
                receipt.gas_used,
                stand.fork.balance(RECEIVER, "WETH").await? - had
            );
            if block <= fallen + WITHIN {
                taken.extend(accounts);
            }
            brought.gas += receipt.gas_used;
            brought.transactions += 1;
        }
    }
    brought.gained = stand.fork.balance(RECEIVER, "WETH").await? - had;
    Ok((taken, brought))
}

/// Waits until the keeper is done with this block: whether a transaction waits to be mined then.
async fn has_sent(stand: &Stand, daemon: &Daemon, block: u64) -> Result<bool> {
    let began = Instant::now();
    loop {
        let told = format!("block={block} ");
        let done = daemon.stderr().lines().any(|line| line.contains(&told) && line.contains("took_ms="));
        if done {
            let pool: BTreeMap<String, U256> =
                stand.fork.provider.raw_request("txpool_status".into(), ()).await?;
            return Ok(pool.get("pending").is_some_and(|pending| !pending.is_zero()));
        }
        ensure!(began.elapsed() < PATIENCE, "block {block} is not dealt with: {}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The keeper's transactions of a block, none of which carries more than one may.
async fn ours(stand: &Stand, block: u64) -> Result<Vec<TransactionReceipt>> {
    let mined = stand.fork.provider.get_block_by_number(block.into()).full().await?;
    let mined = mined.ok_or_else(|| eyre!("block {block} is not there"))?;
    let mut receipts = Vec::new();
    for transaction in mined.transactions.txns().filter(|one| one.inner.signer() == stand.operator.address) {
        ensure!(
            transaction.gas_limit() <= TRANSACTION_CAP.0,
            "{} gas in one transaction",
            transaction.gas_limit()
        );
        let receipt = stand.fork.provider.get_transaction_receipt(*transaction.inner.tx_hash()).await?;
        receipts.push(receipt.ok_or_else(|| eyre!("a mined transaction without a receipt"))?);
    }
    Ok(receipts)
}

/// Whom a transaction took; nobody in it may have failed.
fn liquidated(receipt: &TransactionReceipt) -> Result<Vec<Address>> {
    let mut accounts = Vec::new();
    for log in receipt.logs() {
        if let Ok(failed) = Executor::Failed::decode_log(&log.inner) {
            return Err(eyre!("place {} failed: {}", failed.place, failed.reason));
        }
        accounts.extend(Executor::Liquidated::decode_log(&log.inner).map(|log| log.borrower));
    }
    Ok(accounts)
}

/// Looks, takes what is worth most by itself, and looks again, until nothing pays.
async fn one_by_one(stand: &Stand) -> Result<Brought> {
    let had = stand.fork.balance(RECEIVER, "WETH").await?;
    let mut brought = Brought::default();
    while let Some(best) = stand.scan()?.opportunities.into_iter().max_by_key(|plan| plan.net_wei) {
        let receipt = stand.carry_out(&best, 12).await.wrap_err_with(|| format!("{best:#?}"))?;
        brought.gas += receipt.gas_used;
        brought.transactions += 1;
    }
    brought.gained = stand.fork.balance(RECEIVER, "WETH").await? - had;
    Ok(brought)
}
