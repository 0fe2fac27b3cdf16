//! Borrowers made liquidatable on the real markets, and the plans that liquidate them. A shape is one way from the
//! collateral to the debt; it can be funded by a loan or a flash, through either router, in either market.

use alloy::primitives::{Address, U256, aliases::U24, keccak256};
use backstop::bed::assets::DOLLAR;
use eyre::Result;

use super::{Executor, stage::Stage};

/// Amounts are thousandths of a whole token.
pub struct Shape {
    pub name: &'static str,
    pub supplies: &'static [(&'static str, u64)],
    pub borrows: u64,
    pub collateral: &'static str,
    pub debt: &'static str,
    /// Whose price goes where (dollars), so that the borrower can be liquidated.
    pub price: (&'static str, u64),
    /// How much is repaid: less than what the protocol allows, so that profits do not depend on a second of interest.
    pub covers: u64,
    pub hops: &'static [Hop],
    /// The pool (debt, this, tier) that lends in a flash. No hop goes through it.
    pub flash: (&'static str, u32),
}

pub struct Hop {
    pub buys: bool,
    pub from: &'static str,
    pub to: &'static str,
    pub tier: u32,
    pub limit: u64,
}

const fn sell(from: &'static str, to: &'static str, tier: u32, least: u64) -> Hop {
    Hop { buys: false, from, to, tier, limit: least }
}

const fn buy(to: &'static str, from: &'static str, tier: u32, most: u64) -> Hop {
    Hop { buys: true, from, to, tier, limit: most }
}

pub const WETH_FOR_USDC: Shape = Shape {
    name: "WETH for USDC",
    supplies: &[("WETH", 10_000)],
    borrows: 15_900_000,
    collateral: "WETH",
    debt: "USDC",
    price: ("WETH", 1_900),
    covers: 5_000_000,
    hops: &[buy("USDC", "WETH", 500, 2_700)],
    flash: ("WETH", 3000),
};

pub const USDC_FOR_WETH: Shape = Shape {
    name: "USDC for WETH",
    supplies: &[("USDC", 40_000_000)],
    borrows: 15_000,
    collateral: "USDC",
    debt: "WETH",
    price: ("WETH", 2_200),
    covers: 5_000,
    hops: &[sell("USDC", "WETH", 500, 5_180)],
    flash: ("USDC", 3000),
};

pub const WBTC_FOR_USDC_THROUGH_WETH: Shape = Shape {
    name: "WBTC for USDC through WETH",
    supplies: &[("WBTC", 1_000)],
    borrows: 27_500_000,
    collateral: "WBTC",
    debt: "USDC",
    price: ("WBTC", 36_000),
    covers: 10_000_000,
    hops: &[sell("WBTC", "WETH", 3000, 5_300), buy("USDC", "WETH", 500, 5_050)],
    flash: ("DAI", 100),
};

pub const WBTC_FOR_USDC_AND_THE_REST: Shape = Shape {
    name: "WBTC for USDC, the rest for WETH",
    hops: &[buy("USDC", "WBTC", 3000, 285), sell("WBTC", "WETH", 3000, 300)],
    ..WBTC_FOR_USDC_THROUGH_WETH
};

pub const WBTC_FOR_DAI: Shape = Shape {
    name: "WBTC for DAI through WETH",
    debt: "DAI",
    hops: &[sell("WBTC", "WETH", 3000, 5_300), buy("DAI", "WETH", 3000, 5_050)],
    flash: ("USDC", 100),
    ..WBTC_FOR_USDC_THROUGH_WETH
};

pub const USDC_FOR_USDC: Shape = Shape {
    name: "USDC for USDC",
    supplies: &[("USDC", 5_000_000), ("WETH", 5_000)],
    borrows: 11_500_000,
    collateral: "USDC",
    debt: "USDC",
    price: ("WETH", 1_700),
    covers: 2_000_000,
    hops: &[sell("USDC", "WETH", 500, 40)],
    flash: ("DAI", 100),
};

pub const WETH_FOR_WETH: Shape = Shape {
    name: "WETH for WETH",
    supplies: &[("WETH", 5_000), ("USDC", 20_000_000)],
    borrows: 11_000,
    collateral: "WETH",
    debt: "WETH",
    price: ("WETH", 2_400),
    covers: 2_000,
    hops: &[],
    flash: ("DAI", 3000),
};

/// Where a plan's money comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    Loan,
    Flash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    WithDeadline,
    Without,
}

impl Stage {
    /// Opens positions of the shape and lets the price fall (or rise), with the pools following.
    pub async fn liquidatable(&self, shape: &Shape, markets: &[&str]) -> Result<()> {
        for market in markets {
            self.open(shape, market, 0).await?;
        }
        self.turn(shape).await
    }

    /// One borrower of the shape, still healthy.
    pub async fn open(&self, shape: &Shape, market: &str, number: u8) -> Result<()> {
        let user = borrower(shape, number);
        for (symbol, amount) in shape.supplies {
            self.fork.supply(market, user, symbol, self.fork.amount(symbol, *amount)?).await?;
        }
        let amount = self.fork.amount(shape.debt, shape.borrows)?;
        self.fork.borrow(market, user, shape.debt, amount).await?;
        Ok(())
    }

    pub async fn turn(&self, shape: &Shape) -> Result<()> {
        let (symbol, dollars) = shape.price;
        self.fork.set_price(symbol, dollars * DOLLAR).await?;
        self.fork.move_pools_to_feeds().await
    }

    pub fn leg(&self, shape: &Shape, market: &str, number: u8, form: Form) -> Result<Executor::Leg> {
        let uniswap = &self.fork.manifest.uniswap;
        let router = if form == Form::WithDeadline { uniswap.router } else { uniswap.router02 };
        let swap = |hop: &Hop| -> Result<Executor::Swap> {
            Ok(Executor::Swap {
                router,
                exactOutput: hop.buys,
                tokenIn: self.token(hop.from)?,
                tokenOut: self.token(hop.to)?,
                fee: U24::from(hop.tier),
                amount: U256::ZERO,
                limit: self.fork.amount(if hop.buys { hop.from } else { hop.to }, hop.limit)?,
            })
        };
        Ok(Executor::Leg {
            lender: self.lender(market)?,
            collateral: self.token(shape.collateral)?,
            debt: self.token(shape.debt)?,
            borrower: borrower(shape, number),
            repay: self.fork.amount(shape.debt, shape.covers)?,
            swaps: shape.hops.iter().map(swap).collect::<Result<_>>()?,
        })
    }

    pub fn plan(&self, shape: &Shape, market: &str, funding: Funding, form: Form) -> Result<Executor::Plan> {
        let (pair, tier) = shape.flash;
        let (source, pair, tier) = match funding {
            Funding::Loan => (self.lender(market)?, Address::ZERO, 0),
            Funding::Flash => (self.fork.manifest.uniswap.factory, self.token(pair)?, tier),
        };
        let leg = self.leg(shape, market, 0, form)?;
        Ok(Executor::Plan {
            funding: if funding == Funding::Loan { 0 } else { 1 },
            source,
            amount: leg.repay,
            pairToken: pair,
            pairFee: U24::from(tier),
            profitToken: self.token("WETH")?,
            minProfit: U256::from(1),
            deadline: U256::from(1_000_000_000),
            legs: vec![leg],
        })
    }

    /// The plan most refusals start from: carried out as it is, it succeeds.
    pub fn plain_plan(&self) -> Result<Executor::Plan> {
        self.plan(&WETH_FOR_USDC, "v30", Funding::Loan, Form::WithDeadline)
    }
}

pub fn borrower(shape: &Shape, number: u8) -> Address {
    Address::from_word(keccak256(format!("{}, borrower {number}", shape.name)))
}
