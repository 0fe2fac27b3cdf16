//! The brute force: every pair with many amounts, and every pair behind every pair with many amounts of each, carried out
//! by the contract's executing half and priced in the pools. It knows nothing of how the search chooses.
//!
//! It asks for nothing that must not be sent: a first call leaves the account as far beyond each bound that the second one
//! needs as the search does, by [`HEADROOM`], as a block's interest may carry it back.

use super::cost::{Books, Moved, Net};
use super::world::{BORROWER, World};
use alloy::primitives::{Address, U256, uint};
use backstop::domain::explain::Explain;
use backstop::domain::plan::{Draft, Liquidation};
use backstop::domain::prices::Moment;
use backstop::domain::protocol::{Attempt, Execution, Step};

/// How far beyond a bound a first call leaves the account, of one.
const HEADROOM: U256 = uint!(200_000_000_000_000_U256);
const ONE: U256 = uint!(1_000_000_000_000_000_000_U256);
/// At or below this health factor, or with a side below this value (from 3.3), all of a debt may be repaid.
const FULL_CLOSE: U256 = uint!(950_000_000_000_000_000_U256);
const SMALL_POSITION: U256 = uint!(200_000_000_000_U256);
/// The neighbourhood of the best is looked at again this often, each time a quarter as wide.
const CLOSER: usize = 6;

/// How many amounts are tried: of one call; of the first and of the second of two. The maximum integer is tried besides.
/// The best few of each kind are looked at closer.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub single: u64,
    pub first: u64,
    pub second: u64,
    pub finalists: usize,
}

/// A sequence of calls and what it leaves.
#[derive(Clone, Debug)]
pub struct Found {
    pub calls: Vec<Step>,
    pub net: Net,
}

/// The best of each kind; `None` where nothing can be paid for.
#[derive(Clone, Debug, Default)]
pub struct Best {
    pub single: Option<Found>,
    pub same_pair: Option<Found>,
    pub across_pairs: Option<Found>,
}

pub struct Force<'a> {
    world: &'a World,
    when: Moment<'a>,
    books: Books<'a>,
    /// All of a debt may be repaid where a side is small, or no more than half of all debt is in it: from 3.3.
    counts_all: bool,
    /// Debt and collateral.
    pairs: Vec<(Address, Address)>,
}

impl<'a> Force<'a> {
    pub fn new(world: &'a World) -> Self {
        let when = world.when();
        let legs = world.market.legs(BORROWER, &when).unwrap();
        let debts = legs.iter().filter(|leg| !leg.owed.is_zero());
        let pairs = debts.flat_map(|debt| {
            let collaterals = legs.iter().filter(|leg| leg.is_collateral);
            collaterals.map(|collateral| (debt.asset, collateral.asset))
        });
        let pairs = pairs.collect();
        let books = Books {
            market: &world.market,
            native: world.native,
            base_fee: world.base_fee,
            pools: world.pools.clone(),
            divides: false,
        };
        let counts_all =
            world.market.rules.is_some_and(|rules| !["3.0", "3.1", "3.2"].contains(&rules.release));
        Self { world, when, books, counts_all, pairs }
    }

    pub fn best(&mut self, extent: Extent) -> Best {
        let pairs = self.pairs.clone();
        let mut best = Best::default();
        let mut singles = Vec::new();
        let (mut same, mut across) = (Vec::new(), Vec::new());
        for pair in &pairs {
            let mut single: Option<Found> = None;
            for cover in self.amounts(None, *pair, extent.single) {
                single = better(single, self.found(&[step(*pair, cover)]));
            }
            singles.extend(single);
            let mut twice = vec![None; pairs.len()];
            for cover in self.amounts(None, *pair, extent.first) {
                let first = step(*pair, cover);
                let Some(left) = self.after(&[first]).filter(|left| self.is_safe(*pair, left)) else {
                    continue;
                };
                for (second, best) in pairs.iter().zip(&mut twice) {
                    if self.is_about_half(first, &left, second.0) {
                        continue;
                    }
                    for cover in self.amounts(Some((first, &left)), *second, extent.second) {
                        *best = better(best.take(), self.found(&[first, step(*second, cover)]));
                    }
                }
            }
            for (second, found) in pairs.iter().zip(twice) {
                if second == pair { &mut same } else { &mut across }.extend(found);
            }
        }
        self.books.divides = true;
        best.single = self.finalists(singles, extent, &[extent.single]);
        best.same_pair = self.finalists(same, extent, &[extent.first, extent.second]);
        best.across_pairs = self.finalists(across, extent, &[extent.first, extent.second]);
        self.books.divides = false;
        best
    }

    /// What a draft leaves, call by call and swap by swap; or what is wrong with it.
    pub fn carried_out(&mut self, draft: &Draft) -> Result<Net, String> {
        let step = |call: &Liquidation| Step {
            debt_asset: call.debt_asset,
            collateral_asset: call.collateral_asset,
            cover: call.outcome.cover,
        };
        let calls = draft.calls().map(step).collect::<Vec<_>>();
        let moved = self.moved(&calls).ok_or("the contract refuses, or a call is at a bound")?;
        self.books.carried_out(draft, &moved)
    }

    fn net(&mut self, calls: &[Step]) -> Option<Net> {
        let moved = self.moved(calls)?;
        self.books.value(&moved)
    }

    /// What each of these calls moves.
    fn moved(&self, calls: &[Step]) -> Option<Vec<Moved>> {
        let mut moved = Vec::new();
        let (mut paid, mut received) = (U256::ZERO, U256::ZERO);
        for (place, call) in calls.iter().enumerate() {
            let all = self.after(&calls[..=place])?;
            if place > 0 && !self.is_safe_before(&calls[..place], call.debt_asset) {
                return None;
            }
            moved.push(Moved {
                debt: call.debt_asset,
                collateral: call.collateral_asset,
                paid: all.paid.0 - paid,
                received: all.received.0 - received,
                closes: all.owed.is_zero() || all.supplied.is_zero(),
            });
            (paid, received) = (all.paid.0, all.received.0);
        }
        Some(moved)
    }

    fn found(&mut self, calls: &[Step]) -> Option<Found> {
        self.net(calls).map(|net| Found { calls: calls.to_vec(), net })
    }

    /// What the account is after these calls, and the amounts of all of them.
    fn after(&self, calls: &[Step]) -> Option<Execution> {
        let attempts = calls.iter().map(|call| Attempt {
            account: BORROWER,
            debt_asset: call.debt_asset,
            collateral_asset: call.collateral_asset,
            cover: call.cover,
            takes_shares: false,
            liquidator: Address::ZERO,
        });
        self.world.market.executions(&attempts.collect::<Vec<_>>(), &self.when).unwrap().ok()
    }

    fn is_safe_before(&self, calls: &[Step], debt: Address) -> bool {
        let last = calls[calls.len() - 1];
        self.after(calls).is_some_and(|left| {
            self.is_safe((last.debt_asset, last.collateral_asset), &left)
                && (calls.len() > 1 || !self.is_about_half(last, &left, debt))
        })
    }

    /// A second call may run behind a first one that left this, in any block.
    fn is_safe(&self, (debt, collateral): (Address, Address), left: &Execution) -> bool {
        let factor = left.health.factor.0;
        let near = |value: U256, bound: U256, headroom: U256| value <= bound && value > bound - headroom;
        let worth = |asset: Address, units: U256| {
            units * self.world.market.prices.get(asset).unwrap().0 / self.world.market.reserves[&asset].unit()
        };
        let small = SMALL_POSITION * HEADROOM / ONE;
        let counts_sides = self.counts_all && factor > FULL_CLOSE - HEADROOM;
        factor < ONE - HEADROOM
            && !near(factor, FULL_CLOSE, HEADROOM)
            && (!counts_sides
                || !near(worth(debt, left.owed.0), SMALL_POSITION, small)
                    && !near(worth(collateral, left.supplied.0), SMALL_POSITION, small))
    }

    /// Whether this debt is about half of all debt once a first call has left this, so that all of it may be repaid then, or
    /// not.
    fn is_about_half(&self, first: Step, left: &Execution, debt: Address) -> bool {
        let owed = if debt == first.debt_asset { left.owed.0 } else { self.owed(debt) };
        let (price, unit) =
            (self.world.market.prices.get(debt).unwrap().0, self.world.market.reserves[&debt].unit());
        let half = left.health.debt.0 / U256::from(2);
        let is_deep = left.health.factor.0 <= FULL_CLOSE - HEADROOM;
        self.counts_all && !is_deep && (owed * price / unit).abs_diff(half) < half * HEADROOM / ONE
    }

    /// So many amounts up to what the contract takes, or to all that is owed where it does not take all, and the maximum.
    fn amounts(&self, first: Option<(Step, &Execution)>, pair: (Address, Address), count: u64) -> Vec<U256> {
        let calls = first.iter().map(|(step, _)| *step).chain([step(pair, U256::MAX)]).collect::<Vec<_>>();
        let before = first.map_or(U256::ZERO, |(_, left)| left.paid.0);
        let most = match (self.after(&calls), first) {
            (Some(all), _) => all.paid.0 - before,
            (None, Some((step, left))) if step.debt_asset == pair.0 => left.owed.0,
            (None, _) => self.owed(pair.0),
        };
        let count = U256::from(count);
        let parts = (1..=count.to::<u64>()).map(|part| most / count * U256::from(part));
        parts.filter(|cover| !cover.is_zero()).chain([U256::MAX]).collect()
    }

    fn owed(&self, debt: Address) -> U256 {
        let legs = self.world.market.legs(BORROWER, &self.when).unwrap();
        legs.iter().find(|leg| leg.asset == debt).map_or(U256::ZERO, |leg| leg.owed.0)
    }

    /// The best once the neighbourhood of the best few was looked at.
    fn finalists(&mut self, mut found: Vec<Found>, extent: Extent, parts: &[u64]) -> Option<Found> {
        found.sort_by_key(|one| std::cmp::Reverse(one.net));
        found.truncate(extent.finalists);
        found.into_iter().map(|one| self.closer(one, parts)).max_by_key(|one| one.net)
    }

    fn closer(&mut self, mut best: Found, parts: &[u64]) -> Found {
        let apart =
            best.calls.iter().zip(parts).map(|(call, parts)| self.owed(call.debt_asset) / U256::from(*parts));
        let mut steps = apart.collect::<Vec<_>>();
        for _ in 0..CLOSER {
            steps.iter_mut().for_each(|step| *step /= U256::from(4));
            let around = |call: &Step, step: U256| {
                let near = (0..=8_u64)
                    .map(|part| (call.cover + step * U256::from(part)).saturating_sub(step * U256::from(4)));
                if call.cover == U256::MAX { vec![U256::MAX] } else { near.collect() }
            };
            let choices = best.calls.iter().zip(&steps).map(|(call, step)| around(call, *step));
            let choices = choices.collect::<Vec<_>>();
            let calls = best.calls.clone();
            for first in &choices[0] {
                for second in choices.get(1).unwrap_or(&vec![U256::ZERO]) {
                    let mut calls = calls.clone();
                    for (call, cover) in calls.iter_mut().zip([*first, *second]) {
                        call.cover = cover;
                    }
                    best = better(Some(best), self.found(&calls)).unwrap();
                }
            }
        }
        best
    }
}

fn step((debt_asset, collateral_asset): (Address, Address), cover: U256) -> Step {
    Step { debt_asset, collateral_asset, cover }
}

pub fn better(old: Option<Found>, new: Option<Found>) -> Option<Found> {
    match (old, new) {
        (Some(old), Some(new)) => Some(if new.net > old.net { new } else { old }),
        (old, new) => old.or(new),
    }
}
