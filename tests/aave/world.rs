//! A market made by hand: reserves with given indices, accounts with given balances.

use alloy::primitives::{Address, U256};
use backstop::domain::prices::Moment;
use backstop::domain::protocol::{Opportunity, Outcome, Protocol, Revert};
use backstop::domain::protocols::aave_v3::Market;
use backstop::domain::protocols::aave_v3::rules::Rules;
use backstop::domain::protocols::aave_v3::state::{Account, Balances, Configuration, Reserve};
use backstop::domain::units::{Amount, Price};

/// The first pool revision of each release: 3.0 to 3.7.
pub const RELEASES: [u64; 8] = [1, 4, 5, 7, 8, 9, 10, 11];

/// When nothing accrues: reserves of `asset` were updated in this second.
pub const NOW: u64 = 1_700_000_000;

pub fn big(text: &str) -> U256 {
    text.parse().unwrap()
}

/// A release by the revision of its pool, with nothing in it.
pub fn market(revision: u64) -> Market {
    let mut market = Market::new(Address::repeat_byte(0xAA));
    market.revision = revision;
    market.rules = Some(Rules::of_pool_revision(revision).unwrap());
    market.liquidation_allowed = true;
    market.marks.addresses = false;
    market
}

/// Terms of a reserve: threshold, bonus and the protocol's share of the bonus, in basis points. Active, with virtual
/// accounting.
pub fn terms(decimals: u64, threshold: u64, bonus: u64, fee: u64) -> Configuration {
    let active = U256::ONE << 56 | U256::ONE << 252;
    let word = U256::from(threshold) << 16 | U256::from(bonus) << 32 | U256::from(decimals) << 48 | active;
    Configuration(word | U256::from(fee) << 152)
}

/// A reserve whose indices are as given now.
pub fn asset(id: u16, configuration: Configuration, income: U256, debt_index: U256) -> Reserve {
    Reserve {
        id,
        asset: Address::with_last_byte(u8::try_from(id).unwrap() + 1),
        symbol: format!("A{id}"),
        decimals: configuration.decimals(),
        a_token: Address::ZERO,
        debt_token: Address::ZERO,
        stable_debt_token: Address::ZERO,
        configuration,
        liquidity_index: income,
        borrow_index: debt_index,
        liquidity_rate: U256::ZERO,
        borrow_rate: U256::ZERO,
        last_update: NOW,
        available: Amount(U256::MAX),
        grace_until: 0,
        tokens_known: true,
    }
}

/// Adds a reserve with its price; gives its address.
pub fn list(market: &mut Market, reserve: Reserve, price: U256) -> Address {
    let asset = reserve.asset;
    market.prices.set(asset, Some(Price(price)));
    market.reserves.insert(asset, reserve);
    asset
}

/// Gives `account` scaled supply (all of it collateral) and scaled debt in an asset.
pub fn hold(market: &mut Market, account: Address, asset: Address, supply: U256, debt: U256) {
    let id = market.reserves[&asset].id;
    let held: &mut Account = market.accounts.entry(account).or_default();
    held.balances.insert(id, Balances { supply, debt, is_supply_known: true, ..Balances::default() });
    held.bitmap.set_bit(usize::from(id) * 2, !debt.is_zero());
    held.bitmap.set_bit(usize::from(id) * 2 + 1, !supply.is_zero());
}

/// What a liquidation of this pair does at `timestamp`, through the public trait.
pub fn attempt(
    market: &Market,
    account: Address,
    (collateral_asset, debt_asset): (Address, Address),
    repay: U256,
    timestamp: u64,
) -> Result<Outcome, Revert> {
    let when = Moment { timestamp, prices: &market.prices };
    let opportunity = Opportunity {
        account,
        health: market.health(account, &when).unwrap().factor,
        debt_asset,
        collateral_asset,
        most: Amount::ZERO,
        kinks: vec![],
        openings: vec![],
        after: vec![],
    };
    market.outcome(&opportunity, Amount(repay), &when).unwrap()
}

/// The legal pair as the protocol offers it.
pub fn offered(market: &Market, account: Address, pair: (Address, Address), timestamp: u64) -> Opportunity {
    let when = Moment { timestamp, prices: &market.prices };
    let all = market.opportunities(account, &[], &when).unwrap().unwrap();
    all.into_iter().find(|one| (one.collateral_asset, one.debt_asset) == pair).expect("the pair is offered")
}
