//! Accounts with several debts or several collaterals: what one transaction takes of them is explained as it is planned, is
//! carried out as promised (`opportunities` sees to that), and leaves more than any one pair.

use std::collections::BTreeMap;

use alloy::primitives::I256;
use backstop::bed::assets::DOLLAR;
use eyre::{Result, WrapErr, ensure, eyre};
use serde_json::{Value, json};

use super::{
    MARKETS,
    forced::enrich,
    promise::Shape,
    stand::{Opportunity, Stand},
};

/// Prices of ether, in dollars.
const PRICES: [u64; 2] = [1_700, 1_400];

#[tokio::test(flavor = "multi_thread")]
async fn several_pairs_in_one_transaction_leave_more_than_the_best_of_them() -> Result<()> {
    for market in MARKETS {
        let stand = Stand::enlisted(market).await?;
        enrich(&stand).await?;
        let mut shapes: BTreeMap<Shape, usize> = BTreeMap::new();
        for price in PRICES {
            stand.fork.set_price("WETH", price * DOLLAR).await?;
            stand.fork.move_pools_to_feeds().await?;
            stand.base_fee(1).await?;
            let scan = stand.scan()?;
            for plan in scan.opportunities.iter().filter(|plan| plan.leg().is_err()) {
                let what = || format!("{market} at {price}: {plan:#?}");
                let gain = more_than_each(&stand, plan).wrap_err_with(what)?;
                let shape = Shape::of(plan, stand.fork.manifest.wrapped_native)?;
                eprintln!(
                    "{market}: {shape:?} in {} calls leave {gain} % of what the best pair does",
                    plan.legs.len()
                );
                *shapes.entry(shape).or_default() += 1;
            }
        }
        for shape in [Shape::SeveralCollaterals, Shape::SeveralDebts] {
            ensure!(shapes.contains_key(&shape), "{market}: no plan was of the shape {shape:?}");
        }
    }
    Ok(())
}

/// What the plan leaves, in percent of what the best pair by itself does, which must be less; `explain` has both.
fn more_than_each(stand: &Stand, plan: &Opportunity) -> Result<I256> {
    let said = stand.operator.run(&["explain", &plan.account.to_string(), "--json", "-q"])?.expect_ok()?;
    let said: Value = serde_json::from_str(&said)?;
    let together = &said["together"];
    ensure!(together["verdict"] == "pays", "{together:#}");
    ensure!(together["plan"]["call"]["data"] == json!(plan.call.data), "another call: {together:#}");
    ensure!(together["plan"]["net_wei"] == plan.net_wei.to_string(), "{together:#}");
    let pairs = said["pairs"].as_array().ok_or_else(|| eyre!("no pairs: {said:#}"))?;
    let mut best = None;
    for pair in pairs.iter().filter(|pair| pair["verdict"] == "pays") {
        let net = pair["plan"]["net_wei"].as_str().ok_or_else(|| eyre!("no net: {pair:#}"))?;
        let net = I256::from_dec_str(net)?;
        ensure!(net < plan.net_wei, "a pair leaves {net}: {pair:#}");
        best = best.max(Some(net));
    }
    let best = best.ok_or_else(|| eyre!("no pair pays: {said:#}"))?;
    Ok(plan.net_wei * I256::try_from(100)? / best)
}
