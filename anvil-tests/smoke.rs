//! The test bed tested by itself: what it deploys is what it says, and the contracts answer as they should.

use alloy::{
    eips::BlockId,
    primitives::{U256, address, utils::parse_ether},
};
use backstop::bed::{AccountData, Bed, Fork, Options, Reverted, Rng};
use eyre::{Result, ensure};

const MARKETS: [&str; 2] = ["v30", "v36"];

#[tokio::test(flavor = "multi_thread")]
async fn the_bed_is_what_it_says() -> Result<()> {
    let bed = Bed::obtain(Options::default(), |line| eprintln!("{line}")).await?;
    let fork = bed.fork().await?;
    let attached = Bed::attach(&fork.http()).await?;
    assert_eq!(attached.manifest, bed.manifest, "a fork carries the manifest");
    let again = Fork::of(&fork.http()).await?;
    assert_eq!(again.manifest, bed.manifest, "and so does a fork of a fork");
    drop(again);

    for market in MARKETS {
        everybody_is_healthy(&fork, market).await?;
        a_falling_price_lowers_health_and_allows_a_liquidation(&fork, market).await?;
        random_actions(&fork, market).await?;
    }
    pools_follow_the_feeds(&fork).await
}

async fn everybody_is_healthy(fork: &Fork, market: &str) -> Result<()> {
    let borrowers = &fork.manifest.market(market)?.borrowers;
    let started = std::time::Instant::now();
    let mut healths = Vec::new();
    for user in borrowers {
        let data = account(fork, market, *user).await?;
        assert!(data.totalCollateralBase > U256::ZERO);
        healths.push(data.healthFactor);
    }
    healths.sort();
    let without_debt = healths.iter().filter(|health| **health == U256::MAX).count();
    eprintln!(
        "{market}: {} borrowers read in {:?}, {without_debt} without debt; health of every tenth: {:?}",
        borrowers.len(),
        started.elapsed(),
        healths.iter().step_by(10).map(|health| health.to_string()).collect::<Vec<_>>()
    );
    assert!(borrowers.len() >= 52);
    assert_eq!(without_debt, 3);
    assert!(healths[0] > parse_ether("1")?, "nobody is liquidatable at first");
    assert!(healths[0] < parse_ether("1.03")?, "but somebody is near");
    Ok(())
}

async fn a_falling_price_lowers_health_and_allows_a_liquidation(fork: &Fork, market: &str) -> Result<()> {
    let snapshot = fork.snapshot().await?;
    // The first borrowers have one collateral and one debt.
    let mut taken = 0;
    let mut befores = Vec::new();
    let plain = &fork.manifest.market(market)?.borrowers[..20];
    for user in plain {
        befores.push(account(fork, market, *user).await?);
    }
    for symbol in ["WETH", "WBTC"] {
        fork.set_price(symbol, fork.price(symbol).await? * 93 / 100).await?;
    }
    for (user, before) in plain.iter().zip(befores) {
        let after = account(fork, market, *user).await?;
        assert!(after.healthFactor < before.healthFactor);
        if after.healthFactor >= parse_ether("1")? {
            continue;
        }
        let pair = pair(fork, market, *user).await?;
        let liquidator = address!("0x00000000000000000000000000000000000a11ce");
        let receipt = fork.liquidate(market, liquidator, pair, *user, U256::MAX).await?;
        eprintln!("{market}: {user} at {} liquidated for {} gas", after.healthFactor, receipt.gas_used);
        ensure!(fork.balance(liquidator, pair.0).await? > U256::ZERO);
        taken += 1;
    }
    assert!(taken >= 3, "{taken} liquidations");
    fork.revert(snapshot).await
}

async fn pair(
    fork: &Fork,
    market: &str,
    user: alloy::primitives::Address,
) -> Result<(&'static str, &'static str)> {
    let mut pair = ("", "");
    for symbol in ["WETH", "WBTC", "USDC", "DAI"] {
        let reserve = fork.user_reserve(market, user, symbol).await?;
        if reserve.aTokenBalance > U256::ZERO {
            pair.0 = symbol;
        }
        if reserve.variableDebt > U256::ZERO {
            pair.1 = symbol;
        }
    }
    Ok(pair)
}

async fn random_actions(fork: &Fork, market: &str) -> Result<()> {
    let seed = 7;
    let mut rng = Rng::new(seed);
    let mut done = 0;
    for _ in 0..10 {
        let action = fork.random_action(&mut rng, market).await?;
        eprintln!("seed {seed}: {} {:?}", action.description, action.refused);
        done += usize::from(action.is_done());
    }
    assert!(done >= 3, "{done} of 10 done");
    // A refusal is told apart from a broken chain.
    let nobody = address!("0x0000000000000000000000000000000000000b0b");
    fork.set_balance(nobody, parse_ether("1")?).await?;
    let refused = fork.borrow(market, nobody, "DAI", U256::from(1)).await;
    assert!(refused.is_err_and(|report| report.downcast_ref::<Reverted>().is_some()));
    Ok(())
}

async fn pools_follow_the_feeds(fork: &Fork) -> Result<()> {
    fork.set_price("WETH", 1_500_00000000).await?;
    fork.set_price("WBTC", 45_000_00000000).await?;
    let started = std::time::Instant::now();
    fork.move_pools_to_feeds().await?;
    eprintln!("pools moved in {:?}", started.elapsed());
    fork.mine(1).await?;
    fork.increase_time(3600).await
}

async fn account(fork: &Fork, market: &str, user: alloy::primitives::Address) -> Result<AccountData> {
    fork.account_data(market, user, BlockId::latest()).await
}
