//! Every opportunity that `scan` prints keeps its promise when it is sent as printed.

use std::collections::{BTreeMap, BTreeSet};

use backstop::bed::assets::DOLLAR;
use eyre::{Result, WrapErr, ensure};

use super::{
    promise::{self, Kept, Shape},
    stand::{Scan, Stand},
};

const MONTH: u64 = 30 * 86_400;

/// What the pools do when the feeds move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pools {
    Follow,
    /// The feeds were faster.
    Stay,
}

/// One state of the world. Dollars for ether and bitcoin; the bed has them at 2,000 and 40,000.
#[derive(Clone, Copy, Debug)]
struct World {
    name: &'static str,
    ether: u64,
    bitcoin: u64,
    pools: Pools,
    later: u64,
}

const fn world(name: &'static str, ether: u64, bitcoin: u64, pools: Pools) -> World {
    World { name, ether, bitcoin, pools, later: 0 }
}

const WORLDS: [World; 9] = [
    world("ether -8 %", 1_840, 40_000, Pools::Follow),
    world("ether -12 %, pools late", 1_760, 40_000, Pools::Stay),
    world("ether -20 %", 1_600, 40_000, Pools::Follow),
    world("ether -35 %", 1_300, 40_000, Pools::Follow),
    world("bitcoin -15 %", 2_000, 34_000, Pools::Follow),
    world("bitcoin -25 %, pools late", 2_000, 30_000, Pools::Stay),
    world("ether +40 %", 2_800, 40_000, Pools::Follow),
    world("ether +25 %, pools late", 2_500, 40_000, Pools::Stay),
    World {
        name: "ether -5 %, a month on",
        ether: 1_900,
        bitcoin: 40_000,
        pools: Pools::Follow,
        later: MONTH,
    },
];

/// Seconds from the head to the block that carries the call: blocks within one second share a time, a slot is twelve.
const DELAYS: [u64; 3] = [1, 12, 0];

#[tokio::test(flavor = "multi_thread")]
async fn every_opportunity_keeps_its_promise_in_v30() -> Result<()> {
    check("v30").await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_opportunity_keeps_its_promise_in_v36() -> Result<()> {
    check("v36").await
}

/// Goes through all worlds of one market.
async fn check(market: &'static str) -> Result<()> {
    let mut stand = Stand::enlisted(market).await?;
    let mut shapes: BTreeMap<Shape, usize> = BTreeMap::new();
    let mut sent = 0_usize;
    for world in WORLDS {
        make(&stand, world).await.wrap_err(world.name)?;
        let scan = stand.scan()?;
        let placed = stand.scan_by_override()?;
        the_same_numbers(&scan, &placed).wrap_err(world.name)?;
        ensure!(!scan.opportunities.is_empty(), "{market}: nothing to do when {}", world.name);
        let (mut later, mut same) = (Worst::default(), Worst::default());
        for (index, plan) in scan.opportunities.iter().enumerate() {
            let delay = DELAYS[(sent + index) % DELAYS.len()];
            let kept = promise::check(&stand, plan, delay).await.wrap_err(world.name)?;
            if delay > 0 {
                later.note(kept)
            } else {
                same.note(kept)
            }
            *shapes.entry(Shape::of(plan, stand.fork.manifest.wrapped_native)?).or_default() += 1;
        }
        sent += scan.opportunities.len();
        tell(market, world, &scan, (later, same));
    }
    eprintln!("{market}: {sent} calls sent as printed, {shapes:?}");
    let found = shapes.keys().copied().collect::<BTreeSet<_>>();
    for shape in [
        Shape::DebtIsNative,
        Shape::CollateralIsNative,
        Shape::Neither,
        Shape::TwoSwapsOnTheWay,
        Shape::SeveralCollaterals,
        Shape::SeveralDebts,
    ] {
        ensure!(found.contains(&shape), "{market}: no plan was of the shape {shape:?}");
    }
    Ok(())
}

async fn make(stand: &Stand, world: World) -> Result<()> {
    let fork = &stand.fork;
    // The pools start every world where its feeds do; a late pool is late by this world's move only.
    if world.pools == Pools::Stay {
        fork.set_price("WETH", 2_000 * DOLLAR).await?;
        fork.set_price("WBTC", 40_000 * DOLLAR).await?;
        fork.move_pools_to_feeds().await?;
    }
    if world.later > 0 {
        fork.increase_time(world.later).await?;
    }
    fork.set_price("WETH", world.ether * DOLLAR).await?;
    fork.set_price("WBTC", world.bitcoin * DOLLAR).await?;
    if world.pools == Pools::Follow {
        fork.move_pools_to_feeds().await?;
    }
    stand.base_fee(10).await
}

/// A deployed executor and one placed by override promise the same, but for the address that is called.
fn the_same_numbers(deployed: &Scan, placed: &Scan) -> Result<()> {
    ensure!(deployed.block == placed.block, "the chain moved between the scans");
    let numbers = |scan: &Scan| {
        let mut plans = scan.opportunities.clone();
        plans.iter_mut().for_each(|plan| plan.call.to = alloy::primitives::Address::ZERO);
        plans.sort_by_key(|plan| plan.account);
        plans
    };
    let (ours, theirs) = (numbers(deployed), numbers(placed));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        ensure!(ours == theirs, "deployed: {ours:#?}, placed by override: {theirs:#?}");
    }
    ensure!(ours.len() == theirs.len(), "{} deployed, {} placed", ours.len(), theirs.len());
    ensure!(deployed.skipped == placed.skipped, "{:#?}, {:#?}", deployed.skipped, placed.skipped);
    Ok(())
}

/// The furthest that anything was from its promise, in parts per million.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    net: i64,
    gas: i64,
}

impl Worst {
    fn note(&mut self, kept: Kept) {
        self.net = self.net.min(kept.net_ppm);
        self.gas = self.gas.max(kept.gas_ppm.abs());
    }
}

fn tell(market: &str, world: World, scan: &Scan, (later, same): (Worst, Worst)) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for skip in &scan.skipped {
        *reasons.entry(&skip.reason).or_default() += 1;
    }
    eprintln!(
        "{market}  {:<24} {:>3} opportunities  1 or 12 s on: net {:>+5} gas {:>5} ppm  in the head's second: net {:>+6} \
         gas {:>5} ppm  skipped {reasons:?}",
        world.name,
        scan.opportunities.len(),
        later.net,
        later.gas,
        same.net,
        same.gas,
    );
    for skip in scan.skipped.iter().filter(|skip| skip.reason == "simulation-refused") {
        eprintln!("{market}    refused: {} {}", skip.account, skip.why);
    }
}
