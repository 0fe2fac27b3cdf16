//! One amount over one pool or two: which two, and how much through each. The pools' own arithmetic says what each
//! part brings; a second pool must bring more than its swap costs.

use super::{Known, PoolKind};
use crate::domain::amm::Exact;
use crate::domain::units::{Amount, Round, mul_div};
use alloy::primitives::{U256, uint};

/// Divisions are searched in so many parts: a Fibonacci number, for the sake of the search.
const PARTS: u32 = 4_181;
/// The two Fibonacci numbers before it.
const BEFORE: (u32, u32) = (2_584, 1_597);
/// What is tried first of every pool, to choose two: near the ends too, for pools that are small or dear. Read
/// backwards these are their own rests.
const TRIED: [u32; 8] = [65, 261, 1_045, 2_090, 2_091, 3_136, 3_920, 4_116];

/// Units that a pool's rounding may hide of what one part is, brings or wants.
const ROUNDING: U256 = uint!(2_U256);

/// What one pool does of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    pub pool: PoolKind,
    /// Of the amount that is fixed: sold, or bought.
    pub part: Amount,
    /// What that brings, or wants.
    pub result: Amount,
}

/// A swap over one pool or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    /// The larger part comes last: it takes what the amount moves by until it is carried out.
    pub shares: Vec<Share>,
    /// What all bring, or want.
    pub total: Amount,
}

/// The search for the best division of one amount.
pub(super) struct Search<'a, F> {
    pub pools: &'a [PoolKind],
    /// What is fixed over all of them.
    pub exact: Exact,
    /// What a second swap costs, in the token that is not fixed. `None`: there is to be one alone.
    pub second: Option<Amount>,
    /// What the pool at this place brings or wants for so much.
    pub swap: F,
}

/// What two pools do with one division.
#[derive(Clone, Copy)]
enum Sum {
    Of([U256; 2]),
    FirstRefuses,
    SecondRefuses,
    NotYet,
}

impl<F: FnMut(usize, Exact) -> Known<U256>> Search<'_, F> {
    /// The best division: one pool, unless two are better by more than the second swap costs.
    pub fn best(&mut self) -> Known<Division> {
        let whole = self.amount();
        let mut best: Option<Division> = None;
        let mut waiting = false;
        for (place, pool) in self.pools.iter().enumerate() {
            match (self.swap)(place, self.exact) {
                Known::Yes(result) if best.as_ref().is_none_or(|known| self.beats(result, known.total.0)) => {
                    let (part, result) = (Amount(whole), Amount(result));
                    best =
                        Some(Division { shares: vec![Share { pool: *pool, part, result }], total: result });
                }
                Known::NotYet => waiting = true,
                _ => {}
            }
        }
        if waiting {
            return Known::NotYet;
        }
        let Some(second) = self.second else { return best.map_or(Known::No, Known::Yes) };
        // What two pools must beat; nothing where no pool takes the whole.
        let bar = match best.as_ref().map(|single| self.bar(single.total.0, second.0)) {
            Some(None) => return best.map_or(Known::No, Known::Yes),
            bar => bar.flatten(),
        };
        let divided = match self.may_beat(bar) {
            Known::Yes(()) => self.two(),
            Known::No => Known::No,
            Known::NotYet => Known::NotYet,
        };
        match divided {
            Known::Yes(two) if bar.is_none_or(|bar| self.beats(two.total.0, bar)) => Known::Yes(two),
            Known::NotYet => Known::NotYet,
            _ => best.map_or(Known::No, Known::Yes),
        }
    }

    fn amount(&self) -> U256 {
        let (Exact::In(amount) | Exact::Out(amount)) = self.exact;
        amount
    }

    /// So many parts of the amount. Rounds down.
    fn part(&self, parts: u32) -> U256 {
        let part = mul_div(self.amount(), U256::from(parts), U256::from(PARTS), Round::Down);
        // Parts are no more than the whole.
        part.unwrap_or_default()
    }

    fn result(&mut self, place: usize, part: U256) -> Known<U256> {
        let exact = match self.exact {
            Exact::In(_) => Exact::In(part),
            Exact::Out(_) => Exact::Out(part),
        };
        (self.swap)(place, exact)
    }

    fn beats(&self, result: U256, other: U256) -> bool {
        match self.exact {
            Exact::In(_) => result > other,
            Exact::Out(_) => result < other,
        }
    }

    /// What is as good as this result after the cost of a second swap. `None`: there is no such thing.
    fn bar(&self, single: U256, second: U256) -> Option<U256> {
        match self.exact {
            Exact::In(_) => single.checked_add(second),
            Exact::Out(_) => single.checked_sub(second),
        }
    }

    /// Whether there could be such a division: it is if everything went at the best price that any pool has for one
    /// part alone. Prices get worse with the amount, so that no division is better than this, but for the little that
    /// one part moves a price.
    fn may_beat(&mut self, bar: Option<U256>) -> Known<()> {
        if self.pools.len() < 2 || self.amount() < U256::from(2) {
            return Known::No;
        }
        let Some(bar) = bar else { return Known::Yes(()) };
        let part = self.part(1);
        // Of few units fees and roundings take so much that a part says nothing of the price.
        let Some(counted) = part.checked_sub(ROUNDING).filter(|counted| *counted > ROUNDING) else {
            return Known::Yes(());
        };
        let mut found = Known::No;
        for place in 0..self.pools.len() {
            match self.result(place, part) {
                Known::Yes(result) => {
                    let (result, part) = match self.exact {
                        Exact::In(_) => (result.saturating_add(ROUNDING), counted),
                        Exact::Out(_) => (result.saturating_sub(ROUNDING), part),
                    };
                    let ideal = mul_div(result, self.amount(), part, Round::Up).unwrap_or(U256::MAX);
                    if found == Known::No && self.beats(ideal, bar) {
                        found = Known::Yes(());
                    }
                }
                Known::NotYet => found = Known::NotYet,
                Known::No => {}
            }
        }
        found
    }

    /// The best division over the two pools that do best together where they are tried.
    fn two(&mut self) -> Known<Division> {
        let mut tried = Vec::with_capacity(self.pools.len());
        for place in 0..self.pools.len() {
            tried.push(TRIED.map(|parts| self.result(place, self.part(parts))));
        }
        if tried.iter().flatten().any(|result| *result == Known::NotYet) {
            return Known::NotYet;
        }
        let mut best: Option<([usize; 2], U256)> = None;
        for (one, results) in tried.iter().enumerate() {
            for (other, rests) in tried.iter().enumerate().skip(one.saturating_add(1)) {
                for pair in results.iter().zip(rests.iter().rev()) {
                    if let (Known::Yes(first), Known::Yes(second)) = pair
                        && let Some(sum) = first.checked_add(*second)
                        && best.is_none_or(|(_, known)| self.beats(sum, known))
                    {
                        best = Some(([one, other], sum));
                    }
                }
            }
        }
        best.map_or(Known::No, |(places, _)| self.divide(places))
    }

    /// The best division over two pools, by Fibonacci's search: 17 places of 4,180 are looked at. Each part more of an
    /// amount brings a pool less than the one before, so that this finds the best place, but for what single units of
    /// rounding hide; and the best between two places is better by no more than the last part before it was.
    fn divide(&mut self, places: [usize; 2]) -> Known<Division> {
        let (mut wide, mut narrow) = BEFORE;
        let mut low = 0_u32;
        let mut left = self.sum(places, narrow);
        let mut right = self.sum(places, wide);
        let mut best: Option<(u32, [U256; 2])> = None;
        loop {
            for (step, sum) in [(narrow, left), (wide, right)] {
                match sum {
                    Sum::Of(sum) if best.is_none_or(|(_, known)| self.beats(total(sum), total(known))) => {
                        best = Some((low.saturating_add(step), sum));
                    }
                    Sum::NotYet => return Known::NotYet,
                    _ => {}
                }
            }
            if wide <= 2 {
                return best
                    .map_or(Known::No, |(parts, results)| Known::Yes(self.division(places, parts, results)));
            }
            // A pool that refuses has too much: the other gets more.
            let goes_right = match (left, right) {
                (Sum::SecondRefuses, _) => true,
                (_, Sum::FirstRefuses) | (Sum::FirstRefuses, _) => false,
                (_, Sum::SecondRefuses) => true,
                (Sum::Of(left), Sum::Of(right)) => self.beats(total(right), total(left)),
                (Sum::NotYet, _) | (_, Sum::NotYet) => return Known::NotYet,
            };
            let next = wide.saturating_sub(narrow);
            if goes_right {
                low = low.saturating_add(narrow);
                left = right;
                right = self.sum(places, low.saturating_add(narrow));
            } else {
                right = left;
                left = self.sum(places, low.saturating_add(next));
            }
            (wide, narrow) = (narrow, next);
        }
    }

    /// So many parts through the first pool, the rest through the second.
    fn sum(&mut self, [first, second]: [usize; 2], parts: u32) -> Sum {
        let part = self.part(parts);
        let rest = self.amount().saturating_sub(part);
        match (self.result(first, part), self.result(second, rest)) {
            (Known::NotYet, _) | (_, Known::NotYet) => Sum::NotYet,
            (Known::Yes(first), Known::Yes(second)) => Sum::Of([first, second]),
            (Known::No, _) => Sum::FirstRefuses,
            (_, Known::No) => Sum::SecondRefuses,
        }
    }

    fn division(&self, places: [usize; 2], parts: u32, results: [U256; 2]) -> Division {
        let part = self.part(parts);
        let amounts = [part, self.amount().saturating_sub(part)];
        let mut shares = Vec::with_capacity(2);
        for ((place, part), result) in places.into_iter().zip(amounts).zip(results) {
            if let Some(pool) = self.pools.get(place) {
                shares.push(Share { pool: *pool, part: Amount(part), result: Amount(result) });
            }
        }
        shares.sort_by_key(|share| share.part);
        Division { shares, total: Amount(total(results)) }
    }
}

/// What both bring or want. More than there can be of any token counts as all there can be.
fn total([first, second]: [U256; 2]) -> U256 {
    first.saturating_add(second)
}
