//! How much to repay, of which debts, for which collaterals, and through which pools: the search for the draft that
//! leaves most. It is one function of what is known; what it needs and does not know it notes as questions, and it is
//! called again with the answers. Outcomes come from the protocol's arithmetic, proceeds from the pools' own, nothing
//! from a model.

mod deal;
mod double;
mod fund;
mod peak;
mod price;

pub use fund::GROWTH;

use super::cost::gas_limit;
use super::plan::{Draft, Liquidation, Reason, Skip};
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
}

/// Why a size, a pair or an account is refused, with its numbers as far as there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub repay: Option<Amount>,
    pub net: Option<Net>,
}

impl Refusal {
    pub fn bare(reason: Reason) -> Self {
        Self { reason, repay: None, net: None }
    }

    /// Told of the pair it is about.
    pub fn skip(self, pair: &Opportunity) -> Skip {
        Skip {
            account: pair.account,
            health: Some(pair.health),
            reason: self.reason,
            debt_asset: Some(pair.debt_asset),
            collateral_asset: Some(pair.collateral_asset),
            repay: self.repay,
            net: self.net,
        }
    }

    /// Of several refusals the one nearest to a plan is told: what loses least, else what came furthest.
    fn nearer(self, other: Self) -> Self {
        let near = |refusal: &Self| {
            let rank = match refusal.reason {
                Reason::Unprofitable => 3,
                Reason::NoRoute => 2,
                Reason::NoFunding => 1,
                _ => 0,
            };
            (rank, refusal.net)
        };
        if near(&other) > near(&self) { other } else { self }
    }
}

/// The best draft for one account by calls of these pairs, a pair and the reason why there is none, or the need to ask
/// first. `No` only where there are no pairs.
pub fn best<P: Protocol>(
    scope: &Scope<'_, P>,
    pairs: &[Opportunity],
    knowledge: &mut Knowledge,
) -> Known<Result<Draft, (Opportunity, Refusal)>> {
    let mut search = Search { scope, pairs, knowledge, is_waiting: false };
    let mut refusal: Option<(Opportunity, Refusal)> = None;
    let mut singles = Vec::new();
    for pair in pairs {
        match search.last(&[], pair) {
            Ok(found) => singles.push(found),
            Err(other) => {
                refusal = Some(match refusal {
                    Some((pair, known)) if known.clone().nearer(other.clone()) == known => (pair, known),
                    _ => (pair.clone(), other),
                });
            }
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
    match (best, refusal) {
        (Some(found), _) => Known::Yes(Ok(found.draft)),
        (None, Some(refused)) => Known::Yes(Err(refused)),
        (None, None) => Known::No,
    }
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
        let mut refusal = Refusal::bare(Reason::NoRoute);
        let found = peak::best(peak::ladder(pair, self.lendable(before, pair)), |size| {
            match self.behind(before, pair, size)? {
                Ok(found) => Some((self.scope.net(&found.draft), found)),
                Err(other) => {
                    refusal = refusal.clone().nearer(other);
                    None
                }
            }
        });
        found.ok_or(refusal)
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
