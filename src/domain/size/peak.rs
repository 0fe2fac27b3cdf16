//! The best of all sizes of one call: a few first, then closer and closer around the best of them.

use crate::domain::protocol::Opportunity;
use crate::domain::units::{Amount, Net, Round, mul_div};
use alloy::primitives::U256;
use std::cmp::Reverse;

/// Shares of the largest repay that are tried first, in 16,384ths.
const LADDER: [u32; 8] = [1, 16, 128, 1_024, 4_096, 8_192, 12_288, 16_384];
/// The fewer of them that tell whether a pair is worth a closer look.
const STEPS: [u32; 4] = [256, 1_024, 8_192, 16_384];
/// After the first look, the neighbourhood of the best is divided this often, into so many parts.
const REFINEMENTS: usize = 3;
const PARTS: u32 = 6;

/// The sizes of a pair to begin with: where the outcome changes its form, what can be lent, and some between.
pub(super) fn ladder(pair: &Opportunity, lendable: Vec<Amount>) -> Vec<Amount> {
    shares(pair, lendable, &LADDER)
}

/// The same, coarser.
pub(super) fn steps(pair: &Opportunity, lendable: Vec<Amount>) -> Vec<Amount> {
    shares(pair, lendable, &STEPS)
}

fn shares(pair: &Opportunity, lendable: Vec<Amount>, shares: &[u32]) -> Vec<Amount> {
    let share = |share: &u32| mul_div(pair.most.0, U256::from(*share), U256::from(16_384), Round::Up).ok();
    let mut sizes = shares.iter().filter_map(share).map(Amount).collect::<Vec<_>>();
    sizes.extend(pair.kinks.iter().copied());
    sizes.extend(lendable);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// What leaves most over all sizes, where any leaves something; of equal ones the smallest. Sizes that lie between those
/// given are looked at where it is best around there.
pub(super) fn best<T>(mut sizes: Vec<Amount>, mut look: impl FnMut(Amount) -> Option<(Net, T)>) -> Option<T> {
    sizes.sort_unstable();
    sizes.dedup();
    let mut best: Option<(Net, Reverse<Amount>, T)> = None;
    let mut fresh = sizes.clone();
    for round in 0..=REFINEMENTS {
        for size in fresh {
            if let Some((net, found)) = look(size)
                && best.as_ref().is_none_or(|(most, at, _)| (net, Reverse(size)) > (*most, *at))
            {
                best = Some((net, Reverse(size), found));
            }
        }
        let Some((_, Reverse(at), _)) = &best else { break };
        // What still grows at the upper end after a closer look has its best there: deep pools.
        let is_at_the_end = round > 0 && sizes.last() == Some(at);
        if round == REFINEMENTS || is_at_the_end {
            break;
        }
        fresh = between_neighbours(&sizes, *at);
        sizes.extend(&fresh);
        sizes.sort_unstable();
    }
    best.map(|(_, _, found)| found)
}

/// Sizes that divide the gap on either side of `best`.
fn between_neighbours(sizes: &[Amount], best: Amount) -> Vec<Amount> {
    let below = sizes.iter().rev().find(|size| **size < best);
    let above = sizes.iter().find(|size| **size > best);
    let mut fresh = Vec::new();
    for (low, high) in [(below, Some(&best)), (Some(&best), above)] {
        let (Some(low), Some(high)) = (low, high) else { continue };
        let Some(gap) = high.minus(*low) else { continue };
        for part in 1..PARTS {
            let step = mul_div(gap.0, U256::from(part), U256::from(PARTS), Round::Down);
            if let Ok(size) = step.and_then(|step| low.plus(Amount(step)))
                && size > *low
                && size < *high
            {
                fresh.push(size);
            }
        }
    }
    fresh
}
