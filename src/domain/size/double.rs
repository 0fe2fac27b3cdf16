//! The best of two calls of one account: a few sizes of every pair behind every pair, then the best of those closely.

use super::{Found, Search, Taken, is_of, key, peak};
use crate::domain::protocol::{Opportunity, Protocol};
use crate::domain::units::Amount;

/// Of two calls, so many beginnings are looked at closely, and each of its sizes so often.
const CLOSE: usize = 4;
const TURNS: usize = 2;

impl<P: Protocol> Search<'_, '_, P> {
    /// The best of two calls, where there is one.
    pub(super) fn double(&mut self, singles: &[Found]) -> Option<Found> {
        let mut beginnings: Vec<Found> = Vec::new();
        for first in self.pairs {
            let mut sizes = peak::steps(first, self.lendable(&[], first));
            sizes.extend(first.openings.iter().copied().chain(alone(singles, first)));
            sizes.sort_unstable();
            sizes.dedup();
            for size in sizes {
                self.begin(first, size, singles, &mut beginnings);
            }
        }
        beginnings.sort_by_key(|found| std::cmp::Reverse(self.scope.net(&found.draft)));
        // The best of each two pairs: other sizes of them are found from there.
        let mut chosen: Vec<Found> = Vec::new();
        for beginning in beginnings {
            let pairs = |found: &Found| found.calls.iter().map(|taken| key(&taken.call)).collect::<Vec<_>>();
            if chosen.len() < CLOSE && !chosen.iter().any(|other| pairs(other) == pairs(&beginning)) {
                chosen.push(beginning);
            }
        }
        let found = chosen.into_iter().map(|beginning| self.closely(beginning));
        let found = found.collect::<Vec<_>>();
        found.into_iter().max_by_key(|found| self.scope.net(&found.draft))
    }

    /// What comes of `size` of a first pair, with each second one in a few sizes.
    fn begin(&mut self, first: &Opportunity, size: Amount, singles: &[Found], beginnings: &mut Vec<Found>) {
        let Ok(call) = self.scope.liquidation(first, size) else { return };
        let taken = Taken { size, call };
        for second in self.after(&[taken]) {
            let mut sizes = peak::steps(&second, self.lendable(&[taken], &second));
            sizes.extend(alone(singles, &second).filter(|alone| *alone < second.most));
            let found = sizes.into_iter().filter_map(|size| self.behind(&[taken], &second, size)?.ok());
            let found = found.collect::<Vec<_>>();
            beginnings.extend(found.into_iter().max_by_key(|found| self.scope.net(&found.draft)));
        }
    }

    /// Two calls with their sizes looked at in turns, each while the other stays.
    fn closely(&mut self, beginning: Found) -> Found {
        let mut best = beginning;
        for _ in 0..TURNS {
            let moved = [self.later(&best), self.sooner(&best)].into_iter().flatten();
            let moved = moved.max_by_key(|found| self.scope.net(&found.draft));
            match moved.filter(|found| self.scope.net(&found.draft) > self.scope.net(&best.draft)) {
                Some(found) => best = found,
                None => break,
            }
        }
        best
    }

    /// The best size of the second of two calls behind the first.
    fn later(&mut self, found: &Found) -> Option<Found> {
        let (first, second) = (found.calls.first()?, found.calls.get(1)?);
        let after = self.after(&[*first]);
        self.last(&[*first], after.iter().find(|pair| is_of(pair, second))?).ok()
    }

    /// The best size of the first of two calls, while what is asked of the second stays, or is where its outcome changes
    /// its form.
    fn sooner(&mut self, found: &Found) -> Option<Found> {
        let (first, second) = (found.calls.first()?, found.calls.get(1)?);
        let pair = self.pairs.iter().find(|pair| is_of(pair, first))?;
        let mut sizes = peak::ladder(pair, self.lendable(&[], pair));
        sizes.extend(pair.openings.iter().copied().chain([first.size]));
        peak::best(sizes, |size| {
            let first = Taken { size, call: self.scope.liquidation(pair, size).ok()? };
            let after = self.after(&[first]);
            let next = after.iter().find(|pair| is_of(pair, second))?;
            let lendable = self.lendable(&[first], next);
            let sizes = next.kinks.iter().copied().chain([second.size]).chain(lendable);
            let found = sizes.filter_map(|size| self.behind(&[first], next, size)?.ok()).collect::<Vec<_>>();
            let found = found.into_iter().max_by_key(|found| self.scope.net(&found.draft))?;
            Some((self.scope.net(&found.draft), found))
        })
    }
}

/// The size of a pair that is best for it by itself.
fn alone(singles: &[Found], pair: &Opportunity) -> Option<Amount> {
    let firsts = singles.iter().filter_map(|found| found.calls.first());
    firsts.filter(|taken| is_of(pair, taken)).map(|taken| taken.size).next()
}
