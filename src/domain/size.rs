//! How much to repay, through which pools: the search for the draft that leaves most. It is one function of
//! what is known; what it needs and does not know it notes as questions, and it is called again with the
//! answers. Outcomes come from the protocol's arithmetic, proceeds from real quotes, nothing from a model.

use super::plan::{Draft, Funding, Reason, Swap};
use super::prices::Moment;
use super::protocol::{Opportunity, Outcome, Protocol};
use super::route::{Knowledge, Known, Pair, TIERS, Venue};
use super::units::{Amount, Bps, FeePerGas, Gas, Net, Round, Wei, mul_div};
use alloy::primitives::{Address, U256};

/// What a liquidation funded by a flash loan takes before any swap, and what each swap adds. Only weighs
/// routes against each other; the price is taken from the simulation.
const BASE_GAS: Gas = Gas(470_000);
const SWAP_GAS: Gas = Gas(110_000);
/// Shares of the largest repay that are tried first, in 1,024ths.
const LADDER: [u32; 7] = [1, 8, 64, 256, 512, 768, 1_024];
/// After the first look, the neighbourhood of the best is divided this often, into so many parts.
const REFINEMENTS: usize = 3;
const PARTS: u32 = 6;
/// A debt that is closed whole grows until we are included: seven days at 10 % a year are 19 basis points. What is
/// borrowed too much costs its premium only.
const GROWTH: Bps = Bps(20);

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

/// The answer, or an early return that says why there is none yet.
macro_rules! found {
    ($known:expr) => {
        match $known {
            Known::Yes(value) => value,
            Known::No => return Known::Yes(Err(Reason::NoRoute)),
            Known::NotYet => return Known::NotYet,
        }
    };
}

/// How a candidate fared.
type Priced = Known<Result<Draft, Reason>>;

/// The best draft over all pairs of one account, a pair and the reason why there is none, or the need to ask first.
/// `No` only where there are no pairs.
pub fn best<P: Protocol>(
    scope: &Scope<'_, P>,
    opportunities: &[Opportunity],
    knowledge: &mut Knowledge,
) -> Known<Result<Draft, (Opportunity, Reason)>> {
    let mut found = Vec::new();
    let mut refusal = None;
    let mut waiting = false;
    for opportunity in opportunities {
        match best_size(scope, opportunity, knowledge) {
            Known::Yes(Ok(draft)) => found.push(draft),
            Known::Yes(Err(reason)) => refusal = Some((opportunity.clone(), reason)),
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

fn best_size<P: Protocol>(
    scope: &Scope<'_, P>,
    opportunity: &Opportunity,
    knowledge: &mut Knowledge,
) -> Priced {
    let most = opportunity.most;
    let mut sizes = LADDER
        .iter()
        .filter_map(|share| mul_div(most.0, U256::from(*share), U256::from(1_024), Round::Up).ok())
        .map(Amount)
        .chain(opportunity.kinks.iter().copied())
        .collect::<Vec<_>>();
    let mut refusal = Reason::NoRoute;
    for round in 0..=REFINEMENTS {
        sizes.sort_unstable();
        sizes.dedup();
        let mut priced = Vec::new();
        let mut waiting = false;
        for size in &sizes {
            match price(scope, opportunity, *size, knowledge) {
                Known::Yes(Ok(draft)) => priced.push((*size, draft)),
                Known::Yes(Err(reason)) => refusal = reason,
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

/// What repaying `size` leaves, through the best pools.
fn price<P: Protocol>(
    scope: &Scope<'_, P>,
    opportunity: &Opportunity,
    size: Amount,
    knowledge: &mut Knowledge,
) -> Priced {
    let outcome = match scope.protocol.outcome(opportunity, size, &scope.when) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(revert)) => return Known::Yes(Err(Reason::Refused(revert))),
        Err(unknown) => return Known::Yes(Err(Reason::Unknown(unknown))),
    };
    let borrowed = match borrowed(&outcome) {
        Ok(borrowed) => borrowed,
        Err(reason) => return Known::Yes(Err(reason)),
    };
    let (funding, premium) = match fund(scope, opportunity, &outcome, borrowed, knowledge) {
        Known::Yes(terms) => terms,
        Known::No => return Known::Yes(Err(Reason::NoFunding)),
        Known::NotYet => return Known::NotYet,
    };
    let Ok(missing) = outcome.repaid.plus(premium) else { return Known::Yes(Err(Reason::Overflow)) };
    let locked = match funding {
        Funding::Pool { pool, .. } => Some(pool),
        Funding::Lender(_) => None,
    };
    let draft = |path: Path| {
        let swaps = u64::try_from(path.swaps.len()).unwrap_or(u64::MAX);
        Draft {
            account: opportunity.account,
            health: opportunity.health,
            debt_asset: opportunity.debt_asset,
            collateral_asset: opportunity.collateral_asset,
            outcome,
            funding,
            borrowed,
            route: path.route,
            tiers: path.tiers,
            gross: path.left,
            gas: Gas(BASE_GAS.0.saturating_add(SWAP_GAS.0.saturating_mul(swaps))),
            swaps: path.swaps,
        }
    };
    let deal = Deal {
        collateral: opportunity.collateral_asset,
        debt: opportunity.debt_asset,
        native: scope.venue.wrapped_native,
        seized: outcome.seized,
        missing,
        slippage: scope.slippage,
        locked,
    };
    match deal.best_path(knowledge, |path| scope.net(&draft(path.clone()))) {
        Known::Yes(Ok(path)) => Known::Yes(Ok(draft(path))),
        Known::Yes(Err(reason)) => Known::Yes(Err(reason)),
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

/// What the swaps have to do: turn `seized` collateral into `missing` debt and as much native as there is.
struct Deal {
    collateral: Address,
    debt: Address,
    native: Address,
    seized: Amount,
    missing: Amount,
    slippage: Bps,
    locked: Option<Address>,
}

/// One way to do it, and the wrapped native coin it leaves.
#[derive(Clone)]
struct Path {
    swaps: Vec<Swap>,
    route: Vec<Address>,
    tiers: Vec<u32>,
    left: Wei,
}

type Way = Known<Result<Path, Reason>>;

impl Deal {
    /// The way that leaves most after gas.
    fn best_path(&self, knowledge: &mut Knowledge, net: impl Fn(&Path) -> Net) -> Way {
        if self.collateral == self.debt {
            return self.same_asset(knowledge);
        }
        if self.debt == self.native {
            return self.native_debt(knowledge);
        }
        if self.collateral == self.native {
            return self.native_collateral(knowledge);
        }
        let ways = [self.through_native(knowledge), self.direct(knowledge)];
        if ways.iter().any(|way| matches!(way, Known::NotYet)) {
            return Known::NotYet;
        }
        let mut refusal = Reason::NoRoute;
        let mut found = Vec::new();
        for way in ways {
            match way {
                Known::Yes(Ok(path)) => found.push(path),
                Known::Yes(Err(reason)) => refusal = reason,
                _ => {}
            }
        }
        Known::Yes(found.into_iter().max_by_key(net).ok_or(refusal))
    }

    fn same_asset(&self, knowledge: &mut Knowledge) -> Way {
        let Some(rest) = self.seized.minus(self.missing).filter(|rest| !rest.is_zero()) else {
            return Known::Yes(Err(Reason::Unprofitable));
        };
        if self.debt == self.native {
            return done(vec![], vec![self.debt], vec![], rest);
        }
        let (tier, proceeds) = found!(knowledge.best_sale(self.collateral, self.native, rest, self.locked));
        let sale = self.sale(self.collateral, self.native, tier, proceeds);
        done(vec![sale], vec![self.collateral, self.native], vec![tier], proceeds)
    }

    fn native_debt(&self, knowledge: &mut Knowledge) -> Way {
        let (tier, proceeds) =
            found!(knowledge.best_sale(self.collateral, self.debt, self.seized, self.locked));
        let Some(left) = proceeds.minus(self.missing) else { return Known::Yes(Err(Reason::Unprofitable)) };
        let sale = self.sale(self.collateral, self.debt, tier, proceeds);
        done(vec![sale], vec![self.collateral, self.debt], vec![tier], left)
    }

    fn native_collateral(&self, knowledge: &mut Knowledge) -> Way {
        let (tier, given) =
            found!(knowledge.best_purchase(self.collateral, self.debt, self.missing, self.locked));
        let Some(left) = self.seized.minus(given) else { return Known::Yes(Err(Reason::Unprofitable)) };
        let purchase = self.purchase(self.collateral, self.debt, tier, given);
        done(vec![purchase], vec![self.collateral, self.debt], vec![tier], left)
    }

    fn through_native(&self, knowledge: &mut Knowledge) -> Way {
        let sale = knowledge.best_sale(self.collateral, self.native, self.seized, self.locked);
        let purchase = knowledge.best_purchase(self.native, self.debt, self.missing, self.locked);
        let (Known::Yes((first, proceeds)), Known::Yes((second, given))) = (sale, purchase) else {
            let waiting = sale == Known::NotYet || purchase == Known::NotYet;
            return if waiting { Known::NotYet } else { Known::Yes(Err(Reason::NoRoute)) };
        };
        let Some(left) = proceeds.minus(given) else { return Known::Yes(Err(Reason::Unprofitable)) };
        let swaps = vec![
            self.sale(self.collateral, self.native, first, proceeds),
            self.purchase(self.native, self.debt, second, given),
        ];
        done(swaps, vec![self.collateral, self.native, self.debt], vec![first, second], left)
    }

    /// Buys the debt with collateral, then sells the rest of the collateral.
    fn direct(&self, knowledge: &mut Knowledge) -> Way {
        let (tier, given) =
            found!(knowledge.best_purchase(self.collateral, self.debt, self.missing, self.locked));
        let Some(rest) = self.seized.minus(given).filter(|rest| !rest.is_zero()) else {
            return Known::Yes(Err(Reason::Unprofitable));
        };
        let (last, left) = found!(knowledge.best_sale(self.collateral, self.native, rest, self.locked));
        let swaps = vec![
            self.purchase(self.collateral, self.debt, tier, given),
            self.sale(self.collateral, self.native, last, left),
        ];
        done(swaps, vec![self.collateral, self.debt], vec![tier], left)
    }

    fn sale(&self, sold: Address, bought: Address, tier: u32, proceeds: Amount) -> Swap {
        let given_up = proceeds.times(self.slippage, Round::Up).unwrap_or_default();
        let limit = proceeds.minus(given_up).unwrap_or_default().max(Amount::new(U256::ONE));
        Swap { sold, bought, tier, buys: false, limit }
    }

    fn purchase(&self, sold: Address, bought: Address, tier: u32, given: Amount) -> Swap {
        let more = given.times(self.slippage, Round::Up).unwrap_or_default();
        Swap { sold, bought, tier, buys: true, limit: given.plus(more).unwrap_or(given) }
    }
}

fn done(swaps: Vec<Swap>, route: Vec<Address>, tiers: Vec<u32>, left: Amount) -> Way {
    Known::Yes(Ok(Path { swaps, route, tiers, left: Wei(left.0) }))
}

impl<P> Scope<'_, P> {
    /// What a draft leaves after gas at the base fee.
    fn net(&self, draft: &Draft) -> Net {
        Net::of(draft.gross, draft.gas.cost(self.base_fee))
    }
}
