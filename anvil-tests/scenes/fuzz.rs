//! Chance against the real contracts: random accounts at random prices and times, judged by us and by the pool itself, and
//! random liquidations of them, foretold and then carried out. Every number must be the same, every refusal too.
//!
//! A slice of it runs with all tests. `scripts/fuzz` runs the whole in portions that can be resumed.

mod bench;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
};

use alloy::{
    eips::BlockId,
    primitives::{Address, U256, keccak256},
};
use backstop::{
    app::wire,
    bed::{Reverted, Rng, assets::ASSETS},
    config::{Config, Need, Sources},
};
use bench::{Bench, Case};
use eyre::{Result, WrapErr, ensure, eyre};
use serde::{Deserialize, Serialize};

use super::{MARKETS, seed, stand::Stand};

/// Accounts that are opened and judged together.
const PORTION: u64 = 50;
/// Questions in one request.
const BATCH: usize = 50;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Extent {
    accounts: u64,
    /// Prices and times for each account.
    moments: u64,
    liquidations: u64,
}

/// What was compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    accounts: u64,
    healths: u64,
    /// Of these, with a health factor within half a percent of one.
    close: u64,
    carried_out: u64,
    /// Debts were written off.
    written_off: u64,
    refused: BTreeMap<String, u64>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.accounts += other.accounts;
        self.healths += other.healths;
        self.close += other.close;
        self.carried_out += other.carried_out;
        self.written_off += other.written_off;
        for (word, times) in other.refused {
            *self.refused.entry(word).or_default() += times;
        }
    }

    fn liquidations(&self) -> u64 {
        self.carried_out + self.refused.values().sum::<u64>()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_finds_no_difference_in_v30() -> Result<()> {
    slice("v30").await
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_finds_no_difference_in_v36() -> Result<()> {
    slice("v36").await
}

async fn slice(market: &'static str) -> Result<()> {
    let seed = seed(&format!("chance in {market}"), 20_261_128);
    let extent = Extent { accounts: PORTION, moments: 40, liquidations: 150 };
    let tally = check(market, seed, extent).await?;
    eprintln!("{market}: {tally:?}");
    ensure!(tally.close * 4 > tally.healths, "{tally:?}: too few are close to one");
    ensure!(tally.carried_out > 30 && tally.refused.len() >= 2, "{tally:?}: too tame");
    Ok(())
}

/// The whole: portion by portion, each with a seed of its own, those that are done on record.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it takes long: scripts/fuzz runs it"]
async fn the_whole() -> Result<()> {
    let seed = seed("the whole", 1);
    let whole = Extent {
        accounts: asked("FUZZ_ACCOUNTS", 2_000),
        moments: asked("FUZZ_MOMENTS", 50),
        liquidations: asked("FUZZ_LIQUIDATIONS", 2_000),
    };
    let portions = whole.accounts.div_ceil(PORTION);
    let each = Extent {
        accounts: PORTION,
        moments: whole.moments,
        liquidations: whole.liquidations.div_ceil(portions),
    };
    for market in MARKETS {
        let record = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{market}-{seed}.json"));
        let mut done: BTreeMap<u64, (Extent, Tally)> = std::fs::read(&record)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        done.retain(|_, (extent, _)| *extent == each);
        for portion in 0..portions {
            if let Entry::Vacant(free) = done.entry(portion) {
                let own =
                    U256::from_be_bytes(keccak256([seed.to_be_bytes(), portion.to_be_bytes()].concat()).0);
                let tally = check(market, own.as_limbs()[0], each).await;
                let tally = tally.wrap_err_with(|| format!("{market}: SEED={seed}, portion {portion}"))?;
                free.insert((each, tally));
                std::fs::write(&record, serde_json::to_vec(&done)?)?;
            }
            eprintln!("{market}: portion {} of {portions} has no difference", portion + 1);
        }
        let mut sum = Tally::default();
        done.into_values().for_each(|(_, tally)| sum.add(tally));
        eprintln!("{market}: SEED={seed}: no difference in {sum:?}, {} liquidations", sum.liquidations());
        ensure!(sum.accounts >= whole.accounts && sum.healths >= whole.accounts * whole.moments);
        ensure!(sum.liquidations() >= whole.liquidations, "{sum:?}");
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a test may ask its environment")]
fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// One portion: opens its accounts on a fork, and compares.
async fn check(name: &'static str, seed: u64, extent: Extent) -> Result<Tally> {
    let mut rng = Rng::new(seed);
    let stand = Stand::new(name).await?;
    let mut people = Vec::new();
    for number in 0..extent.accounts * 2 {
        let user = Address::from_word(keccak256([seed.to_be_bytes(), number.to_be_bytes()].concat()));
        // Who could borrow nothing is no borrower.
        if open(&stand, user, &mut rng).await.wrap_err_with(|| format!("account {number}"))? {
            people.push(user);
        }
        if people.len() as u64 == extent.accounts {
            break;
        }
    }
    ensure!(people.len() as u64 == extent.accounts, "only {} could borrow", people.len());
    let config = Config::load(&Sources { file: Some(stand.operator.config()), ..Sources::default() })
        .map_err(|mistakes| eyre!("{mistakes}"))?;
    let wire = wire::market(&config, Need::Read, None).await?;
    let bench =
        Bench::new(&stand, &wire.keeper.market, wire.head.block.number, wire.head.block.timestamp).await?;
    let mut tally = Tally { accounts: extent.accounts, ..Tally::default() };
    let mut cases = Vec::new();
    for account in &people {
        for _ in 0..extent.moments {
            let (at, prices) = bench.moment(*account, &mut rng, 995..1_006)?;
            cases.push(Case { account: *account, at, prices });
        }
    }
    for part in cases.chunks(BATCH) {
        bench.compare_healths(part, &mut tally).await?;
    }
    let mut attempts = Vec::new();
    for _ in 0..extent.liquidations {
        let account = *rng.pick(&people);
        let (at, prices) = bench.moment(account, &mut rng, 700..1_003)?;
        let case = Case { account, at, prices };
        let attempt = bench.attempt(&case, &mut rng)?;
        attempts.push((case, attempt));
    }
    for part in attempts.chunks(BATCH) {
        bench.compare_liquidations(part, &mut tally).await?;
    }
    Ok(tally)
}

/// Opens a position of one to three collaterals and one to three debts, close to what the pool lends. Says whether anything
/// was lent.
async fn open(stand: &Stand, user: Address, rng: &mut Rng) -> Result<bool> {
    let (fork, market) = (&stand.fork, stand.market);
    fork.chain.skip(rng.between(1, 40_000)).await?;
    let scale = 10_u64.pow(rng.below(4) as u32);
    let dollars = 100 * scale * rng.between(1, 30);
    let stable = rng.below(5) == 0;
    let count = if stable { 1 } else { rng.between(1, 4) };
    for _ in 0..count {
        let asset = if stable { &ASSETS[1] } else { rng.pick(&ASSETS) };
        let amount = asset
            .worth(u128::from(dollars * 100_000_000 / count) + u128::from(rng.below(1 << 30)), asset.price);
        fork.supply(market, user, asset.symbol, amount).await?;
    }
    if stable && rng.below(2) == 0 {
        fork.set_emode(market, user, true).await?;
    }
    let mut owes = false;
    for left in (1..=rng.between(1, 4)).rev() {
        let asset = if stable { &ASSETS[3] } else { rng.pick(&ASSETS) };
        let room = fork.account_data(market, user, BlockId::latest()).await?.availableBorrowsBase;
        let share = if left == 1 { rng.between(600, 999) } else { rng.between(100, 600) };
        let dollars = room.to::<u128>() * u128::from(share) / 1_000;
        let amount = asset.worth(dollars, fork.price(asset.symbol).await?);
        if amount.is_zero() {
            continue;
        }
        match fork.borrow(market, user, asset.symbol, amount).await {
            // The reserve may not have so much: then he owes less.
            Err(report) if report.downcast_ref::<Reverted>().is_none() => return Err(report),
            Err(_) => {}
            Ok(_) => owes = true,
        }
    }
    Ok(owes)
}
