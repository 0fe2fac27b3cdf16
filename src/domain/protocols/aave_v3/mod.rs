//! Aave V3 and its forks. `state` is what we hold, `mirror`, `logs`, `reads` and `settle` keep it true, `health`,
//! `liquidation`, `kinks` and `execution` are the contract's arithmetic, `limits` and `crossing` ask it where a verdict
//! turns, `rules` says how the releases differ.

pub mod crossing;
mod execution;
mod feeds;
mod health;
mod kinks;
mod limits;
mod liquidation;
mod logs;
pub mod math;
mod mirror;
mod reads;
pub mod rules;
mod settle;
pub mod state;
mod words;

pub use feeds::{Feeds, Kind as FeedKind};
pub use logs::borrower;
pub use state::Market;
pub use words::{Deed, revert};

use super::super::chain::{Answer, BlockRef, Log, Read};
use super::super::explain::{Explain, Leg, LiquidationPrice, Pairing, Remedy};
use super::super::prices::{Moment, Prices};
use super::super::protocol::{
    Attempt, Execution, FlashTerms, Health, Opportunity, Outcome, Protocol, Revert, Settled, Step,
    Undecodable, Unknown,
};
use super::super::units::{Amount, HealthFactor, Round, mul_div};
use alloy::primitives::Address;
use execution::Taken;
use state::Stage;

impl Protocol for Market {
    fn on_head(&mut self) {
        self.marks.pool = true;
        self.marks.reserves.extend(self.reserves.keys());
        // Not only where a feed spoke: some move with time, or with a contract that tells nobody.
        self.marks.prices.extend(self.prices_of());
        if self.at.is_some_and(|at| at.number.is_multiple_of(feeds::RENEWAL)) {
            self.renew_feeds();
        }
    }

    fn moved(&mut self) -> Vec<(Address, Vec<Address>)> {
        self.take_moved()
    }

    fn on_log(&mut self, log: &Log, timestamp: u64) {
        self.apply_log(log, timestamp);
        self.mark_log(log);
        self.hear_feed(log);
    }

    fn on_dropped_log(&mut self, log: &Log) {
        self.unmark_log(log);
    }

    fn mark(&mut self, account: Address) {
        self.claims.remove(&account);
        self.marks.accounts.insert(account, Stage::Bitmap);
    }

    fn mark_all(&mut self) {
        self.marks.addresses = true;
        self.marks.emodes.extend(self.emodes.keys());
        self.doubt_all();
    }

    fn reads(&self) -> Vec<Read> {
        self.questions()
    }

    fn settle(&mut self, at: BlockRef, answers: &[Answer]) -> Result<Settled, Undecodable> {
        self.take(at, answers)
    }

    fn prices(&self) -> &Prices {
        &self.prices
    }

    fn accounts(&self) -> Vec<Address> {
        self.accounts.keys().copied().collect()
    }

    fn health(&self, account: Address, when: &Moment<'_>) -> Result<Health, Unknown> {
        self.account_health(account, when)
    }

    fn opportunities(
        &self,
        account: Address,
        after: &[Step],
        when: &Moment<'_>,
    ) -> Result<Result<Vec<Opportunity>, Revert>, Unknown> {
        let judged = self.judged(account, when)?;
        let (state, drawn) = match self.stepped(&judged, after)? {
            Ok(stepped) => stepped,
            Err(revert) => return Ok(Err(revert)),
        };
        self.pairs(&self.judged_as(account, &state, judged.rules, when)?.after(drawn), after)
    }

    fn outcome(
        &self,
        opportunity: &Opportunity,
        repay: Amount,
        when: &Moment<'_>,
    ) -> Result<Result<Outcome, Revert>, Unknown> {
        self.outcome_for(opportunity, repay, Taken::Underlying, when)
    }

    fn outcome_in_shares(
        &self,
        opportunity: &Opportunity,
        repay: Amount,
        when: &Moment<'_>,
    ) -> Result<Result<(Address, Outcome), Revert>, Unknown> {
        let collateral = opportunity.collateral_asset;
        let reserve = self.reserves.get(&collateral).ok_or(Unknown::Reserve(collateral))?;
        let outcome = self.outcome_for(opportunity, repay, Taken::Shares, when)?;
        Ok(outcome.map(|outcome| (reserve.a_token, outcome)))
    }

    fn worth(
        &self,
        (asset, units): (Address, Amount),
        other: Address,
        round: Round,
        when: &Moment<'_>,
    ) -> Result<Amount, Unknown> {
        let of = |asset: Address| {
            let reserve = self.reserves.get(&asset).ok_or(Unknown::Reserve(asset))?;
            let price = when.prices.get(asset).ok_or(Unknown::NoPrice(asset))?;
            Ok::<_, Unknown>((price.0, reserve.unit()))
        };
        let ((price, unit), (other_price, other_unit)) = (of(asset)?, of(other)?);
        let above = math::mul(price, other_unit)?;
        let below = math::mul(other_price, unit)?;
        Ok(Amount(mul_div(units.0, above, below, round)?))
    }

    fn flash(&self, asset: Address, amount: Amount) -> Option<FlashTerms> {
        let reserve = self.reserves.get(&asset)?;
        let open = reserve.configuration.is_active()
            && !reserve.configuration.is_paused()
            && reserve.configuration.is_flash_loan_enabled();
        let rounding = self.rules?.premium;
        let premium = math::percent_mul(amount.0, self.flash_premium, rounding).ok()?;
        open.then_some(FlashTerms {
            lender: self.addresses.pool,
            available: reserve.available,
            premium: Amount(premium),
        })
    }
}

impl Explain for Market {
    fn legs(&self, account: Address, when: &Moment<'_>) -> Result<Vec<Leg>, Unknown> {
        self.account_legs(account, when)
    }

    fn liquidation_prices(
        &self,
        account: Address,
        when: &Moment<'_>,
    ) -> Result<Vec<LiquidationPrice>, Unknown> {
        self.crossings(account, when)
    }

    fn remedy(&self, account: Address, target: HealthFactor, when: &Moment<'_>) -> Result<Remedy, Unknown> {
        self.account_remedy(account, target, when)
    }

    fn pairings(&self, account: Address, when: &Moment<'_>) -> Result<Vec<Pairing>, Unknown> {
        self.all_pairs(&self.judged(account, when)?)
    }

    fn executions(
        &self,
        attempts: &[Attempt],
        when: &Moment<'_>,
    ) -> Result<Result<Execution, Revert>, Unknown> {
        self.execute_all(attempts, when)
    }
}
