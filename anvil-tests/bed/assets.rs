//! The four reserves of both markets, with the parameters they share, and conversions between tokens and dollars.

use alloy::primitives::{U256, uint};
use eyre::{Result, eyre};

/// The feeds count dollars with 8 decimals.
pub const DOLLAR: u64 = 100_000_000;

/// One reserve. Basis points where no unit is said.
#[derive(Debug)]
pub struct Asset {
    pub symbol: &'static str,
    pub name: &'static str,
    pub decimals: u8,
    /// Dollars, 8 decimals, once the bed is built.
    pub price: u64,
    /// Dollars, 8 decimals, while the borrowers borrow. The fall to `price` brings some of them near the line, where
    /// the loan-to-value limit would not let them borrow.
    pub price_before: u64,
    pub ltv: u16,
    pub threshold: u16,
    /// What a liquidator gets, 10500 being 5 % on top.
    pub bonus: u16,
    /// The treasury's part of the bonus.
    pub protocol_fee: u16,
    pub reserve_factor: u16,
    pub flash_loans_v36: bool,
    pub rates: Rates,
    /// Whole tokens that the lenders put into each market.
    pub lent: u64,
}

/// The two-slope curve, basis points per year.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub optimal: u16,
    pub base: u16,
    pub slope1: u16,
    pub slope2: u16,
}

const VOLATILE: Rates = Rates { optimal: 8000, base: 0, slope1: 380, slope2: 8000 };
const STABLE: Rates = Rates { optimal: 9000, base: 0, slope1: 550, slope2: 6000 };
const BITCOIN: Rates = Rates { optimal: 4500, base: 25, slope1: 700, slope2: 30000 };

pub const ASSETS: [Asset; 4] = [
    Asset {
        symbol: "WETH",
        name: "Wrapped Ether",
        decimals: 18,
        price: 2_000 * DOLLAR,
        price_before: 2_200 * DOLLAR,
        ltv: 8000,
        threshold: 8250,
        bonus: 10500,
        protocol_fee: 1000,
        reserve_factor: 1500,
        flash_loans_v36: true,
        rates: VOLATILE,
        lent: 3_000,
    },
    Asset {
        symbol: "USDC",
        name: "USD Coin",
        decimals: 6,
        price: DOLLAR,
        price_before: DOLLAR,
        ltv: 7700,
        threshold: 8000,
        bonus: 10450,
        protocol_fee: 1000,
        reserve_factor: 1000,
        flash_loans_v36: true,
        rates: STABLE,
        lent: 9_000_000,
    },
    Asset {
        symbol: "WBTC",
        name: "Wrapped Bitcoin",
        decimals: 8,
        price: 40_000 * DOLLAR,
        price_before: 44_000 * DOLLAR,
        ltv: 7000,
        threshold: 7500,
        bonus: 10700,
        // The reserve whose bonus goes to the liquidator alone.
        protocol_fee: 0,
        reserve_factor: 2000,
        flash_loans_v36: true,
        rates: BITCOIN,
        lent: 150,
    },
    Asset {
        symbol: "DAI",
        name: "Dai Stablecoin",
        decimals: 18,
        price: DOLLAR,
        price_before: DOLLAR,
        ltv: 7500,
        threshold: 8000,
        bonus: 10500,
        protocol_fee: 1000,
        reserve_factor: 1000,
        flash_loans_v36: false,
        rates: STABLE,
        lent: 9_000_000,
    },
];

/// The efficiency mode of both markets: category 1, these symbols, closer limits.
pub const STABLECOINS: EMode = EMode {
    category: 1,
    label: "Stablecoins",
    symbols: ["USDC", "DAI"],
    ltv: 9300,
    threshold: 9500,
    bonus: 10100,
};

#[derive(Debug)]
pub struct EMode {
    pub category: u8,
    pub label: &'static str,
    pub symbols: [&'static str; 2],
    pub ltv: u16,
    pub threshold: u16,
    pub bonus: u16,
}

impl Asset {
    /// # Errors
    /// For a symbol that is no reserve of the bed.
    pub fn named(symbol: &str) -> Result<&'static Self> {
        ASSETS.iter().find(|asset| asset.symbol == symbol).ok_or_else(|| {
            eyre!(
                "{symbol} is not on the test bed, which has {}",
                ASSETS.map(|asset| asset.symbol).join(", ")
            )
        })
    }

    pub fn unit(&self) -> U256 {
        U256::from(10).pow(U256::from(self.decimals))
    }

    /// Whole tokens in the token's smallest unit.
    pub fn whole(&self, tokens: u64) -> U256 {
        U256::from(tokens) * self.unit()
    }

    /// The amount worth `dollars` (8 decimals) at `price` (8 decimals), rounded down.
    pub fn worth(&self, dollars: u128, price: u64) -> U256 {
        U256::from(dollars) * self.unit() / U256::from(price)
    }
}

/// `bps` as Aave's ray.
pub fn ray(bps: u16) -> U256 {
    U256::from(bps) * uint!(100000000000000000000000_U256)
}
