//! Where a pair of Uniswap V2 pays best, and where two pools pay better than one: `scan` plans that, and what it plans is
//! carried out as it says.

use alloy::{
    primitives::{Address, U256, keccak256},
    sol_types::SolCall,
};
use backstop::{
    abi::executor::Executor,
    bed::{assets::DOLLAR, uniswap_v2},
    domain::executor::Role,
};
use eyre::{Result, WrapErr, ensure, eyre};

use super::{
    MARKETS,
    forced::drain,
    promise,
    stand::{Opportunity, Stand},
};

/// Most plans looked at in each world.
const PLANS: usize = 3;
/// Dollars of a WETH: longs must buy USDC with it then, or shorts sell USDC for it.
const FALLEN: u64 = 1_800;
const RISEN: u64 = 2_300;

/// What stands between WETH and USDC.
#[derive(Clone, Copy, Debug)]
struct Depths {
    /// Whole dollars on each side of the pool of a twentieth of a percent; that of 0.3 % has a tenth.
    pool: u64,
    /// The same of the pair.
    pair: u64,
    /// The base fee.
    gwei: u64,
}

/// The pair is all there is.
const PAIR: Depths = Depths { pool: 3_000, pair: 3_000_000, gwei: 10 };
/// Both are needed: no single one takes much.
const BOTH: Depths = Depths { pool: 600_000, pair: 600_000, gwei: 10 };
/// So deep that a second pool gains less than its swap costs.
const DEEP: Depths = Depths { pool: 300_000_000, pair: 300_000_000, gwei: 100 };

/// An operator, and accounts to liquidate at this price of a WETH, two of them large.
async fn world(market: &'static str, depths: Depths, ether: u64) -> Result<Stand> {
    let stand = Stand::enlisted(market).await?;
    let fork = &stand.fork;
    let [long, short] = ["long", "short"].map(|name| Address::from_word(keccak256(name)));
    fork.supply(market, long, "WETH", fork.amount("WETH", 100_000)?).await?;
    fork.borrow(market, long, "USDC", fork.amount("USDC", 158_000_000)?).await?;
    fork.supply(market, short, "USDC", fork.amount("USDC", 200_000_000)?).await?;
    fork.borrow(market, short, "WETH", fork.amount("WETH", 75_000)?).await?;
    // Of a pool of a billion, and of one of three hundred million.
    drain(fork, ("WETH", "USDC"), 500, depths.pool / 1_000).await?;
    drain(fork, ("WETH", "USDC"), 3000, depths.pool / 3_000).await?;
    fork.set_price("WETH", ether * DOLLAR).await?;
    fork.move_pools_to_feeds().await?;
    let amounts =
        [fork.amount("WETH", depths.pair * 1_000 / ether)?, fork.amount("USDC", depths.pair * 1_000)?];
    uniswap_v2::fill(&fork.chain, &fork.manifest, ["WETH", "USDC"], amounts).await?;
    stand.base_fee(depths.gwei).await?;
    Ok(stand)
}

/// The best plans between WETH and USDC.
fn plans(stand: &Stand) -> Result<Vec<Opportunity>> {
    let ends = [stand.fork.manifest.token("WETH")?.address, stand.fork.manifest.token("USDC")?.address];
    let mut plans = stand.scan()?.opportunities;
    plans.retain(|plan| {
        plan.leg().is_ok_and(|leg| {
            leg.debt_asset != leg.collateral_asset
                && ends.contains(&leg.debt_asset)
                && ends.contains(&leg.collateral_asset)
        })
    });
    plans.sort_by_key(|plan| std::cmp::Reverse(plan.gross_wei));
    plans.truncate(PLANS);
    ensure!(!plans.is_empty(), "{}: nothing to do", stand.market);
    Ok(plans)
}

fn swaps(plan: &Opportunity) -> Result<Vec<Executor::Swap>> {
    let call = Executor::executeCall::abi_decode(&plan.call.data)?.plan;
    Ok(call.legs.last().ok_or_else(|| eyre!("a plan without a leg"))?.swaps.clone())
}

/// Both ways between the two, in both markets. Answers how many plans there were, and how many were as they should.
async fn check(
    depths: Depths,
    is_right: impl Fn(&Stand, &[Executor::Swap]) -> bool,
) -> Result<(usize, usize)> {
    let (mut all, mut right) = (0, 0);
    for market in MARKETS {
        for ether in [FALLEN, RISEN] {
            let stand = world(market, depths, ether).await?;
            for plan in plans(&stand)? {
                let swaps = swaps(&plan)?;
                all += 1;
                right += usize::from(is_right(&stand, &swaps));
                promise::check(&stand, &plan, 1).await.wrap_err_with(|| format!("{swaps:#?}"))?;
            }
        }
    }
    eprintln!("{depths:?}: {right} of {all} plans");
    Ok((all, right))
}

fn is_paired(stand: &Stand, swap: &Executor::Swap) -> bool {
    swap.router == stand.fork.manifest.uniswap.v2_router
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_pays_best_is_planned_and_pays_what_was_said() -> Result<()> {
    let (all, paired) = check(PAIR, |stand, swaps| swaps.iter().any(|swap| is_paired(stand, swap))).await?;
    ensure!(paired == all, "{paired} of {all} go through the pair");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_over_two_pools_is_planned_and_pays_what_was_said() -> Result<()> {
    let divided = check(BOTH, |stand, swaps| {
        let [first, second] = swaps else { return false };
        let ends = |swap: &Executor::Swap| (swap.tokenIn, swap.tokenOut, swap.exactOutput);
        let one_is_the_pair = is_paired(stand, first) != is_paired(stand, second);
        ends(first) == ends(second) && one_is_the_pair && !first.amount.is_zero() && second.amount.is_zero()
    });
    let (all, divided) = divided.await?;
    ensure!(all >= 4 && divided * 2 > all, "{divided} of {all} go over the pair and a pool");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_pool_that_gains_less_than_its_gas_is_left_alone() -> Result<()> {
    let (all, whole) = check(DEEP, |_, swaps| swaps.len() == 1).await?;
    ensure!(all >= 4 && whole == all, "{whole} of {all} plans swap once");
    Ok(())
}

/// With pairs there is never less to be had, and where the pools are thin there is more.
#[tokio::test(flavor = "multi_thread")]
async fn pairs_and_two_pools_bring_more_where_one_is_thin() -> Result<()> {
    for market in MARKETS {
        for ether in [FALLEN, RISEN] {
            let mut stand = world(market, BOTH, ether).await?;
            let with = plans(&stand)?;
            for key in ["FACTORY", "ROUTER"] {
                let key = format!("BACKSTOP_MARKETS__{}__ROUTE__UNISWAP_V2_{key}", market.to_uppercase());
                stand.operator.environment.push((key, String::new()));
            }
            let without = stand.scan()?;
            let mut sums = [U256::ZERO; 2];
            for plan in &with {
                let alone = without.opportunities.iter().find(|other| other.account == plan.account);
                let net = |plan: &Opportunity| plan.net_wei.into_raw();
                let (net, alone) = (net(plan), alone.map_or(U256::ZERO, net));
                ensure!(net >= alone, "{market}: {} nets {net}, {alone} without the pair", plan.account);
                sums = [sums[0] + net, sums[1] + alone];
            }
            eprintln!("{market} WETH at {ether}: {} wei with the pair, {} without", sums[0], sums[1]);
            ensure!(sums[0] > sums[1] + sums[1] / U256::from(50), "{market}: {sums:?}");
        }
    }
    Ok(())
}

/// An executor that was deployed before pairs served does not list their router: what a plan lacks is named.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_does_not_list_the_router_of_pairs_says_so() -> Result<()> {
    let stand = world("v36", PAIR, FALLEN).await?;
    let executor = stand.operator.executor.ok_or_else(|| eyre!("no executor"))?;
    let router = stand.fork.manifest.uniswap.v2_router;
    let slot = backstop::domain::executor::role_slot(router);
    stand.fork.chain.set_storage(executor, slot.into(), Default::default()).await?;
    let refused = stand.scan()?.skipped;
    let role = Role::RouterPairs.bit() | Role::RouterV1.bit() | Role::RouterV2.bit();
    let words = format!("NotListed {{ account: {router:?}, bit: {role} }}");
    let named =
        refused.iter().filter(|skip| skip.reason == "simulation-refused" && skip.why.contains(&words));
    ensure!(named.count() > 0, "no {words:?} in {refused:#?}");
    Ok(())
}
