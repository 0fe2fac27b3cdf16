//! Uniswap V2 from its canonical bytecode: the factory and the router that goes with it. Pairs are made by whoever wants
//! some.

use alloy::{
    primitives::{Address, U256},
    sol_types::SolValue,
};
use eyre::Result;

use super::{
    abi::{Erc20, V2Factory, V2Pair},
    artifacts::{Deployer, Libraries, UNISWAP_V2_CORE, UNISWAP_V2_PERIPHERY},
    assets::{Asset, DOLLAR},
    chain::Chain,
    manifest::Manifest,
};

/// Deploys factory and router.
pub async fn deploy(deployer: &Deployer, wrapped_native: Address) -> Result<(Address, Address)> {
    let none = Libraries::new();
    let core = deployer.artifacts.flat(UNISWAP_V2_CORE, "UniswapV2Factory");
    // Who may switch on a fee for the protocol.
    let factory = deployer.create(&core, &none, deployer.from.abi_encode()).await?;
    let periphery = deployer.artifacts.flat(UNISWAP_V2_PERIPHERY, "UniswapV2Router02");
    let router = deployer.create(&periphery, &none, (factory, wrapped_native).abi_encode_params()).await?;
    Ok((factory, router))
}

/// Makes a pair at the assets' own prices with the market maker's tokens, so many whole dollars on each side.
pub async fn create_pair(
    chain: &Chain,
    manifest: &Manifest,
    tokens: [&str; 2],
    dollars: u64,
) -> Result<Address> {
    let dollars = u128::from(dollars) * u128::from(DOLLAR);
    let assets = [Asset::named(tokens[0])?, Asset::named(tokens[1])?];
    fill(chain, manifest, tokens, assets.map(|asset| asset.worth(dollars, asset.price))).await
}

/// Makes a pair, unless it is there, and puts these amounts into it.
pub async fn fill(
    chain: &Chain,
    manifest: &Manifest,
    tokens: [&str; 2],
    amounts: [U256; 2],
) -> Result<Address> {
    let maker = manifest.market_maker;
    let [a, b] = [manifest.token(tokens[0])?.address, manifest.token(tokens[1])?.address];
    let factory = manifest.uniswap.v2_factory;
    let known = chain.read(factory, &V2Factory::getPairCall { a, b }).await?;
    if known.is_zero() {
        chain.invoke(maker, factory, &V2Factory::createPairCall { a, b }).await?;
    }
    let pair = chain.read(factory, &V2Factory::getPairCall { a, b }).await?;
    for (token, amount) in [(a, amounts[0]), (b, amounts[1])] {
        chain.invoke(maker, token, &Erc20::transferCall { to: pair, amount }).await?;
    }
    chain.invoke(maker, pair, &V2Pair::mintCall { to: maker }).await?;
    Ok(pair)
}
