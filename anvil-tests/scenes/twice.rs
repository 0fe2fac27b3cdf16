//! Two liquidations of one pair in one transaction: planned where a first one opens more than one may take, carried
//! out as promised, and worth more than the best that one call could bring.

use alloy::primitives::{I256, U256};
use backstop::{abi::aave::Pool, bed::assets::DOLLAR};
use eyre::{Result, WrapErr, ensure};

use super::{
    MARKETS,
    forced::{enrich, force, proceeds},
    promise::{self, signed},
    stand::{Opportunity, Stand},
};

/// Prices of ether at which some are only just under water, in dollars.
const PRICES: [u64; 4] = [1_960, 1_930, 1_900, 1_860];

#[tokio::test(flavor = "multi_thread")]
async fn where_one_call_opens_more_for_another_both_are_planned() -> Result<()> {
    for market in MARKETS {
        let stand = Stand::enlisted(market).await?;
        enrich(&stand).await?;
        let mut twice = 0;
        for price in PRICES {
            stand.fork.set_price("WETH", price * DOLLAR).await?;
            stand.fork.move_pools_to_feeds().await?;
            stand.base_fee(1).await?;
            let scan = stand.scan()?;
            let of_one_pair = |plan: &&Opportunity| plan.legs.len() == 2 && plan.leg().is_ok();
            for plan in scan.opportunities.iter().filter(of_one_pair) {
                let what = || format!("{market} at {price}: {plan:#?}");
                promise::check(&stand, plan, 1).await.wrap_err_with(what)?;
                let (repaid, gross) = more_than_once(&stand, plan).await.wrap_err_with(what)?;
                eprintln!(
                    "{market}: health {}: two calls repay {repaid} % and bring {gross} % of the largest single one",
                    plan.health_factor / U256::from(10_u64.pow(12))
                );
                twice += 1;
            }
        }
        ensure!(twice > 0, "{market}: nobody was worth two calls");
    }
    Ok(())
}

/// What the two calls repay, and what they bring, in percent of the largest single call of the pair, which must be less of
/// both.
async fn more_than_once(stand: &Stand, plan: &Opportunity) -> Result<(U256, I256)> {
    let leg = plan.leg()?;
    let pair = (leg.debt_asset, leg.collateral_asset);
    let single = force(stand, plan.account, pair, U256::MAX).await?;
    // Where the largest call leaves dust it is refused: then half of what both repay stands for it.
    let single = match single {
        Some(moved) => moved,
        None => match force(stand, plan.account, pair, leg.repay / U256::from(2)).await? {
            Some(moved) => moved,
            None => return Ok((U256::ZERO, I256::ZERO)),
        },
    };
    ensure!(leg.repay > single.repaid, "one call repays {}", single.repaid);
    // The loan of the plan costs its premium; that of a single call would too.
    let pool = stand.fork.manifest.market(stand.market)?.pool;
    let premium = stand.fork.chain.read(pool, &Pool::FLASHLOAN_PREMIUM_TOTALCall {}).await?;
    let owed = single.repaid + single.repaid * U256::from(premium) / U256::from(10_000);
    let Some((left, _)) = proceeds(&stand.fork, pair, owed, single.seized).await? else {
        return Ok((leg.repay * U256::from(100) / single.repaid, I256::ZERO));
    };
    let gross = signed(plan.gross_wei)?;
    ensure!(gross > left, "one call brings {left}");
    let share = if left.is_positive() { gross * I256::try_from(100)? / left } else { I256::ZERO };
    Ok((leg.repay * U256::from(100) / single.repaid, share))
}
