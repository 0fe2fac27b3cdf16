//! How liquidation prices look: as JSON for programs, and as a line for people.

use super::show::signed_percent;
use crate::domain::explain::{Crossing, Direction, LiquidationPrice};
use crate::domain::protocols::aave_v3::Market;
use crate::domain::units::Price;
use alloy::primitives::{Address, U256, U512};
use serde::Serialize;

/// One asset's line of `liquidation_prices`.
#[derive(Debug, Serialize)]
pub struct Fall {
    asset: String,
    symbol: String,
    /// Oracle units; the first price at which the verdict turns, or null where none does.
    price: Option<Price>,
    current: Price,
    /// `healthy`: the account falls at the price. `liquidatable`: it recovers there.
    now: &'static str,
    direction: Option<&'static str>,
    distance_percent: Option<String>,
    /// Where the verdict turns the other way too.
    other_price: Option<Price>,
    /// The search was given up: that there is no price here does not mean that none exists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    undetermined: bool,
    /// Whose price this is, where an e-mode category replaces the asset's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    price_source: Option<String>,
}

impl Fall {
    pub fn of(market: &Market, line: &LiquidationPrice) -> Self {
        let turn = turn(line);
        let other = match (line.first, line.other) {
            (Crossing::At(_), Crossing::At(price)) => Some(price),
            _ => None,
        };
        Self {
            asset: line.asset.to_string(),
            symbol: symbol(market, line.asset),
            price: turn.map(|(_, price)| price),
            current: line.current,
            now: if line.is_liquidatable { "liquidatable" } else { "healthy" },
            direction: turn.map(|(direction, _)| match direction {
                Direction::Up => "up",
                Direction::Down => "down",
            }),
            distance_percent: turn.map(|(_, price)| distance(line.current, price, 6)),
            other_price: other,
            undetermined: is_undetermined(line),
            price_source: (line.source != line.asset).then(|| line.source.to_string()),
        }
    }
}

pub fn symbol(market: &Market, asset: Address) -> String {
    market.reserves.get(&asset).map_or_else(|| asset.to_string(), |reserve| reserve.symbol.clone())
}

/// The price to tell of: the one where the direction leads to, else the one that only roundings make.
pub fn turn(line: &LiquidationPrice) -> Option<(Direction, Price)> {
    match (line.first, line.other) {
        (Crossing::At(price), _) => Some((line.direction, price)),
        (_, Crossing::At(price)) => Some((line.direction.opposite(), price)),
        _ => None,
    }
}

pub fn is_undetermined(line: &LiquidationPrice) -> bool {
    turn(line).is_none() && [line.first, line.other].contains(&Crossing::Undetermined)
}

/// How far `price` is from `current`, in percent with this many places, towards zero.
pub fn distance(current: Price, price: Price, places: u8) -> String {
    let is_below = price < current;
    let gap = current.0.abs_diff(price.0);
    let scale = U256::from(10).saturating_pow(U256::from(places)).saturating_mul(U256::from(100));
    let wide: U512 = gap.widening_mul(scale);
    let share = wide.checked_div(U512::from(current.0)).unwrap_or_default();
    signed_percent(is_below, share.saturating_to(), places)
}

#[cfg(test)]
mod tests {
    use super::distance;
    use crate::domain::units::Price;
    use alloy::primitives::U256;

    #[test]
    fn a_distance_is_signed_and_cut() {
        let check = |current: u64, price: u64, said: &str| {
            assert_eq!(distance(Price::new(U256::from(current)), Price::new(U256::from(price)), 2), said);
        };
        check(2_000, 1_780, "-11.00");
        check(2_000, 2_000, "+0.00");
        check(3, 4, "+33.33");
        check(3, 2, "-33.33");
        check(1, 100, "+9900.00");
    }
}
