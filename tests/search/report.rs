//! What was found, for people: one account with everything that made it so, and all of them in a table.

use super::bar;
use super::cost::{Net, signed};
use super::force::{Best, Found};
use super::world::{BORROWER, World, is_between};
use backstop::domain::explain::Explain;
use backstop::domain::plan::Draft;
use backstop::domain::protocol::Step;
use std::fmt;

/// One account, what the search found, and what brute force did.
pub struct Judged {
    pub world: World,
    pub ours: Option<Draft>,
    /// What that leaves when it is carried out, call by call and swap by swap.
    pub again: Option<Result<Net, String>>,
    pub best: Best,
}

impl Judged {
    /// What the search's answer leaves after gas, by itself; nothing where there is none.
    pub fn net(&self) -> Net {
        let after_gas = |ours: &Draft| signed(ours.gross.0) - signed(ours.gas.cost(self.world.base_fee).0);
        self.ours.as_ref().map_or(0, after_gas)
    }
}

const BANDS: [(f64, f64); 6] =
    [(0.99, 1.0), (0.98, 0.99), (0.96, 0.98), (0.95, 0.96), (0.9, 0.95), (0.0, 0.9)];

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = &self.world;
        let release = world.market.rules.map_or("?", |rules| rules.release);
        writeln!(f, "seed {}: release {release}, health {}", world.seed, world.health.factor)?;
        writeln!(
            f,
            "  base fee {}, premium {}, native {}",
            world.base_fee.0,
            world.market.flash_premium,
            name(world.native)
        )?;
        for leg in world.market.legs(BORROWER, &world.when()).unwrap() {
            let reserve = &world.market.reserves[&leg.asset];
            writeln!(
                f,
                "  {}: supplied {} ({}), owed {} ({}), available {}, threshold {}, bonus {}, fee {}, flash {}",
                name(leg.asset),
                leg.supplied,
                dollars(leg.supplied_value.0),
                leg.owed,
                dollars(leg.owed_value.0),
                reserve.available,
                leg.threshold.0,
                reserve.configuration.bonus(),
                reserve.configuration.protocol_fee(),
                reserve.configuration.is_flash_loan_enabled(),
            )?;
        }
        for pool in world.pools.listed() {
            let [low, high] = pool.tokens.map(name);
            writeln!(
                f,
                "  pool {low}/{high} {}: holds {:?}, liquidity {}, tick {}, {:?}",
                pool.pool.fee, pool.held, pool.pool.liquidity, pool.pool.tick, pool.pool.nets
            )?;
        }
        writeln!(f, "  search      {} (again {:?}) by", self.net(), self.again)?;
        for loan in self.ours.iter().flat_map(|ours| &ours.loans) {
            for call in &loan.calls {
                let (debt, collateral) = (name(call.debt_asset), name(call.collateral_asset));
                let outcome = call.outcome;
                writeln!(f, "    {} of {debt} for {collateral}, cover {}", outcome.repaid, outcome.cover)?;
            }
            for swap in &loan.swaps {
                let (sold, bought) = (name(swap.sold), name(swap.bought));
                writeln!(f, "    {:?}: {} of {sold} for {} of {bought}", swap.pool, swap.given, swap.taken)?;
            }
        }
        writeln!(f, "  one call    {}", told(&self.best.single))?;
        writeln!(f, "  one pair    {}", told(&self.best.same_pair))?;
        writeln!(f, "  two pairs   {}", told(&self.best.across_pairs))
    }
}

fn name(asset: alloy::primitives::Address) -> String {
    format!("A{}", asset.0[19] - 1)
}

fn dollars(base: alloy::primitives::U256) -> String {
    format!("${:.2}", f64::from(base) / 1e8)
}

fn told(found: &Option<Found>) -> String {
    let call = |call: &Step| {
        let cover =
            if call.cover == alloy::primitives::U256::MAX { "all".into() } else { call.cover.to_string() };
        format!("{cover} of {} for {}", name(call.debt_asset), name(call.collateral_asset))
    };
    match found {
        None => "nothing".into(),
        Some(found) => {
            format!("{} by {}", found.net, found.calls.iter().map(call).collect::<Vec<_>>().join(", then "))
        }
    }
}

/// By how many millionths of `bar` the search stays below it; negative where it is above.
fn shortfall(judged: &Judged, bar: &Found) -> Net {
    (bar.net - judged.net()) * 1_000_000 / bar.net
}

pub fn report(all: &[Judged]) {
    let calls = |count: usize| {
        all.iter().filter(|one| one.ours.as_ref().is_some_and(|ours| ours.calls().count() == count)).count()
    };
    let more = all.iter().filter(|one| one.ours.as_ref().is_some_and(|ours| ours.calls().count() > 2));
    println!(
        "{} accounts: {} with one call, {} with two, {} with more",
        all.len(),
        calls(1),
        calls(2),
        more.count()
    );
    let pick = |pick: fn(&Best) -> Option<Found>| move |one: &Judged| pick(&one.best);
    compare("one call", all, pick(|best| best.single.clone()));
    compare("two calls of one pair", all, pick(|best| best.same_pair.clone()));
    compare("two calls of two pairs", all, pick(|best| best.across_pairs.clone()));
    compare("what it is held to", all, |one| bar(&one.best));
    println!("gain of two calls over the best one, in percent (median, largest):");
    for (low, high) in BANDS {
        let within = all.iter().filter(|one| is_between(one.world.health.factor, low, high));
        let paying = within.filter(|one| one.best.single.as_ref().is_some_and(|single| single.net > 0));
        let paying = paying.collect::<Vec<_>>();
        let gain = |one: &Judged, several: Net| {
            let single = one.best.single.as_ref().map_or(0, |single| single.net);
            (several.max(single) - single) as f64 * 100.0 / single as f64
        };
        let net = |found: &Option<Found>| found.as_ref().map_or(0, |found| found.net);
        let line = |of: &dyn Fn(&Judged) -> f64| {
            let mut gains = paying.iter().map(|one| of(one)).collect::<Vec<_>>();
            gains.sort_by(f64::total_cmp);
            let at = |place: usize| gains.get(place).copied().unwrap_or_default();
            format!("{:8.2} {:8.2}", at(gains.len() / 2), at(gains.len().saturating_sub(1)))
        };
        let same = line(&|one| gain(one, net(&one.best.same_pair)));
        let across = line(&|one| gain(one, net(&one.best.across_pairs)));
        let ours = line(&|one| gain(one, one.net()));
        println!(
            "  {low:.2}-{high:.2}  {:4} accounts  one pair {same}  two pairs {across}  search {ours}",
            paying.len()
        );
    }
}

fn compare(what: &str, all: &[Judged], bar: impl Fn(&Judged) -> Option<Found>) {
    let mut short = all
        .iter()
        .filter_map(|one| Some((shortfall(one, &bar(one).filter(|bar| bar.net > 0)?), one.world.seed)))
        .collect::<Vec<_>>();
    short.sort_unstable();
    let at = |place: usize| short.get(place).map_or(0, |(short, _)| *short);
    let (above, below) = (
        short.iter().filter(|(short, _)| *short < 0).count(),
        short.iter().filter(|(short, _)| *short > 1_000).count(),
    );
    println!(
        "against {what}: {} pay; median shortfall {} ppm, worst {} ppm; {above} above, {below} more than 0.1 % below: {:?}",
        short.len(),
        at(short.len() / 2),
        at(short.len().saturating_sub(1)),
        short.iter().rev().take(12).filter(|(short, _)| *short > 1_000).collect::<Vec<_>>(),
    );
}
