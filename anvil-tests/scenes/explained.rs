//! The rest of what `explain` says: of anybody, with the pool's own words, the plan that `scan` finds, and the largest
//! amounts that the contract moves.

use alloy::{eips::BlockId, primitives::U256};
use backstop::{
    app::wire,
    bed::assets::DOLLAR,
    config::{Config, Need, Sources},
    domain::{explain::Explain, prices::Moment},
};
use eyre::{Result, ensure, eyre};
use serde_json::{Value, json};

use super::{
    explain::one,
    forced::{enrich, force},
    stand::Stand,
};

/// What each pair moves at most is what the contract moves, in the next second, for somebody with all the money.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_legal_amounts_are_the_contracts() -> Result<()> {
    for market in super::MARKETS {
        let stand = Stand::new(market).await?;
        enrich(&stand).await?;
        stand.fork.set_price("WETH", 1_650 * DOLLAR).await?;
        let config = Config::load(&Sources { file: Some(stand.operator.config()), ..Sources::default() })
            .map_err(|mistakes| eyre!("{mistakes}"))?;
        let wire = wire::market(&config, Need::Read, None).await?;
        let known = &wire.keeper.market;
        let when = Moment { timestamp: wire.head.block.timestamp + 1, prices: &known.prices };
        let (mut whole, mut dust, mut refused) = (0, 0, 0);
        for account in known.accounts.keys() {
            for pair in known.pairings(*account, &when)? {
                let assets = (pair.debt_asset, pair.collateral_asset);
                let most = force(&stand, *account, assets, U256::MAX).await?;
                match (pair.largest, most) {
                    (Ok(ours), Some(theirs)) => {
                        ensure!(
                            (ours.repaid.0, ours.seized.0) == (theirs.repaid, theirs.seized),
                            "{market} {account} {pair:?}: {theirs:?}"
                        );
                        whole += 1;
                    }
                    // The close factor's bound leaves dust: less of it is legal, and not a thousandth more.
                    (Ok(ours), None) => {
                        let theirs = force(&stand, *account, assets, ours.cover).await?;
                        ensure!(
                            theirs.is_some_and(|moved| moved.repaid == ours.repaid.0),
                            "{pair:?} {theirs:?}"
                        );
                        let more = ours.cover + ours.cover / U256::from(1_000) + U256::from(1);
                        ensure!(
                            force(&stand, *account, assets, more).await?.is_none(),
                            "{pair:?}: more is legal"
                        );
                        dust += 1;
                    }
                    (Err(_), None) => refused += 1,
                    (Err(why), Some(theirs)) => ensure!(false, "{pair:?}: {why}, but {theirs:?}"),
                }
            }
        }
        eprintln!("{market}: {whole} pairs to the last unit, {dust} bounded by dust, {refused} refused");
        ensure!(whole > 5 && refused > 5, "{whole} {refused}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_explained_whoever_it_is() -> Result<()> {
    for market in super::MARKETS {
        let stand = Stand::new(market).await?;
        let fork = &stand.fork;
        fork.set_price("WETH", 1_700 * DOLLAR).await?;
        fork.move_pools_to_feeds().await?;
        stand.base_fee(1).await?;

        // Somebody who lends and never borrowed.
        let lender = fork.manifest.market(market)?.lenders[0].to_string();
        let said: Value = explain(&stand, &lender)?;
        ensure!(said["indexed"] == false, "{said:#}");
        ensure!(said["not_indexed"].as_str().is_some_and(|why| why.contains("never borrowed")), "{said:#}");
        ensure!(said["legs"].as_array().is_some_and(|legs| legs.len() == 4), "{said:#}");
        ensure!(said["health_factor"] == U256::MAX.to_string() && said["pairs"] == json!([]), "{said:#}");

        // What is supplied and switched off is told, with what it is worth.
        let off = fork.manifest.market(market)?.lenders[1];
        fork.set_collateral(market, off, "WETH", false).await?;
        let said: Value = explain(&stand, &off.to_string())?;
        let legs = said["legs"].as_array().ok_or_else(|| eyre!("{said:#}"))?;
        let weth = legs.iter().find(|leg| leg["symbol"] == "WETH").ok_or_else(|| eyre!("{said:#}"))?;
        let supplied: U256 = serde_json::from_value(weth["supplied"].clone())?;
        let value = supplied * U256::from(1_700 * DOLLAR) / U256::from(10).pow(U256::from(18));
        ensure!(weth["collateral"] == false && weth["supplied_base"] == value.to_string(), "{weth:#}");
        ensure!(supplied == fork.supplied(market, off, "WETH").await?, "{weth:#}");

        // The plan of `scan` is the best pair of `explain`, to the byte of its call.
        let scan = stand.scan()?;
        let of_one_pair = scan.opportunities.iter().find(|plan| plan.leg().is_ok());
        let plan = of_one_pair.ok_or_else(|| eyre!("nothing to do"))?;
        let leg = plan.leg()?;
        let account = plan.account.to_string();
        let said: Value = explain(&stand, &account)?;
        let pairs = said["pairs"].as_array().ok_or_else(|| eyre!("{said:#}"))?;
        let same = pairs.iter().find(|pair| pair["plan"]["call"]["data"] == json!(plan.call.data));
        let same = same.ok_or_else(|| eyre!("{plan:#?} is not in {said:#}"))?;
        ensure!(same["verdict"] == "pays" && same["plan"]["net_wei"] == plan.net_wei.to_string(), "{same:#}");
        let foretold = &same["foretold"];
        ensure!(
            foretold["paid"] == leg.repay.to_string() && foretold["received"] == leg.seize.to_string(),
            "{same:#}"
        );
        ensure!(same["foretold_refusal"].is_null() && foretold["health_factor"].is_string(), "{same:#}");
        let feeds = |leg: &Value| {
            let kinds =
                leg["feeds"].as_array().map(|all| all.iter().map(|one| one["kind"].clone()).collect());
            kinds == Some(vec![json!("proxy"), json!("aggregator")])
        };
        ensure!(said["legs"].as_array().is_some_and(|legs| legs.iter().all(feeds)), "{said:#}");
        ensure!(said["remedies"].as_array().is_some_and(|all| all.len() == 2), "{said:#}");
        println!("{}", stand.operator.run(&["explain", &account, "-q", "--target", "1.1"])?.expect_ok()?);

        // Somebody healthy: the pool refuses in its own words.
        let healthy = healthy(&stand).await?;
        let said: Value = explain(&stand, &healthy)?;
        let pair = &said["pairs"][0];
        ensure!(pair["verdict"] == "healthy" && pair["plan"].is_null(), "{said:#}");
        ensure!(pair["foretold_refusal"] == "healthy" && pair["foretold"].is_null(), "{said:#}");
        let words = if market == "v30" {
            "HEALTH_FACTOR_NOT_BELOW_THRESHOLD (45)"
        } else {
            "HealthFactorNotBelowThreshold"
        };
        ensure!(pair["pool_said"] == format!("Aave: {words}"), "{pair:#}");
        println!("{}", stand.operator.run(&["explain", &healthy, "-q"])?.expect_ok()?);

        // Without a route nothing is priced, and everything else is said.
        let config = std::fs::read_to_string(stand.operator.config())?;
        let (before, rest) =
            config.split_once(&format!("[markets.{market}.route]")).ok_or_else(|| eyre!("no route"))?;
        let after = rest.find("\n[").map_or("", |at| &rest[at..]);
        std::fs::write(stand.operator.config(), format!("{before}{after}"))?;
        let said: Value = explain(&stand, &account)?;
        ensure!(said["priced"] == false && said["pairs"][0]["verdict"] == "not-priced", "{said:#}");
        ensure!(said["pairs"][0]["most_repay"].is_string(), "{said:#}");
    }
    Ok(())
}

fn explain(stand: &Stand, account: &str) -> Result<Value> {
    let said = stand.operator.run(&["explain", account, "--json", "-q"])?.expect_ok()?;
    Ok(serde_json::from_str(&said)?)
}

async fn healthy(stand: &Stand) -> Result<String> {
    for user in &stand.fork.manifest.market(stand.market)?.borrowers {
        let data = stand.fork.account_data(stand.market, *user, BlockId::latest()).await?;
        if data.healthFactor > one() && !data.totalDebtBase.is_zero() {
            return Ok(user.to_string());
        }
    }
    Err(eyre!("nobody is healthy"))
}
