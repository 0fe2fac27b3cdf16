//! The executing half of the contract: what a `liquidationCall` with these very arguments pays, takes, keeps, writes off
//! and leaves behind, or the refusal it meets first.
//! Source: Aave V3 `LiquidationLogic.executeLiquidationCall`, releases 3.0 to 3.7.

use super::health::{Drawn, Judged};
use super::liquidation::{LEAST_LEFTOVER, Pair};
use super::math::{self, RAY};
use super::rules::{BadDebt, Rules};
use super::state::{Account, Market, Reserve};
use crate::domain::prices::Moment;
use crate::domain::protocol::{Attempt, Event, Execution, Revert, Step, Unknown};
use crate::domain::units::{Amount, Overflow};
use alloy::primitives::{Address, U256};
use std::borrow::Cow;

/// What is said of an attempt, and the account as it is afterwards.
pub(super) struct Executed {
    pub said: Execution,
    pub account: Account,
}

/// What the liquidator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Underlying,
    Shares,
    /// Up to 3.3 an account may liquidate itself, and get its own shares back.
    OwnShares,
}

/// Units that one size of liquidation moves, and what it leaves of the account's scaled balances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub paid: U256,
    /// Collateral that leaves the account: what the liquidator receives and what the protocol keeps.
    pub total: U256,
    pub received: U256,
    pub fee: U256,
    /// Nothing backs the account any more: what it still owes is written off.
    writes_off: bool,
    disables: bool,
    scaled_supply: U256,
    scaled_debt: U256,
}

impl Market {
    /// Carries an attempt out on the account as judged.
    pub(super) fn execute(
        &self,
        judged: &Judged<'_>,
        attempt: &Attempt,
    ) -> Result<Result<Executed, Revert>, Unknown> {
        if judged.rules.forbids_self && attempt.liquidator == attempt.account {
            return Ok(Err(Revert::Oneself));
        }
        let pair = self.pair(judged, attempt.debt_asset, attempt.collateral_asset)?;
        if let Err(refused) = pair.permitted(self) {
            return Ok(Err(refused));
        }
        let covered = attempt.cover.min(pair.most()?);
        let taken = match (attempt.takes_shares, attempt.liquidator == attempt.account) {
            (false, _) => Taken::Underlying,
            (true, false) => Taken::Shares,
            (true, true) => Taken::OwnShares,
        };
        let moved = match pair.moved(covered, taken)? {
            Ok(moved) => moved,
            Err(revert) => return Ok(Err(revert)),
        };
        let mut account = judged.account.clone();
        let mut events = Vec::new();
        if moved.disables {
            account.set_collateral(pair.collateral.id, false);
            events.push(Event::CollateralDisabled(pair.collateral.asset));
        }
        account.balances.entry(pair.collateral.id).or_default().supply = moved.scaled_supply;
        account.balances.entry(pair.debt.id).or_default().debt = moved.scaled_debt;
        account.set_borrows(pair.debt.id, !moved.scaled_debt.is_zero());
        if moved.writes_off {
            let rest = math::sub(pair.owed, moved.paid)?;
            if !rest.is_zero() {
                events.push(Event::DeficitCreated(pair.debt.asset, Amount(rest)));
            }
            self.write_off(judged, &mut account, &mut events)?;
        }
        let (paid, received) = (Amount(moved.paid), Amount(moved.received));
        events.push(Event::Liquidated { paid, received });
        let after = self.judged_as(judged.address, &account, judged.rules, judged.when)?;
        let said = Execution {
            paid,
            received,
            fee: Amount(moved.fee),
            owed: Amount(after.debt(pair.debt)?),
            supplied: Amount(after.supply(pair.collateral)?),
            events,
            health: self.health_of(&after)?,
        };
        Ok(Ok(Executed { said, account }))
    }

    /// Carries attempts out one behind the other.
    pub(super) fn execute_all(
        &self,
        attempts: &[Attempt],
        when: &Moment<'_>,
    ) -> Result<Result<Execution, Revert>, Unknown> {
        let account = attempts.first().map_or(Address::ZERO, |attempt| attempt.account);
        let judged = self.judged(account, when)?;
        let mut state = judged.account.clone();
        let mut drawn = Drawn::new();
        let mut all: Option<Execution> = None;
        for attempt in attempts {
            let now = self.judged_as(account, &state, judged.rules, when)?.after(drawn.clone());
            let executed = match self.execute(&now, attempt)? {
                Ok(executed) => executed,
                Err(revert) => return Ok(Err(revert)),
            };
            state = executed.account;
            if !attempt.takes_shares {
                let sum = drawn.entry(attempt.collateral_asset).or_default();
                *sum = math::add(*sum, executed.said.received.0)?;
            }
            let last = executed.said;
            all = Some(match all {
                None => last,
                Some(before) => Execution {
                    paid: before.paid.plus(last.paid)?,
                    received: before.received.plus(last.received)?,
                    fee: before.fee.plus(last.fee)?,
                    events: before.events.into_iter().chain(last.events).collect(),
                    ..last
                },
            });
        }
        all.map(Ok).ok_or(Unknown::Account(account))
    }

    /// The account after these steps, taken by somebody else for underlying, and what they took out of which reserve.
    pub(super) fn stepped<'a>(
        &self,
        judged: &Judged<'a>,
        steps: &[Step],
    ) -> Result<Result<(Cow<'a, Account>, Drawn), Revert>, Unknown> {
        let mut state = Cow::Borrowed(judged.account);
        let mut drawn = Drawn::new();
        for step in steps {
            let attempt = Attempt {
                account: judged.address,
                debt_asset: step.debt_asset,
                collateral_asset: step.collateral_asset,
                cover: step.cover,
                takes_shares: false,
                liquidator: Address::ZERO,
            };
            let now = self.judged_as(judged.address, &state, judged.rules, judged.when)?.after(drawn.clone());
            let executed = match self.execute(&now, &attempt)? {
                Ok(executed) => executed,
                Err(revert) => return Ok(Err(revert)),
            };
            let sum = drawn.entry(step.collateral_asset).or_default();
            *sum = math::add(*sum, executed.said.received.0)?;
            state = Cow::Owned(executed.account);
        }
        Ok(Ok((state, drawn)))
    }

    /// Every other debt of an account that nothing backs any more; reserves that are not active are passed over.
    fn write_off(
        &self,
        judged: &Judged<'_>,
        account: &mut Account,
        events: &mut Vec<Event>,
    ) -> Result<(), Unknown> {
        let mut owed =
            self.reserves.values().filter(|reserve| account.borrows(reserve.id)).collect::<Vec<&Reserve>>();
        owed.sort_by_key(|reserve| reserve.id);
        for reserve in owed.into_iter().filter(|reserve| reserve.configuration.is_active()) {
            let units = judged.debt(reserve)?;
            if !units.is_zero() {
                events.push(Event::DeficitCreated(reserve.asset, Amount(units)));
            }
            account.balances.entry(reserve.id).or_default().debt = U256::ZERO;
            account.set_borrows(reserve.id, false);
        }
        Ok(())
    }
}

impl Pair<'_> {
    /// What covering so many debt units moves, which must not be more than `most`.
    pub(super) fn moved(&self, covered: U256, takes: Taken) -> Result<Result<Moved, Revert>, Unknown> {
        if self.bonus.is_zero() {
            return Ok(Err(Revert::NoBonus));
        }
        let rules = &self.judged.rules;
        let wanted = self.reward(covered)?;
        let exhausted = wanted > self.supplied;
        let (total, paid) = if exhausted { (self.supplied, self.exhausting()?) } else { (wanted, covered) };
        let mut fee = self.protocol_fee(total)?;
        let received = math::sub(total, fee)?;
        if rules.forbids_dust && paid < self.owed && total < self.supplied {
            let debt_left = self.debt_value(math::sub(self.owed, paid)?)?;
            let collateral_left = self.collateral_value(math::sub(self.supplied, total)?)?;
            if debt_left < LEAST_LEFTOVER || collateral_left < LEAST_LEFTOVER {
                return Ok(Err(Revert::Dust));
            }
        }
        let now = self.judged.when.timestamp;
        let income = self.collateral.income(now)?;
        let held = self.judged.balances(self.collateral).supply;
        let taken = |units: U256| math::scale(units, RAY, income, rules.supply_taken);
        let backed = self.backing(rules, total, (taken(received)?, taken(fee)?), held, income)?;
        let debt_index = self.debt.debt_index(now, rules.compound)?;
        let burned = if backed.is_none_left { self.owed } else { paid };
        let scaled_burned = math::scale(burned, RAY, debt_index, rules.debt_taken)?;
        if scaled_burned.is_zero() {
            return Ok(Err(Revert::Nothing));
        }
        if takes == Taken::Underlying && received > self.available() {
            return Ok(Err(Revert::Illiquid));
        }
        let scaled_received = taken(received)?;
        if takes == Taken::Underlying && scaled_received.is_zero() {
            return Ok(Err(Revert::Nothing));
        }
        let rest = if takes == Taken::OwnShares { held } else { math::sub(held, scaled_received)? };
        let mut scaled_fee = taken(fee)?;
        if scaled_fee > rest {
            // Each transfer rounds for itself: the protocol gets what is there.
            (scaled_fee, fee) = (rest, math::ray_mul(rest, income, rules.supply)?);
        }
        Ok(Ok(Moved {
            paid,
            total,
            received,
            fee,
            writes_off: backed.is_none_left,
            disables: backed.disables,
            scaled_supply: math::sub(rest, scaled_fee)?,
            scaled_debt: math::sub(self.judged.balances(self.debt).debt, scaled_burned)?,
        }))
    }

    /// Underlying of the collateral that can be paid out: what the reserve has, but for what calls before this one took. What
    /// they paid in is not counted on: it may be lent out for this very run.
    pub(super) fn available(&self) -> U256 {
        let drawn = self.judged.drawn.get(&self.collateral.asset).copied().unwrap_or_default();
        self.collateral.available.0.saturating_sub(drawn)
    }

    /// Whether the collateral still backs anything once `total` is gone.
    fn backing(
        &self,
        rules: &Rules,
        total: U256,
        (received, fee): (U256, U256),
        held: U256,
        income: U256,
    ) -> Result<Backing, Overflow> {
        let all = self.health.collateral.0;
        Ok(match rules.bad_debt {
            BadDebt::Stays => Backing { is_none_left: false, disables: total == self.supplied },
            BadDebt::WrittenOffByValue => Backing {
                is_none_left: self.collateral_value(total)? == all,
                disables: total == self.supplied,
            },
            BadDebt::WrittenOffByBalance => {
                let used = math::add(received, fee)?.min(held);
                let worth = self.collateral_value(math::ray_mul(used, income, rules.supply)?)?;
                Backing { is_none_left: worth == all, disables: used == held || worth == all }
            }
        })
    }
}

struct Backing {
    is_none_left: bool,
    disables: bool,
}
