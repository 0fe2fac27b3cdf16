//! How much to repay, of which debts, for which collaterals, and through which pools: the search for the draft that
//! leaves most. It is one function of what is known; what it needs and does not know it notes as questions, and it is
//! called again with the answers. Outcomes come from the protocol's arithmetic, proceeds from the pools' own, nothing
//! from a model.

mod deal;
mod double;
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
/// What a call for shares takes, paid from the purse: on the real contracts 454 to 516 thousand.
pub const SHARES_GAS: Gas = Gas(490_000);

/// What another call must add to be worth the risk that the one before it heals.
const WORTH: Bps = Bps(5);
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
