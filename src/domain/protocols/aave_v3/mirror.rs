//! What a log proves: the value that it says or that follows from it is taken over at once, by the contract's own
//! arithmetic. What it does not prove is left to `logs`, which marks it, and to the reads, which also confirm what was
//! taken over here. Source: Aave V3 `ScaledBalanceTokenBase`, `TokenMath`, `ReserveLogic`, releases 3.0 to 3.7.

use super::math::{self, RAY, Rounding};
use super::rules::{EModeForm, Rules};
use super::state::{Account, Balances, Configuration, EMode, Field, Market, Reserve, Stage};
use crate::abi::aave::{Configurator, Pool, PoolAddressesProvider, Token};
use crate::domain::chain::Log;
use crate::domain::units::{Amount, Overflow};
use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolEvent;

/// Which of a reserve's two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Supply,
    Debt,
}

/// What a token says of a mint or a burn: units of interest included in what it mints, or left out of what it burns.
struct Moved {
    account: Address,
    value: U256,
    increase: U256,
    index: U256,
    is_burn: bool,
}

/// Reads a log as one event; `None` for every other.
fn read<E: SolEvent>(log: &Log) -> Option<E> {
    (log.data.topics().first() == Some(&E::SIGNATURE_HASH)).then(|| E::decode_log_data(&log.data).ok())?
}

impl Market {
    /// Takes over what the log proves, as of the second of its block.
    pub(super) fn apply_log(&mut self, log: &Log, timestamp: u64) {
        let found = self.addresses;
        if log.address == found.pool {
            self.apply_pool(log, timestamp);
        } else if log.address == found.configurator {
            self.apply_configurator(log);
        } else if log.address == found.provider {
            self.apply_provider(log);
        } else {
            self.apply_token(log);
        }
    }

    /// The provider tells where the pool and its configurator are when it makes them.
    fn apply_provider(&mut self, log: &Log) {
        let Some(made) = read::<PoolAddressesProvider::ProxyCreated>(log).filter(|_| self.is_complete) else {
            return;
        };
        if made.id == name("POOL") {
            self.addresses.pool = made.proxyAddress;
        } else if made.id == name("POOL_CONFIGURATOR") {
            self.addresses.configurator = made.proxyAddress;
        }
    }

    fn apply_pool(&mut self, log: &Log, timestamp: u64) {
        if let Some(event) = read::<Pool::ReserveDataUpdated>(log) {
            if let Some(reserve) = self.reserves.get_mut(&event.reserve) {
                reserve.liquidity_index = event.liquidityIndex;
                reserve.borrow_index = event.variableBorrowIndex;
                reserve.liquidity_rate = event.liquidityRate;
                reserve.borrow_rate = event.variableBorrowRate;
                reserve.last_update = timestamp;
                self.marks.told.insert(event.reserve);
            }
        } else if let Some(event) = read::<Pool::ReserveUsedAsCollateralEnabled>(log) {
            self.flag(event.user, event.reserve, true);
        } else if let Some(event) = read::<Pool::ReserveUsedAsCollateralDisabled>(log) {
            self.flag(event.user, event.reserve, false);
        } else if let Some(event) = read::<Pool::UserEModeSet>(log) {
            if let Some(account) = self.claim(event.user) {
                account.emode = event.categoryId;
            }
        } else if let Some(event) = read::<Pool::LiquidationCall>(log).filter(|event| event.receiveAToken) {
            self.accrue(event.collateralAsset, timestamp);
        }
    }

    /// From 3.5 on a liquidation for aTokens stores the collateral's indices of this second without a log of it.
    fn accrue(&mut self, asset: Address, now: u64) {
        let Some(rules) = self.rules.filter(|rules| rules.accrues_silently) else { return };
        let Some(reserve) = self.reserves.get_mut(&asset).filter(|reserve| reserve.last_update != now) else {
            return;
        };
        let indices = (reserve.income(now), reserve.debt_index(now, rules.compound));
        let (Ok(income), Ok(debt)) = indices else { return };
        if !reserve.liquidity_rate.is_zero() {
            reserve.liquidity_index = income;
        }
        // A reserve nobody owes has no rate, and an index that stands still by itself.
        reserve.borrow_index = debt;
        reserve.last_update = now;
        self.marks.told.insert(asset);
    }

    fn apply_configurator(&mut self, log: &Log) {
        let set = |market: &mut Self, asset: Address, fields: &[(Field, U256)]| {
            if let Some(reserve) = market.reserves.get_mut(&asset) {
                fields.iter().for_each(|(field, value)| reserve.configuration.set(*field, *value));
            }
        };
        if let Some(event) = read::<Configurator::ReserveInitialized>(log) {
            self.introduce_from_log(&event);
        } else if let Some(event) = read::<Configurator::CollateralConfigurationChanged>(log) {
            let terms =
                [(Field::Threshold, event.liquidationThreshold), (Field::Bonus, event.liquidationBonus)];
            set(self, event.asset, &terms);
        } else if let Some(event) = read::<Configurator::LiquidationProtocolFeeChanged>(log) {
            set(self, event.asset, &[(Field::ProtocolFee, event.newFee)]);
        } else if let Some(event) = read::<Configurator::ReserveActive>(log) {
            set(self, event.asset, &[(Field::Active, U256::from(event.active))]);
        } else if let Some(event) = read::<Configurator::ReservePaused>(log) {
            set(self, event.asset, &[(Field::Paused, U256::from(event.paused))]);
        } else if let Some(event) = read::<Configurator::ReserveFlashLoaning>(log) {
            set(self, event.asset, &[(Field::FlashLoan, U256::from(event.enabled))]);
        } else if let Some(event) = read::<Configurator::EModeAssetCategoryChanged>(log) {
            set(self, event.asset, &[(Field::EModeCategory, U256::from(event.newCategoryId))]);
        } else if let Some(event) = read::<Configurator::LiquidationGracePeriodChanged>(log) {
            self.grace(event.asset, event.gracePeriodUntil.to());
        } else if let Some(event) = read::<Configurator::LiquidationGracePeriodDisabled>(log) {
            self.grace(event.asset, 0);
        } else if let Some(event) = read::<Configurator::FlashloanPremiumTotalUpdated>(log) {
            self.flash_premium = U256::from(event.newFlashloanPremiumTotal);
        } else if let Some(event) = read::<Configurator::EModeCategoryAdded>(log) {
            let old = self.emodes.get(&event.categoryId);
            let category = EMode {
                threshold: event.liquidationThreshold,
                bonus: event.liquidationBonus,
                price_source: if self.rules.is_some_and(|rules| rules.emode == EModeForm::PerReserve) {
                    event.oracle
                } else {
                    Address::ZERO
                },
                collaterals: old.map_or(0, |category| category.collaterals),
                label: super::reads::plain(&event.label),
            };
            self.emodes.insert(event.categoryId, category);
        } else if let Some(event) = read::<Configurator::AssetCollateralInEModeChanged>(log) {
            let id = self.reserves.get(&event.asset).map(|reserve| u32::from(reserve.id));
            let bit = id.and_then(|id| 1_u128.checked_shl(id)).unwrap_or_default();
            if let Some(category) = self.emodes.get_mut(&event.categoryId) {
                category.collaterals =
                    if event.collateral { category.collaterals | bit } else { category.collaterals & !bit };
            }
        }
    }

    fn grace(&mut self, asset: Address, until: u64) {
        if let Some(reserve) = self.reserves.get_mut(&asset) {
            reserve.grace_until = until;
        }
    }

    /// A reserve that was listed. Only where everything is told is that all there is to know of it.
    fn introduce_from_log(&mut self, event: &Configurator::ReserveInitialized) {
        if !self.is_complete {
            return;
        }
        let taken = |id: &u16| self.reserves.values().any(|reserve| reserve.id == *id);
        let Some(id) = (0..128).find(|id| !taken(id)) else { return };
        let mut configuration = Configuration::default();
        let decimals = self.decimals.remove(&event.asset).unwrap_or_default();
        for (field, value) in [
            (Field::Decimals, decimals),
            (Field::Active, 1),
            (Field::FlashLoan, 0),
            (Field::VirtualAccounting, 1),
        ] {
            configuration.set(field, U256::from(value));
        }
        let reserve = Reserve {
            id,
            asset: event.asset,
            symbol: String::new(),
            decimals,
            a_token: event.aToken,
            debt_token: event.variableDebtToken,
            stable_debt_token: event.stableDebtToken,
            configuration,
            liquidity_index: RAY,
            borrow_index: RAY,
            liquidity_rate: U256::ZERO,
            borrow_rate: U256::ZERO,
            last_update: 0,
            available: Amount::MAX,
            grace_until: 0,
            tokens_known: true,
        };
        self.reserves.insert(event.asset, reserve);
    }

    fn apply_token(&mut self, log: &Log) {
        if let Some(made) = read::<Token::Initialized>(log)
            && self.is_complete
            && made.pool == self.addresses.pool
        {
            self.decimals.insert(made.underlyingAsset, made.aTokenDecimals);
            return;
        }
        let of = |token: Address| {
            self.reserves.values().find_map(|reserve| match token {
                token if token == reserve.a_token => Some((reserve.id, Side::Supply)),
                token if token == reserve.debt_token => Some((reserve.id, Side::Debt)),
                _ => None,
            })
        };
        let (Some((id, side)), Some(rules)) = (of(log.address), self.rules) else { return };
        if let Some(event) = read::<Token::Mint>(log) {
            let (account, value) = (event.onBehalfOf, event.value);
            let moved =
                Moved { account, value, increase: event.balanceIncrease, index: event.index, is_burn: false };
            self.moved(&rules, id, side, &moved);
        } else if let Some(event) = read::<Token::Burn>(log) {
            let (account, value) = (event.from, event.value);
            let moved =
                Moved { account, value, increase: event.balanceIncrease, index: event.index, is_burn: true };
            self.moved(&rules, id, side, &moved);
        } else if let Some(event) = read::<Token::BalanceTransfer>(log) {
            self.transferred(event.from, id, event.index, |scaled| scaled.checked_sub(event.value));
            self.transferred(event.to, id, event.index, |scaled| scaled.checked_add(event.value));
        }
    }

    fn moved(&mut self, rules: &Rules, id: u16, side: Side, moved: &Moved) {
        let is_complete = self.is_complete;
        let Some(account) = self.claim(moved.account) else { return };
        let Some(balances) = entry(account, id, side, is_complete) else {
            // What is no collateral is not read, and nothing hangs on it.
            return if side == Side::Debt || account.collateralizes(id) {
                self.doubt(moved.account)
            };
        };
        let (scaled, last) = match side {
            Side::Supply => (balances.supply, balances.supply_index),
            Side::Debt => (balances.debt, balances.debt_index),
        };
        let rounding = if side == Side::Supply { rules.supply } else { rules.debt };
        // The token says how much interest has come up since it last spoke of this account: it must be what we make it.
        let expected = |last: U256| -> Result<U256, Overflow> {
            let now = math::ray_mul(scaled, moved.index, rounding)?;
            math::sub(now, math::ray_mul(scaled, last, rounding)?)
        };
        let agrees = last.is_none_or(|last| expected(last) == Ok(moved.increase));
        match after(rounding, scaled, moved) {
            Ok(scaled) if agrees => {
                let place = match side {
                    Side::Supply => (&mut balances.supply, &mut balances.supply_index),
                    Side::Debt => (&mut balances.debt, &mut balances.debt_index),
                };
                (*place.0, *place.1) = (scaled, Some(moved.index));
                if side == Side::Debt {
                    account.set_borrows(id, !scaled.is_zero());
                }
            }
            _ => self.doubt(moved.account),
        }
    }

    fn transferred(&mut self, of: Address, id: u16, index: U256, change: impl Fn(U256) -> Option<U256>) {
        let is_complete = self.is_complete;
        let Some(account) = self.claim(of) else { return };
        let Some(balances) = entry(account, id, Side::Supply, is_complete) else {
            // What is no collateral is not read, and nothing hangs on it.
            return if account.collateralizes(id) {
                self.doubt(of)
            };
        };
        match change(balances.supply) {
            Some(scaled) => (balances.supply, balances.supply_index) = (scaled, Some(index)),
            None => self.doubt(of),
        }
    }

    fn flag(&mut self, user: Address, asset: Address, on: bool) {
        let Some(id) = self.reserves.get(&asset).map(|reserve| reserve.id) else { return self.doubt(user) };
        let is_complete = self.is_complete;
        let Some(account) = self.claim(user) else { return };
        account.set_collateral(id, on);
        // What was no collateral was not read.
        if on && entry(account, id, Side::Supply, is_complete).is_none() {
            self.doubt(user);
        }
    }

    /// The account, where what is known of it can be built upon. It is read all the same, to confirm it.
    fn claim(&mut self, account: Address) -> Option<&mut Account> {
        if self.is_complete {
            return Some(self.accounts.entry(account).or_default());
        }
        if matches!(self.marks.accounts.get(&account), Some(Stage::Bitmap | Stage::Balances)) {
            return None;
        }
        let held = self.accounts.get_mut(&account)?;
        self.marks.accounts.insert(account, Stage::Confirm);
        Some(held)
    }

    pub(super) fn doubt_all(&mut self) {
        self.accounts.keys().copied().collect::<Vec<_>>().into_iter().for_each(|account| self.doubt(account));
    }

    /// What is known of this account is not to be built upon: it is read anew.
    pub(super) fn doubt(&mut self, account: Address) {
        self.claims.remove(&account);
        if self.accounts.contains_key(&account) && !self.is_complete {
            self.marks.accounts.insert(account, Stage::Bitmap);
        }
    }
}

/// The balances of an account in a reserve, where they are known: read, or nothing for sure.
fn entry(account: &mut Account, id: u16, side: Side, is_complete: bool) -> Option<&mut Balances> {
    let held = account.balances.get(&id);
    let is_known = match side {
        Side::Supply => is_complete || held.is_some_and(|held| held.is_supply_known),
        // Who has debt is flagged for it, so that no flag means no debt.
        Side::Debt => is_complete || held.is_some() || !account.borrows(id),
    };
    let untouched = is_complete.then_some(U256::ZERO);
    let fresh = Balances {
        is_supply_known: is_complete,
        supply_index: untouched,
        debt_index: untouched,
        ..Balances::default()
    };
    is_known.then(|| account.balances.entry(id).or_insert(fresh))
}

/// The scaled balance after a mint or a burn that a token told of.
fn after(rounding: Rounding, scaled: U256, moved: &Moved) -> Result<U256, Overflow> {
    let Moved { value, increase, index, is_burn, .. } = *moved;
    if rounding == Rounding::HalfUp {
        // A mint of less than the interest is a burn of the difference.
        let (amount, down) = if is_burn {
            (math::add(value, increase)?, true)
        } else if value < increase {
            (math::sub(increase, value)?, true)
        } else {
            (math::sub(value, increase)?, false)
        };
        let part = math::scale(amount, RAY, index, Rounding::HalfUp)?;
        return if down { math::sub(scaled, part) } else { math::add(scaled, part) };
    }
    let before = math::ray_mul(scaled, index, rounding)?;
    let now = if is_burn {
        math::sub(math::sub(before, value)?, increase)?
    } else {
        math::sub(math::add(before, value)?, increase)?
    };
    // An index is one or more, so that no two scaled balances have one real balance: it can be turned round.
    let back = if rounding == Rounding::Floor { Rounding::Ceil } else { Rounding::Floor };
    math::scale(now, RAY, index, back)
}

/// An identifier of the provider.
fn name(text: &str) -> B256 {
    let mut word = B256::ZERO;
    word.0.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    word
}
