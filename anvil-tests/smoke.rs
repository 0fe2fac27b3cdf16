//! The test bed tested by itself: what it deploys is what it says, and the contracts answer as they should.

use std::{collections::BTreeSet, time::Instant};

use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, U256, address, aliases::U160, utils::parse_ether},
    providers::Provider,
    rpc::types::{Filter, TransactionRequest},
    sol_types::{SolError, SolEvent},
};
use backstop::{
    bed::{
        AccountData, Bed, Fork, Options, Reverted, Rng,
        assets::{ASSETS, Asset, DOLLAR},
        shared,
    },
    domain::cost::TRANSACTION_CAP,
};
use eyre::{Result, ensure, eyre};

const MARKETS: [&str; 2] = ["v30", "v36"];
const LIQUIDATOR: Address = address!("0x00000000000000000000000000000000000a11ce");

alloy::sol! {
    event Borrow(
        address indexed reserve, address user, address indexed onBehalfOf, uint256 amount, uint8 interestRateMode,
        uint256 borrowRate, uint16 indexed referralCode);
    struct Quote { address tokenIn; address tokenOut; uint256 amountIn; uint24 fee; uint160 sqrtPriceLimitX96; }
    function quoteExactInputSingle(Quote memory params) external returns (
        uint256 amountOut, uint160 sqrtPriceX96After, uint32 initializedTicksCrossed, uint256 gasEstimate);
    struct Swap {
        address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 amountIn; uint256 amountOutMinimum;
        uint160 sqrtPriceLimitX96;
    }
    function exactInputSingle(Swap calldata params) external payable returns (uint256 amountOut);
    function flashLoanSimple(
        address receiver, address asset, uint256 amount, bytes calldata params, uint16 referral) external;
    error FlashloanDisabled();
    function FLASHLOAN_PREMIUM_TOTAL() external view returns (uint128);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fork_carries_the_bed() -> Result<()> {
    let bed = shared().await?;
    let fork = bed.fork().await?;
    assert_eq!(Bed::attach(&fork.http()).await?.manifest, bed.manifest);
    let again = Fork::of(&fork.http()).await?;
    assert_eq!(again.manifest, bed.manifest, "and so does a fork of a fork");
    let empty = backstop::bed::Anvil::start()?;
    let refusal =
        Bed::attach(&empty.http()).await.err().ok_or_else(|| eyre!("attached to an empty chain"))?;
    assert!(refusal.to_string().contains("carries no test bed"), "{refusal}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_transaction_carries_more_gas_than_one_may() -> Result<()> {
    let fork = shared().await?.fork().await?;
    let carrying = async |gas: u64| {
        let nothing = TransactionRequest::default().from(fork.manifest.deployer).to(Address::ZERO);
        fork.chain.transact(nothing.with_gas_limit(gas)).await
    };
    carrying(TRANSACTION_CAP.0).await?;
    let refusal = carrying(TRANSACTION_CAP.0 + 1).await.err().ok_or_else(|| eyre!("it was taken"))?;
    assert!(refusal.to_string().contains("gas"), "{refusal}");
    Ok(())
}

/// Not a test: keeps a bed up until it is interrupted, so that `FORK_URL=... cargo test --test anvil`, or anything else,
/// can fork it. Run it with `cargo test --test anvil serve -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves until interrupted"]
async fn serve() -> Result<()> {
    let bed = Bed::build(Options::default(), |line| eprintln!("{line}")).await?;
    println!("FORK_URL={}", bed.http());
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bed_can_lack_multicall() -> Result<()> {
    let place = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
    let bed = Bed::build(Options { multicall: false, ..Options::default() }, |_| ()).await?;
    assert!(bed.provider.get_code_at(place).await?.is_empty());
    let with = shared().await?.fork().await?;
    assert!(!with.provider.get_code_at(place).await?.is_empty());
    if std::env::var(backstop::bed::FORK_URL).is_err() {
        assert_eq!(bed.manifest.markets["v36"].borrowers, with.manifest.markets["v36"].borrowers);
        assert_eq!(
            bed.manifest.uniswap.factory, with.manifest.uniswap.factory,
            "addresses are deterministic"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_healthy_and_in_the_history() -> Result<()> {
    let fork = shared().await?.fork().await?;
    for name in MARKETS {
        let market = fork.manifest.market(name)?;
        let started = Instant::now();
        let mut healths = Vec::new();
        let mut small = 0;
        for user in &market.borrowers {
            let data = account(&fork, name, *user).await?;
            assert!(data.totalCollateralBase > U256::ZERO);
            small += u32::from(data.totalCollateralBase < U256::from(2_000 * DOLLAR));
            healths.push(data.healthFactor);
        }
        healths.sort();
        let without_debt = healths.iter().filter(|health| **health == U256::MAX).count();
        eprintln!(
            "{name}: {} borrowers read in {:?}, health from {}",
            healths.len(),
            started.elapsed(),
            healths[0]
        );
        assert!(healths.len() >= 52);
        assert_eq!(without_debt, 3);
        assert!(small >= 5, "{small} small positions");
        assert!(healths[0] > parse_ether("1")?, "nobody is liquidatable at first");
        assert!(healths[0] < parse_ether("1.03")?, "but somebody is near");

        let filter = Filter::new()
            .address(market.pool)
            .event_signature(Borrow::SIGNATURE_HASH)
            .from_block(market.start_block);
        let mut found = BTreeSet::new();
        for log in fork.provider.get_logs(&filter).await? {
            found.insert(Borrow::decode_log(&log.inner)?.onBehalfOf);
        }
        assert_eq!(
            found,
            market.borrowers.iter().copied().collect(),
            "the history names exactly the borrowers"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_falling_price_lowers_health_and_allows_liquidations() -> Result<()> {
    let fork = shared().await?.fork().await?;
    let snapshot = fork.snapshot().await?;
    for name in MARKETS {
        // The first borrowers have one volatile collateral and one debt.
        let plain = &fork.manifest.market(name)?.borrowers[..20];
        let mut before = Vec::new();
        for user in plain {
            before.push(account(&fork, name, *user).await?);
        }
        let prices = [fork.price("WETH").await?, fork.price("WBTC").await?];
        fork.set_price("WETH", prices[0] * 93 / 100).await?;
        fork.set_price("WBTC", prices[1] * 93 / 100).await?;
        let mut taken = 0;
        for (user, before) in plain.iter().zip(before) {
            let after = account(&fork, name, *user).await?;
            assert!(after.healthFactor < before.healthFactor);
            if after.healthFactor < parse_ether("1")? {
                let pair = pair(&fork, name, *user).await?;
                let receipt = fork.liquidate(name, LIQUIDATOR, pair, *user, U256::MAX).await?;
                eprintln!("{name}: {user} at {} liquidated for {} gas", after.healthFactor, receipt.gas_used);
                ensure!(fork.balance(LIQUIDATOR, pair.0).await? > U256::ZERO);
                taken += 1;
            }
        }
        assert!(taken >= 3, "{taken} liquidations");
        fork.set_price("WETH", prices[0]).await?;
        fork.set_price("WBTC", prices[1]).await?;
    }
    fork.revert(snapshot).await?;
    assert_eq!(fork.balance(LIQUIDATOR, "WETH").await?, U256::ZERO);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_actions_are_done_or_refused() -> Result<()> {
    let fork = shared().await?.fork().await?;
    let seed = 7;
    for name in MARKETS {
        let mut rng = Rng::new(seed);
        let mut done = 0;
        for _ in 0..20 {
            let action = fork.random_action(&mut rng, name).await?;
            eprintln!("seed {seed}: {} {}", action.description, action.refused.as_deref().unwrap_or("done"));
            done += usize::from(action.is_done());
        }
        assert!(done >= 8, "{done} of 20 done");
        let nobody = address!("0x0000000000000000000000000000000000000b0b");
        fork.set_balance(nobody, parse_ether("1")?).await?;
        let refused = fork.borrow(name, nobody, "DAI", U256::from(1)).await;
        assert!(refused.is_err_and(|report| report.downcast_ref::<Reverted>().is_some()));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_quote_the_feeds_prices_and_follow_them() -> Result<()> {
    let fork = shared().await?.fork().await?;
    all_pools_quote_fairly(&fork).await?;
    fork.set_price("WETH", 1_500 * DOLLAR).await?;
    fork.set_price("WBTC", 45_000 * DOLLAR).await?;
    let started = Instant::now();
    fork.move_pools_to_feeds().await?;
    eprintln!("pools moved in {:?}", started.elapsed());
    all_pools_quote_fairly(&fork).await?;

    // SwapRouter02 has no deadline.
    let weth = fork.manifest.token("WETH")?.address;
    let usdc = fork.manifest.token("USDC")?.address;
    fork.fund(LIQUIDATOR, "WETH", fork.amount("WETH", 1_000)?).await?;
    fork.approve(LIQUIDATOR, "WETH", fork.manifest.uniswap.router02).await?;
    let params = Swap {
        tokenIn: weth,
        tokenOut: usdc,
        fee: alloy::primitives::aliases::U24::from(500),
        recipient: LIQUIDATOR,
        amountIn: fork.amount("WETH", 1_000)?,
        amountOutMinimum: U256::ZERO,
        sqrtPriceLimitX96: U160::ZERO,
    };
    fork.chain.invoke(LIQUIDATOR, fork.manifest.uniswap.router02, &exactInputSingleCall { params }).await?;
    assert!(fork.balance(LIQUIDATOR, "USDC").await? > fork.amount("USDC", 1_498_000)?);
    Ok(())
}

/// $100,000 through each deep pool loses less than a hundredth; the thin one cannot take it.
async fn all_pools_quote_fairly(fork: &Fork) -> Result<()> {
    for pool in &fork.manifest.uniswap.pools {
        let [a, b] = [Asset::named(&pool.tokens[0])?, Asset::named(&pool.tokens[1])?];
        let [price_a, price_b] = [fork.price(a.symbol).await?, fork.price(b.symbol).await?];
        let dollars = u128::from(100_000 * DOLLAR);
        let params = Quote {
            tokenIn: fork.manifest.token(a.symbol)?.address,
            tokenOut: fork.manifest.token(b.symbol)?.address,
            amountIn: a.worth(dollars, price_a),
            fee: alloy::primitives::aliases::U24::from(pool.fee),
            sqrtPriceLimitX96: U160::ZERO,
        };
        let got = fork
            .chain
            .read(fork.manifest.uniswap.quoter, &quoteExactInputSingleCall { params })
            .await?
            .amountOut;
        let fair = b.worth(dollars, price_b);
        let permille = got * U256::from(1000) / fair;
        assert_eq!(
            permille < U256::from(990),
            pool.thin,
            "{:?} {} gives {permille} permille",
            pool.tokens,
            pool.fee
        );
        assert!(permille <= U256::from(1000));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn flash_loans_are_open_except_dai_in_v36() -> Result<()> {
    let fork = shared().await?.fork().await?;
    for (name, premium) in [("v30", 9_u128), ("v36", 5)] {
        let pool = fork.manifest.market(name)?.pool;
        assert_eq!(fork.chain.read(pool, &FLASHLOAN_PREMIUM_TOTALCall {}).await?, premium);
        for asset in &ASSETS {
            let call = flashLoanSimpleCall {
                receiver: LIQUIDATOR,
                asset: fork.manifest.token(asset.symbol)?.address,
                amount: asset.whole(1),
                params: Default::default(),
                referral: 0,
            };
            // The receiver has no code, so all fail, but only a closed reserve says so.
            let refusal = fork.chain.read(pool, &call).await.err().map(|report| format!("{report:#}"));
            let selector = alloy::hex::encode_prefixed(FlashloanDisabled::SELECTOR);
            let closed = refusal.is_some_and(|text| text.contains(&selector));
            assert_eq!(closed, name == "v36" && asset.symbol == "DAI", "{name} {}", asset.symbol);
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_names_this_chain() -> Result<()> {
    let fork = shared().await?.fork().await?;
    for name in MARKETS {
        let text = fork.config_toml(name, std::path::Path::new("some/where"), "dry-run")?;
        let parsed: toml::Table = text.parse()?;
        let market = &parsed["markets"][name];
        assert_eq!(parsed["rpc"]["ws"].as_str(), Some(fork.ws().as_str()));
        assert_eq!(market["chain_id"].as_integer(), Some(31337));
        let pool = market["addresses_provider"].as_str().ok_or_else(|| eyre!("no provider"))?;
        assert_eq!(pool.parse::<Address>()?, fork.manifest.market(name)?.addresses_provider);
    }
    Ok(())
}

async fn account(fork: &Fork, market: &str, user: Address) -> Result<AccountData> {
    fork.account_data(market, user, BlockId::latest()).await
}

/// The user's one collateral and one debt.
async fn pair(fork: &Fork, market: &str, user: Address) -> Result<(&'static str, &'static str)> {
    let mut pair = ("", "");
    for asset in &ASSETS {
        let reserve = fork.user_reserve(market, user, asset.symbol).await?;
        if reserve.aTokenBalance > U256::ZERO {
            pair.0 = asset.symbol;
        }
        if reserve.variableDebt > U256::ZERO {
            pair.1 = asset.symbol;
        }
    }
    Ok(pair)
}
