//! Builds chain A: what is deployed in which order.

use std::{collections::BTreeMap, time::Instant};

use alloy::{
    primitives::{Address, U256, address, utils::parse_ether},
    providers::Provider,
    sol_types::SolValue,
};
use eyre::{Result, WrapErr, ensure};

use super::{
    aave_v30, aave_v36,
    abi::{Erc20, Pool},
    anvil::Anvil,
    artifacts::{Artifacts, Deployer, Libraries},
    assets::{ASSETS, DOLLAR},
    borrowers,
    chain::{Chain, wall_clock},
    feeds,
    manifest::{Manifest, Token, Uniswap},
    scene::Scene,
    uniswap::{self, MARKET_MAKER_STABLES, MARKET_MAKER_VOLATILE},
};

/// Where Multicall3 is on every public chain.
pub const MULTICALL3: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");

/// One gwei: empty blocks let the fee sink to nothing while the bed is built, and gas would cost nothing.
const BASE_FEE: u64 = 1_000_000_000;

#[derive(Debug, Clone)]
pub struct Options {
    /// Chains without Multicall3 exist; a test can ask for one.
    pub multicall: bool,
    /// Makes the borrowers.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { multicall: true, seed: 0xbac5 }
    }
}

/// Starts a chain and puts everything on it.
pub async fn build(options: &Options, progress: &mut dyn FnMut(&str)) -> Result<(Scene, Anvil)> {
    let started = Instant::now();
    let mut said = |line: &str| progress(&format!("{:5.1} s  {line}", started.elapsed().as_secs_f64()));
    let progress = &mut said;
    let artifacts = Artifacts::prepare(progress)?;
    // In the order of arrival: people's transactions build on one another within a block.
    let genesis = (wall_clock() - borrowers::AGE).to_string();
    let anvil = Anvil::with(&["--order", "fifo", "--timestamp", &genesis])?;
    let chain = Chain::connect(&anvil.http())?;
    let accounts = chain.provider.get_accounts().await.wrap_err("asking anvil for its accounts")?;
    ensure!(accounts.len() >= 3, "anvil has {} accounts of its own, three are needed", accounts.len());
    let deployer = Deployer { chain, artifacts, from: accounts[0] };

    progress("deploying tokens, price feeds and Uniswap");
    let mut manifest = foundation(&deployer, accounts[1], accounts[2]).await?;
    if options.multicall {
        place_multicall(&deployer).await?;
    }
    progress("deploying Aave V3.0");
    let market = aave_v30::deploy(&deployer, &manifest).await.wrap_err("deploying Aave V3.0")?;
    manifest.markets.insert("v30".into(), market);
    progress("deploying Aave V3.6");
    let market = aave_v36::deploy(&deployer, &manifest).await.wrap_err("deploying Aave V3.6")?;
    manifest.markets.insert("v36".into(), market);
    check_revisions(&deployer.chain, &manifest).await?;

    let mut scene = Scene::new(deployer.chain.clone(), manifest);
    for name in ["v30", "v36"] {
        progress(&format!("borrowers of {name} supply and borrow"));
        let (lenders, borrowers) = borrowers::populate(&scene, name, options.seed).await?;
        if let Some(market) = scene.manifest.markets.get_mut(name) {
            (market.lenders, market.borrowers) = (lenders, borrowers);
        }
    }
    scene.chain.return_to_present().await?;
    for asset in &ASSETS {
        scene.set_price(asset.symbol, asset.price).await?;
    }
    scene.manifest.store(&scene.chain).await?;
    scene.chain.set_next_base_fee(U256::from(BASE_FEE)).await?;
    scene.mine(1).await?;
    let blocks = scene.chain.block_number().await?;
    progress(&format!("the test bed is ready at block {blocks}"));
    Ok((scene, anvil))
}

/// Tokens, feeds, Uniswap with its pools: what both markets share.
async fn foundation(deployer: &Deployer, submitter: Address, market_maker: Address) -> Result<Manifest> {
    let none = Libraries::new();
    let wrapped_native = deployer.compiled("WETH9", &none, vec![]).await?;
    let mut tokens = BTreeMap::new();
    for asset in &ASSETS {
        let address = if asset.symbol == "WETH" {
            wrapped_native
        } else {
            let settings =
                (asset.name, asset.symbol, U256::from(asset.decimals), deployer.from).abi_encode_params();
            deployer.compiled("TestnetERC20", &none, settings).await?
        };
        let feed = feeds::deploy(deployer, submitter, asset)
            .await
            .wrap_err_with(|| format!("the price feed of {}", asset.symbol))?;
        let token =
            Token { address, decimals: asset.decimals, feed: feed.proxy, aggregator: feed.aggregator };
        tokens.insert(asset.symbol.to_owned(), token);
    }
    let uniswap = uniswap::deploy(deployer, wrapped_native).await.wrap_err("deploying Uniswap V3")?;
    let mut manifest = Manifest {
        chain_id: deployer.chain.provider.get_chain_id().await.wrap_err("the chain's id")?,
        deployer: deployer.from,
        submitter,
        market_maker,
        wrapped_native,
        tokens,
        markets: BTreeMap::new(),
        uniswap,
    };
    stock(&deployer.chain, &manifest).await.wrap_err("giving the market maker his tokens")?;
    manifest.uniswap.pools = uniswap::create_pools(&deployer.chain, &manifest).await?;
    Ok(manifest)
}

/// Gives the market maker his tokens and approvals, and the deployer WETH to hand out.
async fn stock(chain: &Chain, manifest: &Manifest) -> Result<()> {
    let Manifest { deployer, market_maker, .. } = *manifest;
    let Uniswap { router, position_manager, v2_router, .. } = manifest.uniswap;
    for asset in &ASSETS {
        let token = manifest.token(asset.symbol)?.address;
        let stable = asset.price == DOLLAR;
        let amount = asset.whole(if stable { MARKET_MAKER_STABLES } else { MARKET_MAKER_VOLATILE });
        if token == manifest.wrapped_native {
            let gas = parse_ether("10000").wrap_err("10000 ether")?;
            for owner in [deployer, market_maker] {
                chain.set_balance(owner, amount.saturating_add(gas)).await?;
                chain.pay(owner, token, amount, &Erc20::depositCall {}).await?;
            }
        } else {
            chain.invoke(deployer, token, &Erc20::mintCall { to: market_maker, amount }).await?;
        }
        for spender in [router, position_manager, v2_router] {
            chain.invoke(market_maker, token, &Erc20::approveCall { spender, amount: U256::MAX }).await?;
        }
    }
    Ok(())
}

/// The package has creation code: it is run somewhere, and what it leaves is copied to the well-known address.
async fn place_multicall(deployer: &Deployer) -> Result<()> {
    let somewhere = deployer.compiled("Multicall3", &Libraries::new(), vec![]).await?;
    let code = deployer.chain.provider.get_code_at(somewhere).await.wrap_err("Multicall3's code")?;
    deployer.chain.set_code(MULTICALL3, code).await
}

/// A wrong package would make every test pass on the wrong rules.
async fn check_revisions(chain: &Chain, manifest: &Manifest) -> Result<()> {
    for (name, expected) in [("v30", 1_u64), ("v36", 10)] {
        let found = chain.read(manifest.market(name)?.pool, &Pool::POOL_REVISIONCall {}).await?;
        ensure!(
            found == U256::from(expected),
            "the pool of {name} says revision {found}, not {expected}: the packages are not those of the lock file"
        );
    }
    Ok(())
}
