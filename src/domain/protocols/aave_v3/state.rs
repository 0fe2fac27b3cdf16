//! What we hold of one Aave V3 market: reserves, categories and accounts, as last read. The chain is the
//! truth; this is a cache of it that knows which of its parts may be out of date.

use super::feeds::Feeds;
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
    /// 3.1 to 3.3: the reserve's liquidity and debts are what the pool itself has counted.
    pub fn has_virtual_accounting(self) -> bool {
        self.0.bit(252)
    }
    pub fn set(&mut self, field: Field, value: U256) {
        let (from, bits) = field.place();
        for bit in 0..bits {
            self.0.set_bit(from.saturating_add(bit), value.bit(bit));
        }
    }
}

/// What logs change of the configuration word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Threshold,
    Bonus,
    Decimals,
    Active,
    Paused,
    FlashLoan,
    ProtocolFee,
    EModeCategory,
    VirtualAccounting,
}

impl Field {
    /// The first bit and how many.
    fn place(self) -> (usize, usize) {
        match self {
            Self::Threshold => (16, 16),
            Self::Bonus => (32, 16),
            Self::Decimals => (48, 8),
            Self::Active => (56, 1),
            Self::Paused => (60, 1),
            Self::FlashLoan => (63, 1),
            Self::ProtocolFee => (152, 16),
            Self::EModeCategory => (168, 8),
            Self::VirtualAccounting => (252, 1),
        }
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
    /// What is supplied without being collateral is not read.
    pub is_supply_known: bool,
    /// The indices that the tokens last named in a log of this account, where they are known.
    pub supply_index: Option<U256>,
    pub debt_index: Option<U256>,
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
    pub fn set_borrows(&mut self, id: u16, on: bool) {
        self.bitmap.set_bit(usize::from(id).saturating_mul(2), on);
    }
    pub fn set_collateral(&mut self, id: u16, on: bool) {
        self.bitmap.set_bit(usize::from(id).saturating_mul(2).saturating_add(1), on);
    }
    /// `bitmap` without both bits of this reserve.
    pub fn clear(bitmap: &mut U256, id: u16) {
        let first = usize::from(id).saturating_mul(2);
        bitmap.set_bit(first, false);
        bitmap.set_bit(first.saturating_add(1), false);
    }
    /// What a reading of `self` would find is what `claimed` says.
    pub(super) fn is_as(&self, claimed: &Self) -> bool {
        let same = |(id, read): (&u16, &Balances)| {
            let told = claimed.balances.get(id).copied().unwrap_or_default();
            (!read.is_supply_known || told.supply == read.supply) && told.debt == read.debt
        };
        self.bitmap == claimed.bitmap && self.emode == claimed.emode && self.balances.iter().all(same)
    }
}

/// How far an account's reading has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What logs said of it is believed; its bitmap and balances are read to confirm it.
    Confirm,
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
    /// Assets whose price source is to be asked for, and contracts to be looked into.
    pub sources: BTreeSet<Address>,
    pub feeds: BTreeSet<Address>,
    pub emodes: BTreeSet<u8>,
    pub accounts: BTreeMap<Address, Stage>,
    /// Reserves whose values logs have told: the read confirms them.
    pub told: BTreeSet<Address>,
}

impl Marks {
    /// Where everything is and what it runs is known: what is marked now are values.
    pub(super) fn is_at_values(&self) -> bool {
        !self.addresses && !self.reserve_list && self.tokens.is_empty()
    }
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
    pub feeds: Feeds,
    pub liquidation_allowed: bool,
    pub accounts: BTreeMap<Address, Account>,
    pub at: Option<BlockRef>,
    pub marks: Marks,
    /// Accounts as logs told them, until the read has confirmed it.
    pub(super) claims: BTreeMap<Address, Account>,
    /// Every log since the market began was seen: what no log spoke of is nothing.
    pub is_complete: bool,
    /// Decimals of assets whose aToken was made and whose reserve was not told of yet.
    pub(super) decimals: BTreeMap<Address, u8>,
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
            feeds: Feeds::default(),
            liquidation_allowed: false,
            accounts: BTreeMap::new(),
            at: None,
            marks: Marks { addresses: true, ..Marks::default() },
            claims: BTreeMap::new(),
            is_complete: false,
            decimals: BTreeMap::new(),
        }
    }

    /// A market whose every log from the first on will be told, of a pool of this revision, and which is never asked
    /// anything. What a log does not carry is not known here: liquidity counts as endless.
    pub fn from_genesis(provider: Address, pool: Address, revision: u64) -> Self {
        let mut market = Self::new(provider);
        market.addresses.pool = pool;
        market.revision = revision;
        market.rules = Rules::of_pool_revision(revision);
        market.marks = Marks::default();
        market.liquidation_allowed = true;
        market.is_complete = true;
        market
    }

    pub fn reserve_by_id(&self, id: u16) -> Option<&Reserve> {
        self.reserves.values().find(|reserve| reserve.id == id)
    }

    /// The contracts whose logs concern this market.
    pub fn sources(&self) -> Vec<Address> {
        let found = &self.addresses;
        let tokens = self.reserves.values().flat_map(|reserve| [reserve.a_token, reserve.debt_token]);
        let found = [found.provider, found.pool, found.configurator, found.oracle];
        found.into_iter().chain(tokens).chain(self.feeds.contracts()).collect()
    }
}
