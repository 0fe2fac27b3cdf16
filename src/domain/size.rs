//! How much to repay, through which pools: the search for the draft that leaves most. It is one function of
//! what is known; what it needs and does not know it notes as questions, and it is called again with the
//! answers. Outcomes come from the protocol's arithmetic, proceeds from the pools' own, nothing from a model.

mod deal;

use deal::{Deal, Path};

use super::plan::{Draft, Funding, Reason, Skip};
use super::prices::Moment;
use super::protocol::{Opportunity, Outcome, Protocol, Step};
use super::route::{Knowledge, Known, Pair, TIERS, Venue};
use super::units::{Amount, Bps, FeePerGas, Gas, Net, Round, mul_div};
use alloy::primitives::{Address, U256};

/// What a liquidation funded by a flash loan takes before any swap, and what each swap adds. Only weighs
/// routes against each other; the price is taken from the simulation.
pub const BASE_GAS: Gas = Gas(470_000);
pub const SWAP_GAS: Gas = Gas(110_000);
/// What a second liquidation of the same pair adds.
pub const CALL_GAS: Gas = Gas(170_000);
/// Shares of the largest repay that are tried first, in 1,024ths.
const LADDER: [u32; 7] = [1, 8, 64, 256, 512, 768, 1_024];
/// After the first look, the neighbourhood of the best is divided this often, into so many parts.
const REFINEMENTS: usize = 3;
const PARTS: u32 = 6;
/// A debt that is closed whole grows until we are included: seven days at 10 % a year are 19 basis points. What is
/// borrowed too much costs its premium only.
pub const GROWTH: Bps = Bps(20);

/// What two calls must repay more than one to be worth the risk that the first one heals.
const WORTH_TWO: Bps = Bps(100);

/// What the search is about and may use.
pub struct Scope<'a, P> {
    pub protocol: &'a P,
    pub when: Moment<'a>,
    pub venue: &'a Venue,
    /// Assets whose pools with the debt may lend it.
    pub partners: &'a [Address],
    pub base_fee: FeePerGas,
    pub slippage: Bps,
}

/// How a candidate fared.
type Priced = Known<Result<Draft, Refusal>>;

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

/// The best draft over all pairs of one account, a pair and the reason why there is none, or the need to ask first.
/// `No` only where there are no pairs.
pub fn best<P: Protocol>(
    scope: &Scope<'_, P>,
    opportunities: &[Opportunity],
    knowledge: &mut Knowledge,
) -> Known<Result<Draft, (Opportunity, Refusal)>> {
    let mut found = Vec::new();
    let mut refusal: Option<(Opportunity, Refusal)> = None;
    let mut waiting = false;
    for opportunity in opportunities {
        // A first call that opens more than it takes: only what comes of it counts, the pair is judged by itself below.
        for first in openings(scope, opportunity) {
            match best_size(scope, &first.second, Some(first.outcome), knowledge) {
                // The account is as weak as it is before the first call.
                Known::Yes(Ok(draft)) => found.push(Draft { health: opportunity.health, ..draft }),
                Known::NotYet => waiting = true,
                Known::Yes(Err(_)) | Known::No => {}
            }
        }
        match best_size(scope, opportunity, None, knowledge) {
            Known::Yes(Ok(draft)) => found.push(draft),
            Known::Yes(Err(other)) => {
                refusal = Some(match refusal {
                    Some((pair, known)) if known.clone().nearer(other.clone()) == known => (pair, known),
                    _ => (opportunity.clone(), other),
                });
            }
            Known::No => {}
            Known::NotYet => waiting = true,
        }
    }
    if waiting {
        return Known::NotYet;
    }
    match (found.into_iter().max_by_key(|draft| scope.net(draft)), refusal) {
        (Some(draft), _) => Known::Yes(Ok(draft)),
        (None, Some(refused)) => Known::Yes(Err(refused)),
        (None, None) => Known::No,
    }
}

/// A first call, and the same pair as it stands after that.
struct First {
    outcome: Outcome,
    second: Opportunity,
}

/// The first calls worth a second one.
fn openings<P: Protocol>(scope: &Scope<'_, P>, pair: &Opportunity) -> Vec<First> {
    let first = |size: Amount| {
        let outcome = scope.protocol.outcome(pair, size, &scope.when).ok()?.ok()?;
        let step = Step {
            debt_asset: pair.debt_asset,
            collateral_asset: pair.collateral_asset,
            cover: outcome.cover,
        };
        let seconds = scope.protocol.opportunities(pair.account, &[step], &scope.when).ok()?.ok()?;
        let same = |second: &Opportunity| {
            (second.debt_asset, second.collateral_asset) == (pair.debt_asset, pair.collateral_asset)
        };
        let second = seconds.into_iter().find(same)?;
        let least = pair.most.plus(pair.most.times(WORTH_TWO, Round::Up).ok()?).ok()?;
        (outcome.repaid.plus(second.most).ok()? > least).then_some(First { outcome, second })
    };
    pair.openings.iter().copied().filter_map(first).collect()
}

fn best_size<P: Protocol>(
    scope: &Scope<'_, P>,
    opportunity: &Opportunity,
    first: Option<Outcome>,
    knowledge: &mut Knowledge,
) -> Priced {
    let most = opportunity.most;
    let mut sizes = LADDER
        .iter()
        .filter_map(|share| mul_div(most.0, U256::from(*share), U256::from(1_024), Round::Up).ok())
        .map(Amount)
        .chain(opportunity.kinks.iter().copied())
        .collect::<Vec<_>>();
    let mut refusal = Refusal::bare(Reason::NoRoute);
    for round in 0..=REFINEMENTS {
        sizes.sort_unstable();
        sizes.dedup();
        let mut priced = Vec::new();
        let mut waiting = false;
        for size in &sizes {
            match price(scope, opportunity, first, *size, knowledge) {
                Known::Yes(Ok(draft)) => priced.push((*size, draft)),
                Known::Yes(Err(other)) => refusal = refusal.nearer(other),
                Known::No => {}
                Known::NotYet => waiting = true,
            }
        }
        if waiting {
            return Known::NotYet;
        }
        let best = priced.iter().max_by_key(|(size, draft)| (scope.net(draft), std::cmp::Reverse(*size)));
        let Some((size, draft)) = best else { return Known::Yes(Err(refusal)) };
        // What still grows at the upper end after a closer look has its best there: deep pools.
        let at_the_end = round > 0 && sizes.last() == Some(size);
        if round == REFINEMENTS || at_the_end {
            return Known::Yes(Ok(draft.clone()));
        }
        match between_neighbours(&sizes, *size) {
            fresh if fresh.is_empty() => return Known::Yes(Ok(draft.clone())),
            fresh => sizes.extend(fresh),
        }
    }
    Known::Yes(Err(refusal))
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

/// What repaying `size` leaves, through the best pools; `first` is what a call before it moves.
fn price<P: Protocol>(
    scope: &Scope<'_, P>,
    opportunity: &Opportunity,
    first: Option<Outcome>,
    size: Amount,
    knowledge: &mut Knowledge,
) -> Priced {
    let outcome = match scope.protocol.outcome(opportunity, size, &scope.when) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(revert)) => return Known::Yes(Err(Refusal::bare(Reason::Refused(revert)))),
        Err(unknown) => return Known::Yes(Err(Refusal::bare(Reason::Unknown(unknown)))),
    };
    let sum = |what: fn(&Outcome) -> Amount| what(&outcome).plus(first.as_ref().map_or(Amount::ZERO, what));
    let (Ok(repaid), Ok(seized)) = (sum(|call| call.repaid), sum(|call| call.seized)) else {
        return Known::Yes(Err(Refusal::bare(Reason::Overflow)));
    };
    let outcome_of_all = Outcome { repaid, seized, ..outcome };
    let borrowed = match borrowed(&outcome_of_all) {
        Ok(borrowed) => borrowed,
        Err(reason) => return Known::Yes(Err(Refusal::bare(reason))),
    };
    let deal = |missing: Amount, locked: Option<Address>| Deal {
        collateral: opportunity.collateral_asset,
        debt: opportunity.debt_asset,
        native: scope.venue.wrapped_native,
        seized,
        missing,
        slippage: scope.slippage,
        locked,
    };
    let (funding, premium) = match fund(scope, opportunity, &outcome_of_all, borrowed, knowledge) {
        Known::Yes(terms) => terms,
        Known::No => return Known::Yes(Err(Refusal::bare(Reason::NoFunding))),
        Known::NotYet => {
            // What the swaps need to know is asked in the same round.
            let _ = deal(repaid, None).best_path(knowledge, |path| Net::Gain(path.left));
            return Known::NotYet;
        }
    };
    let Ok(missing) = repaid.plus(premium) else {
        return Known::Yes(Err(Refusal::bare(Reason::Overflow)));
    };
    let locked = match funding {
        Funding::Pool { pool, .. } => Some(pool),
        Funding::Lender(_) => None,
    };
    let base = if first.is_some() { Gas(BASE_GAS.0.saturating_add(CALL_GAS.0)) } else { BASE_GAS };
    let draft = |path: Path| {
        let swaps = u64::try_from(path.swaps.len()).unwrap_or(u64::MAX);
        Draft {
            account: opportunity.account,
            health: opportunity.health,
            debt_asset: opportunity.debt_asset,
            collateral_asset: opportunity.collateral_asset,
            first,
            outcome,
            funding,
            borrowed,
            route: path.route,
            tiers: path.tiers,
            gross: path.left,
            gas: Gas(base.0.saturating_add(SWAP_GAS.0.saturating_mul(swaps))),
            swaps: path.swaps,
        }
    };
    match deal(missing, locked).best_path(knowledge, |path| scope.net(&draft(path.clone()))) {
        Known::Yes(Ok(path)) => Known::Yes(Ok(draft(path))),
        Known::Yes(Err(poor)) => {
            // What is missing, and the gas of the cheapest call there is.
            let loss = poor.short.and_then(|short| short.plus(BASE_GAS.cost(scope.base_fee)).ok());
            let net = loss.map(Net::Loss);
            Known::Yes(Err(Refusal { reason: poor.reason, repay: Some(repaid), net }))
        }
        Known::No => Known::No,
        Known::NotYet => Known::NotYet,
    }
}

/// What must be borrowed: the repay, with room for growth where all of a debt is closed.
fn borrowed(outcome: &Outcome) -> Result<Amount, Reason> {
    if outcome.cover != U256::MAX {
        return Ok(outcome.repaid);
    }
    let growth = outcome.repaid.times(GROWTH, Round::Up)?.max(Amount::new(U256::from(10)));
    Ok(outcome.repaid.plus(growth)?)
}

/// The cheapest loan of `amount` and its premium: the protocol's own where it lends it, else a pool's.
fn fund<P: Protocol>(
    scope: &Scope<'_, P>,
    opportunity: &Opportunity,
    outcome: &Outcome,
    amount: Amount,
    knowledge: &mut Knowledge,
) -> Known<(Funding, Amount)> {
    let debt = opportunity.debt_asset;
    if let Some(terms) = scope.protocol.flash(debt, amount) {
        // What is lent cannot be seized at the same time.
        let needed =
            if opportunity.collateral_asset == debt { amount.plus(outcome.seized) } else { Ok(amount) };
        if needed.is_ok_and(|needed| terms.available >= needed) {
            return Known::Yes((Funding::Lender(terms.lender), terms.premium));
        }
    }
    let on_route = [opportunity.collateral_asset, scope.venue.wrapped_native];
    let mut best: Option<(bool, Amount, Funding)> = None;
    let mut waiting = false;
    for partner in scope.partners.iter().copied().filter(|partner| *partner != debt) {
        for tier in TIERS {
            let pool = match knowledge.pool(Pair::of(debt, partner), tier) {
                Known::Yes(pool) => pool,
                Known::No => continue,
                Known::NotYet => {
                    waiting = true;
                    continue;
                }
            };
            match knowledge.holds(debt, pool) {
                Known::Yes(held) if held >= amount => {
                    let Ok(fee) = mul_div(amount.0, U256::from(tier), U256::from(1_000_000), Round::Up)
                    else {
                        continue;
                    };
                    // A pool that lends is locked: one that the swaps do not want comes first.
                    let candidate =
                        (on_route.contains(&partner), Amount(fee), Funding::Pool { partner, tier, pool });
                    if best.is_none_or(|(wanted, fee, _)| (candidate.0, candidate.1) < (wanted, fee)) {
                        best = Some(candidate);
                    }
                }
                Known::NotYet => waiting = true,
                _ => {}
            }
        }
    }
    match best {
        _ if waiting => Known::NotYet,
        Some((_, fee, funding)) => Known::Yes((funding, fee)),
        None => Known::No,
    }
}

impl<P> Scope<'_, P> {
    /// What a draft leaves after gas at the base fee.
    fn net(&self, draft: &Draft) -> Net {
        Net::of(draft.gross, draft.gas.cost(self.base_fee))
    }
}
