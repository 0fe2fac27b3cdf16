//! What was deployed where. It is stored on the chain itself, as the code of a fixed address, so that every fork of
//! the bed carries its own directory.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, Bytes, address},
    providers::Provider,
};
use eyre::{Result, WrapErr, bail, eyre};
use serde::{Deserialize, Serialize};

use super::chain::Chain;

/// Nobody's account: where the manifest is kept.
pub const PLACE: Address = address!("0xbac0000000000000000000000000000000000bed");

/// The invalid opcode: nobody calls the manifest by mistake.
const PREFIX: u8 = 0xfe;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub chain_id: u64,
    /// Owner of everything, and of the test tokens' mint.
    pub deployer: Address,
    /// The feeds' only oracle.
    pub submitter: Address,
    /// Holds enough of every token to move any pool.
    pub market_maker: Address,
    pub wrapped_native: Address,
    /// By symbol.
    pub tokens: BTreeMap<String, Token>,
    /// By name: "v30", "v36".
    pub markets: BTreeMap<String, Market>,
    pub uniswap: Uniswap,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    pub address: Address,
    pub decimals: u8,
    /// The proxy that Aave's oracle reads.
    pub feed: Address,
    /// The aggregator behind it, which emits the logs.
    pub aggregator: Address,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Market {
    pub addresses_provider: Address,
    pub pool: Address,
    pub oracle: Address,
    pub data_provider: Address,
    /// The block before the market's first transaction.
    pub start_block: u64,
    pub lenders: Vec<Address>,
    /// Everybody who ever borrowed, also those who have repaid.
    pub borrowers: Vec<Address>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uniswap {
    pub factory: Address,
    pub quoter: Address,
    /// v3-periphery's router, with a deadline.
    pub router: Address,
    /// swap-router-contracts' SwapRouter02, without.
    pub router02: Address,
    pub position_manager: Address,
    pub pools: Vec<Pool>,
    /// Uniswap V2, without pairs: scenes make those they want.
    pub v2_factory: Address,
    pub v2_router: Address,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// The two tokens' symbols, in no order.
    pub tokens: [String; 2],
    /// Hundredths of a basis point: 500, 3000, ...
    pub fee: u32,
    pub address: Address,
    /// Too little in it for any liquidation.
    pub thin: bool,
}

impl Manifest {
    /// # Errors
    /// For a name the bed does not have.
    pub fn market(&self, name: &str) -> Result<&Market> {
        self.markets.get(name).ok_or_else(|| eyre!("the test bed has no market {name}, only v30 and v36"))
    }

    /// # Errors
    /// For a symbol the bed does not have.
    pub fn token(&self, symbol: &str) -> Result<&Token> {
        self.tokens.get(symbol).ok_or_else(|| {
            eyre!(
                "the test bed has no token {symbol}, only {}",
                self.tokens.keys().cloned().collect::<Vec<_>>().join(", ")
            )
        })
    }

    /// Puts the manifest on the chain.
    pub async fn store(&self, chain: &Chain) -> Result<()> {
        let mut code = vec![PREFIX];
        serde_json::to_writer(&mut code, self).wrap_err("writing the manifest")?;
        chain.set_code(PLACE, Bytes::from(code)).await
    }

    /// Reads it back, from the bed or from any fork of it.
    pub async fn load(chain: &Chain) -> Result<Self> {
        let code =
            chain.provider.get_code_at(PLACE).await.wrap_err_with(|| format!("asking {}", chain.http()))?;
        match code.split_first() {
            Some((&PREFIX, json)) => serde_json::from_slice(json)
                .wrap_err("the chain's manifest is of another version of the test bed: build the bed again"),
            _ => bail!(
                "{} carries no test bed: there is no manifest at {PLACE}. Give the address of a chain that \
                 backstop's test bed has built, or of a fork of one",
                chain.http()
            ),
        }
    }
}
