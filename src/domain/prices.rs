//! Oracle prices at one block: what the protocol believes, not what a venue pays. A price that could not
//! be read is absent, never zero.

use super::units::Price;
use alloy::primitives::Address;
use std::collections::BTreeMap;

/// Prices by asset, in the base currency of the market they were read for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices(BTreeMap<Address, Price>);

impl Prices {
    pub fn get(&self, asset: Address) -> Option<Price> {
        self.0.get(&asset).copied()
    }

    /// Sets or, with `None`, forgets a price. A price of zero is forgotten too: no oracle means it.
    pub fn set(&mut self, asset: Address, price: Option<Price>) {
        match price {
            Some(price) if !price.is_zero() => drop(self.0.insert(asset, price)),
            _ => drop(self.0.remove(&asset)),
        }
    }
}

/// A time and the prices that hold then. Positions are judged at a moment; interest runs with it.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Seconds since 1970, as the block's contracts see it.
    pub timestamp: u64,
    pub prices: &'a Prices,
}
