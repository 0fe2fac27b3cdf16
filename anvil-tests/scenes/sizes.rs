//! How much to repay where the pools cannot take everything.

use alloy::primitives::{I256, U256};
use backstop::bed::assets::DOLLAR;
use eyre::{Result, WrapErr, ensure, eyre};

use super::{
    forced::{drain, enrich, force, proceeds},
    promise::{self, signed},
    stand::{Opportunity, Stand, next_base_fee},
};

/// Sizes tried by brute force.
const SIZES: u64 = 200;
/// Plans looked at in each world.
const PLANS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_repay_that_fits_the_pool_beats_a_bigger_one_in_v30() -> Result<()> {
    check("v30", 9).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_repay_that_fits_the_pool_beats_a_bigger_one_in_v36() -> Result<()> {
    check("v36", 5).await
}

/// `premium`: basis points of the market's flash loans.
async fn check(market: &'static str, premium: u64) -> Result<()> {
    let mut smaller = 0;
    for (name, ether, dollars) in
        [("longs, thin", 1_700, 400_000), ("longs, thinner", 1_700, 60_000), ("shorts, thin", 2_900, 60_000)]
    {
        let stand = Stand::enlisted(market).await?;
        let fork = &stand.fork;
        enrich(&stand).await?;
        // Dollars on each side of a pool of a billion, or of three hundred million.
        drain(fork, ("WETH", "USDC"), 500, dollars / 1_000).await?;
        drain(fork, ("WETH", "USDC"), 3000, dollars / 300).await?;
        drain(fork, ("WETH", "DAI"), 3000, dollars / 300).await?;
        fork.set_price("WETH", ether * DOLLAR).await?;
        fork.move_pools_to_feeds().await?;
        stand.base_fee(10).await?;
        let mut plans = stand.scan()?.opportunities;
        let native = fork.manifest.wrapped_native;
        plans.retain(|plan| {
            plan.leg().is_ok_and(|leg| leg.debt_asset == native || leg.collateral_asset == native)
        });
        plans.sort_by_key(|plan| std::cmp::Reverse(plan.gross_wei));
        plans.truncate(PLANS);
        ensure!(!plans.is_empty(), "{market}: nothing to do in {name}");
        for plan in &plans {
            let share = the_size_is_best(&stand, plan, premium)
                .await
                .wrap_err_with(|| format!("{name} {plan:#?}"))?;
            eprintln!(
                "{market}  {name:<15} repays {share:>3} % of what is allowed, net {} wei",
                plan.net_wei
            );
            smaller += usize::from(share < 90);
            promise::check(&stand, plan, 1).await?;
        }
    }
    ensure!(smaller > 0, "{market}: every plan repays all it may");
    Ok(())
}

/// Nothing that 200 sizes bring by the contract's own outcomes and real quotes is more than a thousandth above the
/// plan. Answers the plan's part of what may be repaid, in percent.
async fn the_size_is_best(stand: &Stand, plan: &Opportunity, premium: u64) -> Result<u64> {
    let leg = plan.leg()?;
    let pair = (leg.debt_asset, leg.collateral_asset);
    let base = next_base_fee(&stand.head().await?)?;
    let gas = signed(U256::from(plan.gas) * U256::from(base))?;
    let most = force(stand, plan.account, pair, U256::MAX).await?;
    let most = most.ok_or_else(|| eyre!("the contract refuses the largest repay"))?.repaid;
    let mut best: Option<(I256, U256)> = None;
    let mut served = 0;
    // Half of them over all that is allowed, half over twice the plan's own.
    let half = U256::from(SIZES / 2);
    let sizes = (1..=SIZES / 2)
        .map(U256::from)
        .flat_map(|part| [most * part / half, leg.repay * U256::from(2) * part / half]);
    for size in sizes.filter(|size| *size <= most) {
        let Some(moved) = force(stand, plan.account, pair, size).await? else { continue };
        let dai = stand.symbol(leg.debt_asset)? == "DAI" && stand.market == "v36";
        // DAI is lent by the pool with USDC there, for a basis point.
        let bps = if dai { 1 } else { premium };
        let missing = moved.repaid + (moved.repaid * U256::from(bps)).div_ceil(U256::from(10_000));
        if let Some((left, _)) = proceeds(&stand.fork, pair, missing, moved.seized).await? {
            served += 1;
            best = best.max(Some((left - gas, size)));
        }
    }
    let (found, size) = best.ok_or_else(|| eyre!("no size can be served"))?;
    let ours = signed(plan.gross_wei)? - gas;
    ensure!(
        ours * I256::try_from(1_000)? >= found * I256::try_from(999)?,
        "the plan leaves {ours} with {}, brute force {found} with {size}, {served} sizes",
        leg.repay
    );
    Ok((leg.repay * U256::from(100) / most).to())
}
