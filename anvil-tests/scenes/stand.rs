//! One operator at one market on a fork of his own, and what his `scan` says, as a reader of its JSON sees it.

use std::path::Path;

use alloy::{
    eips::{BlockId, eip1559::BaseFeeParams},
    network::TransactionBuilder,
    primitives::{Address, Bytes, I256, U256},
    providers::{Provider, ext::AnvilApi},
    rpc::types::{Header, TransactionReceipt, TransactionRequest},
};
use backstop::bed::{
    Fork,
    operator::{Custody, Operator},
    shared,
};
use eyre::{Result, ensure, eyre};
use serde::{Deserialize, Deserializer, de::Error};

const GWEI: u64 = 1_000_000_000;

/// A fork, an operator, and his folder.
pub struct Stand {
    pub operator: Operator,
    pub market: &'static str,
    pub fork: Fork,
    _folder: tempfile::TempDir,
}

/// `scan --json`.
#[derive(Debug, Deserialize)]
pub struct Scan {
    pub block: u64,
    pub opportunities: Vec<Opportunity>,
    pub skipped: Vec<Skipped>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Opportunity {
    pub account: Address,
    pub health_factor: U256,
    pub legs: Vec<Leg>,
    pub swaps: Vec<Swap>,
    pub shares: Option<Address>,
    pub gross_wei: U256,
    pub gas: u64,
    pub cost_wei: U256,
    #[serde(deserialize_with = "signed")]
    pub net_wei: I256,
    pub call: Call,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Leg {
    pub debt_asset: Address,
    pub collateral_asset: Address,
    pub repay: U256,
    pub seize: U256,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Swap {
    pub sold: Address,
    pub bought: Address,
    pub fee: u32,
    pub give: U256,
    pub take: U256,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Call {
    pub to: Address,
    pub data: Bytes,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Skipped {
    pub account: Address,
    pub reason: String,
    pub debt_asset: Option<Address>,
    pub collateral_asset: Option<Address>,
    pub repay: Option<U256>,
    #[serde(default, deserialize_with = "maybe_signed")]
    pub net_wei: Option<I256>,
    pub why: String,
}

fn signed<'de, D: Deserializer<'de>>(input: D) -> Result<I256, D::Error> {
    I256::from_dec_str(&String::deserialize(input)?).map_err(D::Error::custom)
}

fn maybe_signed<'de, D: Deserializer<'de>>(input: D) -> Result<Option<I256>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    text.map(|text| I256::from_dec_str(&text).map_err(D::Error::custom)).transpose()
}

impl Opportunity {
    /// All legs as one, where they are of the same pair.
    pub fn leg(&self) -> Result<Leg> {
        let first = self.legs.first().ok_or_else(|| eyre!("an opportunity without a leg: {self:?}"))?;
        let mut whole = Leg { repay: U256::ZERO, seize: U256::ZERO, ..first.clone() };
        for leg in &self.legs {
            let same = (leg.debt_asset, leg.collateral_asset) == (first.debt_asset, first.collateral_asset);
            ensure!(same, "two pairs: {self:?}");
            whole.repay += leg.repay;
            whole.seize += leg.seize;
        }
        Ok(whole)
    }

    /// What `scan` takes each unit of gas to cost. Exact: the cost is a product with it.
    pub fn price(&self) -> U256 {
        self.cost_wei / U256::from(self.gas)
    }
}

impl Stand {
    /// Without an executor: `scan` places one by override.
    pub async fn new(market: &'static str) -> Result<Self> {
        let fork = shared().await?.fork().await?;
        let folder = tempfile::tempdir()?;
        let binary = Path::new(env!("CARGO_BIN_EXE_backstop"));
        let operator = Operator::new(&fork, market, folder.path(), binary, Custody::Environment)?;
        Ok(Self { operator, market, fork, _folder: folder })
    }

    /// With a deployed executor, in dry-run mode.
    pub async fn enlisted(market: &'static str) -> Result<Self> {
        let mut stand = Self::new(market).await?;
        stand.operator.enlist(&stand.fork).await?;
        stand.operator.write("dry-run", "")?;
        Ok(stand)
    }

    pub fn scan(&self) -> Result<Scan> {
        let said = self.operator.run(&["scan", "--json", "-q"])?.expect_ok()?;
        Ok(serde_json::from_str(&said)?)
    }

    /// `scan` as an operator without a deployed executor would run it, at the same head.
    pub fn scan_by_override(&mut self) -> Result<Scan> {
        let executor = self.operator.executor.take();
        self.operator.write("dry-run", "")?;
        let scan = self.scan();
        self.operator.executor = executor;
        self.operator.write("dry-run", "")?;
        scan
    }

    pub async fn head(&self) -> Result<Header> {
        let block = self.fork.provider.get_block(BlockId::latest()).await?;
        Ok(block.ok_or_else(|| eyre!("the chain has no head"))?.header)
    }

    /// Mines two blocks, the first with this base fee; each next one's is an eighth lower.
    pub async fn base_fee(&self, gwei: u64) -> Result<()> {
        self.fork.chain.set_next_base_fee(U256::from(gwei * GWEI)).await?;
        self.fork.mine(1).await?;
        let promised = next_base_fee(&self.head().await?)?;
        self.fork.mine(1).await?;
        let found = self.head().await?.base_fee_per_gas;
        ensure!(found == Some(promised), "the base fee is {found:?}, foretold was {promised}");
        Ok(())
    }

    /// The symbol of one of the bed's tokens.
    pub fn symbol(&self, token: Address) -> Result<&str> {
        let known = self.fork.manifest.tokens.iter().find(|(_, known)| known.address == token);
        known.map(|(symbol, _)| symbol.as_str()).ok_or_else(|| eyre!("{token} is none of the bed's tokens"))
    }

    /// Sends a printed call from the operator's key in a block `delay` seconds after the head, at the price per unit of
    /// gas that `scan` assumed.
    pub async fn carry_out(&self, plan: &Opportunity, delay: u64) -> Result<TransactionReceipt> {
        let head = self.head().await?;
        let price: u128 = plan.price().to();
        let base = u128::from(next_base_fee(&head)?);
        ensure!(price >= base, "scan assumed {price} a gas, the next block's base fee is {base}");
        // anvil forgets to take its own foretelling back with a snapshot.
        self.fork.chain.set_next_base_fee(U256::from(base)).await?;
        self.fork.provider.anvil_set_next_block_timestamp(head.timestamp + delay).await?;
        let request = TransactionRequest::default()
            .with_from(self.operator.address)
            .with_to(plan.call.to)
            .with_input(plan.call.data.clone())
            .with_gas_limit(3_000_000)
            .with_max_fee_per_gas(price * 2)
            .with_max_priority_fee_per_gas(price - base);
        let receipt = self.fork.chain.transact(request).await?;
        let mined = self.head().await?;
        ensure!(
            mined.number == head.number + 1,
            "mined in {}, not right after {}",
            mined.number,
            head.number
        );
        ensure!(mined.timestamp == head.timestamp + delay, "the chain's clock did not obey");
        ensure!(receipt.effective_gas_price == price, "paid {}, not {price}", receipt.effective_gas_price);
        Ok(receipt)
    }
}

pub fn next_base_fee(head: &Header) -> Result<u64> {
    head.next_block_base_fee(BaseFeeParams::ethereum()).ok_or_else(|| eyre!("no base fee"))
}
