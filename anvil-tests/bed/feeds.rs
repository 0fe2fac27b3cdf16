//! Price feeds laid out as in production: a Chainlink aggregator that emits the rounds, behind a proxy that the
//! protocols read.

use alloy::{
    primitives::{Address, I256, U256},
    sol_types::SolValue,
};
use eyre::{Result, WrapErr};

use super::{
    abi::FluxAggregator,
    artifacts::{Deployer, Libraries},
    assets::Asset,
    chain::Chain,
};

/// A feed's two contracts.
#[derive(Debug, Clone, Copy)]
pub struct Feed {
    /// What Aave's oracle reads.
    pub proxy: Address,
    /// What emits `AnswerUpdated`.
    pub aggregator: Address,
}

/// Deploys a feed in dollars with `submitter` as its only oracle, and its first round.
pub async fn deploy(deployer: &Deployer, submitter: Address, asset: &Asset) -> Result<Feed> {
    let none = Libraries::new();
    let settings = (
        Address::ZERO,                  // no LINK: the submitter works for nothing
        0_u64,                          // payment
        0_u32,                          // timeout of a round
        Address::ZERO,                  // no validator
        I256::ZERO,                     // least and
        I256::unchecked_from(i64::MAX), // greatest answer
        U256::from(8),                  // decimals
        format!("{} / USD", asset.symbol),
    );
    let aggregator = deployer.compiled("FluxAggregator", &none, settings.abi_encode_params()).await?;
    let proxy = deployer
        .compiled("EACAggregatorProxy", &none, (aggregator, Address::ZERO).abi_encode_params())
        .await?;
    let oracles = FluxAggregator::changeOraclesCall {
        removed: vec![],
        added: vec![submitter],
        admins: vec![submitter],
        minSubmissions: 1,
        maxSubmissions: 1,
        restartDelay: 0,
    };
    deployer.invoke(aggregator, &oracles).await?;
    submit(&deployer.chain, submitter, aggregator, asset.price_before).await?;
    Ok(Feed { proxy, aggregator })
}

/// Submits a new round; `price` in dollars with 8 decimals.
pub async fn submit(chain: &Chain, submitter: Address, aggregator: Address, price: u64) -> Result<()> {
    let round = chain.read(aggregator, &FluxAggregator::latestRoundCall {}).await?;
    let submission = FluxAggregator::submitCall {
        round: round.saturating_add(U256::from(1)),
        answer: I256::unchecked_from(price),
    };
    chain
        .invoke(submitter, aggregator, &submission)
        .await
        .wrap_err_with(|| format!("submitting the price {price}"))?;
    Ok(())
}
