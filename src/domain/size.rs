//! How much to repay, of which debts, for which collaterals, and through which pools: the search for the draft that
//! leaves most. It is one function of what is known; what it needs and does not know it notes as questions, and it is
//! called again with the answers. Outcomes come from the protocol's arithmetic, proceeds from the pools' own, nothing
//! from a model.

mod deal;
mod fund;
mod peak;
mod price;
mod refused;
mod shares;

pub use fund::GROWTH;
pub use refused::Refusal;
pub use shares::{Holding, Purse};

use super::cost::gas_limit;
use super::plan::{Draft, Liquidation, Reason};
use super::prices::Moment;
use super::protocol::{Opportunity, Protocol, Step};
use super::route::{Knowledge, Known, Venue};
use super::units::{Amount, Bps, FeePerGas, Gas, Net, Round, Wei};
use alloy::primitives::Address;

/// What one loan takes with one liquidation before any swap, what another liquidation of the same debt and each swap add,
/// and what a loan takes behind another one in the same transaction. Only weighs plans against each other; the price is
/// taken from the simulation.
pub const LOAN_GAS: Gas = Gas(470_000);
pub const CALL_GAS: Gas = Gas(170_000);
pub const SWAP_GAS: Gas = Gas(110_000);
pub const NEXT_LOAN_GAS: Gas = Gas(400_000);
/// What a call for shares takes, paid from the purse.
pub const SHARES_GAS: Gas = Gas(470_000);

/// What another call must add to be worth the risk that the one before it heals.
const WORTH: Bps = Bps(5);
/// Of two calls, so many beginnings are looked at closely, and each of its sizes so often.
const CLOSE: usize = 4;
const TURNS: usize = 2;
/// More calls than this for one account do not fit beside others.
pub const MOST_CALLS: usize = 6;
/// More loans than this in one draft would be too many to weigh against each other.
pub const MOST_LOANS: usize = 3;

/// What the search is about and may use.
pub struct Scope<'a, P> {
    pub protocol: &'a P,
    pub when: Moment<'a>,
    pub venue: &'a Venue,
    /// Assets whose pools with the debt may lend it.
    pub partners: &'a [Address],
    pub base_fee: FeePerGas,
    pub slippage: Bps,
    /// How many calls an account may be taken with, and how many loans they may need: of several each may fail alone, which
    /// only some nodes can try.
    pub most_calls: usize,
    pub most_loans: usize,
    /// Most gas of one transaction.
    pub gas_limit: Gas,
    /// What pays for shares, where they may be taken.
    pub purse: Option<Purse<'a>>,
}

/// The best draft for one account by calls of these pairs, a pair and the reason why there is none, or the need to ask
/// first. `No` only where there are no pairs.
pub fn best<P: Protocol>(
    scope: &Scope<'_, P>,
    pairs: &[Opportunity],
    knowledge: &mut Knowledge,
) -> Known<Result<Draft, (Opportunity, Refusal)>> {
    let mut search = Search { scope, pairs, knowledge, is_waiting: false };
    let mut refusals = Vec::new();
    let mut singles = Vec::new();
    let mut shares = Vec::new();
    for pair in pairs {
        match search.last(&[], pair) {
            Ok(found) => singles.push(found),
            Err(refusal) => refusals.push((pair, refusal)),
        }
        match search.in_shares(pair) {
            Some(Ok(draft)) => shares.push(draft),
            Some(Err(refusal)) => refusals.push((pair, refusal)),
            None => {}
        }
    }
    // Several calls go through the same pools: what one by one need is known first.
    if search.is_waiting {
        return Known::NotYet;
    }
    let double = if search.may_pay_twice(&singles) { search.double(&singles) } else { None };
    let mut best = singles.into_iter().max_by_key(|found| scope.net(&found.draft));
    if let Some(double) = double
        && best.as_ref().is_none_or(|single| scope.is_worth_more(&double.draft, &single.draft))
    {
        best = Some(double);
    }
    while let Some(found) = best.as_ref()
        && found.calls.len() < scope.most_calls
        && let Some(longer) = search.longer(found)
    {
        best = Some(longer);
    }
    if search.is_waiting {
        return Known::NotYet;
    }
    let best = best.map(|found| found.draft).into_iter().chain(shares).max_by_key(|draft| scope.net(draft));
    // That the purse lacks money says more than that what little is left in a reserve does not pay.
    let lacks_money = refusals.iter().any(|(_, refusal)| refusal.reason == Reason::EmptyPurse);
    if let Some(draft) = best.filter(|draft| !lacks_money || scope.net(draft).gain().is_some()) {
        return Known::Yes(Ok(draft));
    }
    let nearest = refusals.into_iter().reduce(|(pair, known), (next, other)| {
        if known.clone().nearer(other.clone()) == known { (pair, known) } else { (next, other) }
    });
    nearest.map_or(Known::No, |(pair, refusal)| Known::Yes(Err((pair.clone(), refusal))))
}

/// Calls one behind the other, and what they come to.
struct Found {
    calls: Vec<Taken>,
    draft: Draft,
}

/// A call with what was asked of the protocol for it.
#[derive(Clone, Copy)]
struct Taken {
    size: Amount,
    call: Liquidation,
}

struct Search<'a, 'b, P> {
    scope: &'a Scope<'b, P>,
    pairs: &'a [Opportunity],
    knowledge: &'a mut Knowledge,
    /// Something must be asked before there is an answer.
    is_waiting: bool,
}

impl<P: Protocol> Search<'_, '_, P> {
    /// The best size of `pair` as the last call behind these.
    fn last(&mut self, before: &[Taken], pair: &Opportunity) -> Result<Found, Refusal> {
        let mut refusal: Option<Refusal> = None;
        let found = peak::best(peak::ladder(pair, self.lendable(before, pair)), |size| {
            match self.behind(before, pair, size)? {
                Ok(found) => Some((self.scope.net(&found.draft), found)),
                Err(other) => {
                    refusal = Some(Refusal::nearest(refusal.take(), other));
                    None
                }
            }
        });
        found.ok_or_else(|| refusal.unwrap_or(Refusal::bare(Reason::NoRoute)))
    }

    /// These calls and then `size` of `pair`; `None` where something must be asked first.
    fn behind(
        &mut self,
        before: &[Taken],
        pair: &Opportunity,
        size: Amount,
    ) -> Option<Result<Found, Refusal>> {
        let call = match self.scope.liquidation(pair, size) {
            Ok(call) => call,
            Err(refusal) => return Some(Err(refusal)),
        };
        let mut calls = before.to_vec();
        calls.push(Taken { size, call });
        self.found(calls)
    }

    fn found(&mut self, calls: Vec<Taken>) -> Option<Result<Found, Refusal>> {
        let liquidations = calls.iter().map(|taken| taken.call).collect::<Vec<_>>();
        let loans = liquidations.chunk_by(|one, other| one.debt_asset == other.debt_asset).count();
        if loans > self.scope.most_loans {
            return Some(Err(Refusal::bare(Reason::NoFunding)));
        }
        match price::draft(self.scope, self.pairs, &liquidations, self.knowledge) {
            Known::Yes(priced) => Some(priced.map(|draft| Found { calls, draft })),
            Known::No => Some(Err(Refusal::bare(Reason::NoRoute))),
            Known::NotYet => {
                self.is_waiting = true;
                None
            }
        }
    }

    /// The largest sizes of a pair behind these calls for which a loan is still there that larger ones cannot have.
    fn lendable(&mut self, before: &[Taken], pair: &Opportunity) -> Vec<Amount> {
        let before = before.iter().map(|taken| taken.call).collect::<Vec<_>>();
        match fund::limits(self.scope, &before, pair, self.knowledge) {
            Known::Yes(limits) => limits,
            Known::No => vec![],
            Known::NotYet => {
                self.is_waiting = true;
                vec![]
            }
        }
    }

    /// Pairs of ours that are legal after these calls.
    fn after(&self, calls: &[Taken]) -> Vec<Opportunity> {
        let Some(account) = self.pairs.first().map(|pair| pair.account) else { return vec![] };
        let step = |taken: &Taken| Step {
            debt_asset: taken.call.debt_asset,
            collateral_asset: taken.call.collateral_asset,
            cover: taken.call.outcome.cover,
        };
        let steps = calls.iter().map(step).collect::<Vec<_>>();
        let Ok(Ok(mut pairs)) = self.scope.protocol.opportunities(account, &steps, &self.scope.when) else {
            return vec![];
        };
        pairs.retain(|pair| self.pairs.iter().any(|ours| is_same(ours, pair)));
        pairs
    }

    /// Whether several calls could pay for the gas of the cheapest: each brings no more than twice what the largest that is
    /// allowed now does, half of all.
    fn may_pay_twice(&self, singles: &[Found]) -> bool {
        let sum = singles.iter().map(|found| found.draft.gross).try_fold(Wei::ZERO, Wei::plus);
        let twice = sum.and_then(|sum| sum.plus(sum));
        self.scope.most_calls > 1 && twice.is_ok_and(|most| most > LOAN_GAS.cost(self.scope.base_fee))
    }

    /// The best of two calls, where there is one.
    fn double(&mut self, singles: &[Found]) -> Option<Found> {
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

    /// The same calls and one more, where that is worth it.
    fn longer(&mut self, found: &Found) -> Option<Found> {
        let mut best: Option<Found> = None;
        for pair in self.after(&found.calls) {
            let Ok(longer) = self.last(&found.calls, &pair) else { continue };
            if best.as_ref().is_none_or(|best| self.scope.net(&longer.draft) > self.scope.net(&best.draft)) {
                best = Some(longer);
            }
        }
        best.filter(|longer| self.scope.is_worth_more(&longer.draft, &found.draft))
    }
}

/// The size of a pair that is best for it by itself.
fn alone(singles: &[Found], pair: &Opportunity) -> Option<Amount> {
    let firsts = singles.iter().filter_map(|found| found.calls.first());
    firsts.filter(|taken| is_of(pair, taken)).map(|taken| taken.size).next()
}

fn key(call: &Liquidation) -> (Address, Address) {
    (call.debt_asset, call.collateral_asset)
}

fn is_same(one: &Opportunity, other: &Opportunity) -> bool {
    (one.debt_asset, one.collateral_asset) == (other.debt_asset, other.collateral_asset)
}

fn is_of(pair: &Opportunity, taken: &Taken) -> bool {
    (pair.debt_asset, pair.collateral_asset) == key(&taken.call)
}

impl<P: Protocol> Scope<'_, P> {
    /// What a draft leaves after gas at the base fee.
    fn net(&self, draft: &Draft) -> Net {
        Net::of(draft.gross, draft.gas.cost(self.base_fee))
    }

    /// Whether a longer draft leaves so much more that its risk is worth it.
    fn is_worth_more(&self, longer: &Draft, shorter: &Draft) -> bool {
        if gas_limit(longer.gas, Gas(u64::MAX)) > self.gas_limit {
            return false;
        }
        let (longer, shorter) = (self.net(longer), self.net(shorter));
        let least = shorter.gain().and_then(|gain| gain.plus(gain.times(WORTH, Round::Up).ok()?).ok());
        match (longer.gain(), least) {
            (Some(gain), Some(least)) => gain > least,
            _ => longer > shorter,
        }
    }

    /// What `size` of a pair moves.
    fn liquidation(&self, pair: &Opportunity, size: Amount) -> Result<Liquidation, Refusal> {
        let (debt_asset, collateral_asset) = (pair.debt_asset, pair.collateral_asset);
        match self.protocol.outcome(pair, size, &self.when) {
            Ok(Ok(outcome)) => Ok(Liquidation { debt_asset, collateral_asset, outcome }),
            Ok(Err(revert)) => Err(Refusal::bare(Reason::Refused(revert))),
            Err(unknown) => Err(Refusal::bare(Reason::Unknown(unknown))),
        }
    }
}
