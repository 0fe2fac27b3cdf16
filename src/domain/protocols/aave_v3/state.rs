//! What we hold of one Aave V3 market: reserves, categories and accounts, as last read. The chain is the
//! truth; this is a cache of it that knows which of its parts may be out of date.

use super::math::{self, Compound};
use super::rules::{EModeForm, Rules};
use crate::domain::chain::BlockRef;
use crate::domain::prices::Prices;
use crate::domain::units::{Amount, Overflow};
use alloy::primitives::{Address, U256, uint};
use std::collections::{BTreeMap, BTreeSet};

/// Where the market's contracts are, all found from the addresses provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub provider: Address,
    pub pool: Address,
    pub configurator: Address,
    pub oracle: Address,
    pub data_provider: Address,
    /// Zero where the market has none.
    pub sentinel: Address,
}

/// The packed configuration word of a reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Configuration(pub U256);

impl Configuration {
    fn sixteen(self, from: usize) -> U256 {
        self.0.wrapping_shr(from) & uint!(0xffff_U256)
    }
    fn eight(self, from: usize) -> u8 {
        self.0.wrapping_shr(from).byte(0)
    }
    pub fn threshold(self) -> U256 {
        self.sixteen(16)
    }
    pub fn bonus(self) -> U256 {
        self.sixteen(32)
    }
    pub fn decimals(self) -> u8 {
        self.eight(48)
    }
    pub fn is_active(self) -> bool {
        self.0.bit(56)
    }
    pub fn is_paused(self) -> bool {
        self.0.bit(60)
    }
    pub fn is_flash_loan_enabled(self) -> bool {
        self.0.bit(63)
    }
    pub fn protocol_fee(self) -> U256 {
        self.sixteen(152)
    }
    /// Up to 3.1: the one category this reserve is in.
    pub fn emode_category(self) -> u8 {
        self.eight(168)
    }
}

/// One asset of the market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// Position in the accounts' bitmaps.
    pub id: u16,
    pub asset: Address,
    pub symbol: String,
    pub decimals: u8,
    pub a_token: Address,
    pub debt_token: Address,
    /// Zero where the release has none.
    pub stable_debt_token: Address,
    pub configuration: Configuration,
    pub liquidity_index: U256,
    pub borrow_index: U256,
    pub liquidity_rate: U256,
    pub borrow_rate: U256,
    pub last_update: u64,
    /// Underlying that can leave the reserve now.
    pub available: Amount,
    /// Liquidations are refused up to and including this second.
    pub grace_until: u64,
    /// The token code follows the rules of the pool's release.
    pub tokens_known: bool,
}

impl Reserve {
    /// `10^decimals`; zero, by which nothing can be divided, where that does not fit.
    pub fn unit(&self) -> U256 {
        U256::from(10).checked_pow(U256::from(self.configuration.decimals())).unwrap_or_default()
    }

    fn elapsed(&self, now: u64) -> u64 {
        now.saturating_sub(self.last_update)
    }

    /// Supply index at `now`, ray. Half up in every release.
    pub fn income(&self, now: u64) -> Result<U256, Overflow> {
        match self.elapsed(now) {
            0 => Ok(self.liquidity_index),
            elapsed => math::ray_mul(
                math::linear_interest(self.liquidity_rate, elapsed)?,
                self.liquidity_index,
                math::Rounding::HalfUp,
            ),
        }
    }

    /// Variable debt index at `now`, ray. Half up in every release.
    pub fn debt_index(&self, now: u64, form: Compound) -> Result<U256, Overflow> {
        match self.elapsed(now) {
            0 => Ok(self.borrow_index),
            elapsed => math::ray_mul(
                math::compound_interest(self.borrow_rate, elapsed, form)?,
                self.borrow_index,
                math::Rounding::HalfUp,
            ),
        }
    }
}

/// A category of correlated assets with terms of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EMode {
    pub threshold: U256,
    pub bonus: U256,
    /// Up to 3.1: prices its assets by this one instead. Zero for none.
    pub price_source: Address,
    /// From 3.2: which reserves are collateral in it.
    pub collaterals: u128,
    pub label: String,
}

impl EMode {
    pub fn takes(&self, reserve: &Reserve, id: u8, form: EModeForm) -> bool {
        match form {
            EModeForm::PerReserve => reserve.configuration.emode_category() == id,
            EModeForm::Bitmap => {
                1_u128.checked_shl(u32::from(reserve.id)).is_some_and(|bit| self.collaterals & bit != 0)
            }
        }
    }
}

/// Scaled balances of one account in one reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balances {
    pub supply: U256,
    pub debt: U256,
    pub has_stable_debt: bool,
}

/// One account, as last read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Bit `2 id`: borrows; bit `2 id + 1`: uses as collateral.
    pub bitmap: U256,
    pub emode: u8,
    pub balances: BTreeMap<u16, Balances>,
}

impl Account {
    pub fn borrows(&self, id: u16) -> bool {
        self.bitmap.bit(usize::from(id).saturating_mul(2))
    }
    pub fn collateralizes(&self, id: u16) -> bool {
        self.bitmap.bit(usize::from(id).saturating_mul(2).saturating_add(1))
    }
    pub fn touches(&self, id: u16) -> bool {
        self.borrows(id) || self.collateralizes(id)
    }
    /// `bitmap` without both bits of this reserve.
    pub fn clear(bitmap: &mut U256, id: u16) {
        let first = usize::from(id).saturating_mul(2);
        bitmap.set_bit(first, false);
        bitmap.set_bit(first.saturating_add(1), false);
    }
}

/// How far an account's reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its bitmap and e-mode are to be read.
    Bitmap,
    /// Its balances are to be read.
    Balances,
}

/// What must be read before the market is true again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub addresses: bool,
    pub reserve_list: bool,
    /// Reserves whose token addresses and symbol are to be read.
    pub tokens: BTreeSet<Address>,
    /// Reserves whose token code is to be recognised.
    pub token_code: BTreeSet<Address>,
    /// The pool's revision and the sentinel.
    pub pool: bool,
    /// Reserves whose indices, rates, configuration and liquidity are to be read.
    pub reserves: BTreeSet<Address>,
    pub prices: BTreeSet<Address>,
    pub emodes: BTreeSet<u8>,
    pub accounts: BTreeMap<Address, Stage>,
}

/// One Aave V3 market.
#[derive(Clone, Debug)]
pub struct Market {
    pub addresses: Addresses,
    pub revision: u64,
    /// `None` for a revision that is observed and never acted on.
    pub rules: Option<Rules>,
    pub base_unit: U256,
    pub flash_premium: U256,
    /// By asset.
    pub reserves: BTreeMap<Address, Reserve>,
    pub emodes: BTreeMap<u8, EMode>,
    pub prices: Prices,
    pub liquidation_allowed: bool,
    pub accounts: BTreeMap<Address, Account>,
    pub at: Option<BlockRef>,
    pub marks: Marks,
}

impl Market {
    /// A market of which only the addresses provider is known; its first reads find the rest.
    pub fn new(provider: Address) -> Self {
        let zero = Address::ZERO;
        Self {
            addresses: Addresses {
                provider,
                pool: zero,
                configurator: zero,
                oracle: zero,
                data_provider: zero,
                sentinel: zero,
            },
            revision: 0,
            rules: None,
            base_unit: U256::ZERO,
            flash_premium: U256::ZERO,
            reserves: BTreeMap::new(),
            emodes: BTreeMap::new(),
            prices: Prices::default(),
            liquidation_allowed: false,
            accounts: BTreeMap::new(),
            at: None,
            marks: Marks { addresses: true, ..Marks::default() },
        }
    }

    pub fn reserve_by_id(&self, id: u16) -> Option<&Reserve> {
        self.reserves.values().find(|reserve| reserve.id == id)
    }

    /// The contracts whose logs concern this market.
    pub fn sources(&self) -> Vec<Address> {
        let found = &self.addresses;
        let tokens = self.reserves.values().flat_map(|reserve| [reserve.a_token, reserve.debt_token]);
        [found.provider, found.pool, found.configurator].into_iter().chain(tokens).collect()
    }
}
