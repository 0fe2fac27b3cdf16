//! What `scan` leaves alone is better left alone: forced, it loses money, earns too little, or is refused.

use std::collections::{BTreeMap, BTreeSet};

use alloy::{
    primitives::{Address, I256, U256},
    sol_types::SolCall,
};
use backstop::{
    abi::executor::Executor,
    bed::{abi::AddressesProvider, assets::DOLLAR},
};
use eyre::{Result, WrapErr, ensure, eyre};

use super::{
    MARKETS,
    forced::{drain, enrich, force, proceeds},
    promise::{self, signed},
    stand::{Scan, Stand, next_base_fee},
};

/// What a swap through a router takes.
const SWAP_GAS: u64 = 100_000;

alloy::sol! {
    function setReservePause(address asset, bool paused) external;
    #[derive(Debug)]
    interface Graceful { function setReservePause(address asset, bool paused, uint40 gracePeriod) external; }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_skipped_as_unprofitable_loses_money_when_forced() -> Result<()> {
    for market in MARKETS {
        dear_gas(market).await.wrap_err("dear gas")?;
        pools_against(market).await.wrap_err("pools moved against")?;
        thin_pools_only(market).await.wrap_err("thin pools only")?;
    }
    Ok(())
}

/// The bonus of a small position does not pay for gas.
async fn dear_gas(market: &'static str) -> Result<()> {
    let stand = Stand::enlisted(market).await?;
    enrich(&stand).await?;
    stand.fork.set_price("WETH", 1_700 * DOLLAR).await?;
    stand.fork.move_pools_to_feeds().await?;
    stand.base_fee(280).await?;
    forced(&stand, "dear gas", 2).await
}

/// Where ether is sold it is worth less than the oracle says.
async fn pools_against(market: &'static str) -> Result<()> {
    let stand = Stand::enlisted(market).await?;
    enrich(&stand).await?;
    stand.fork.set_price("WETH", 1_600 * DOLLAR).await?;
    stand.fork.move_pools_to_feeds().await?;
    stand.fork.set_price("WETH", 1_750 * DOLLAR).await?;
    stand.base_fee(10).await?;
    forced(&stand, "pools against", 2).await
}

/// Bitcoin can only be sold through the pool with two thousand dollars in it.
async fn thin_pools_only(market: &'static str) -> Result<()> {
    let stand = Stand::enlisted(market).await?;
    enrich(&stand).await?;
    stand.fork.set_price("WBTC", 34_000 * DOLLAR).await?;
    stand.fork.move_pools_to_feeds().await?;
    drain(&stand.fork, ("WBTC", "WETH"), 3000, 0).await?;
    drain(&stand.fork, ("WBTC", "USDC"), 3000, 0).await?;
    stand.base_fee(10).await?;
    forced(&stand, "thin pools only", 0).await
}

/// Every account skipped as unprofitable, or for want of pools, loses money, whatever part of whatever debt is repaid for whatever collateral.
/// Somebody with money of his own may still gain less than it costs the keeper to borrow; such are counted apart.
async fn forced(stand: &Stand, name: &str, least: usize) -> Result<()> {
    let scan = stand.scan()?;
    let loan = gas_of_borrowing(stand, &scan).await?;
    let base = next_base_fee(&stand.head().await?)?;
    let price_of_loan = signed(U256::from(loan) * U256::from(base))?;
    let tokens = stand.fork.manifest.tokens.values().map(|token| token.address).collect::<Vec<_>>();
    let (mut dearest, mut tried, mut but_for_the_loan) = (None, 0, 0);
    let hopeless = ["unprofitable", "no-route"];
    let unprofitable =
        scan.skipped.iter().filter(|skip| hopeless.contains(&skip.reason.as_str())).collect::<Vec<_>>();
    for skip in &unprofitable {
        for pair in tokens.iter().flat_map(|debt| tokens.iter().map(|collateral| (*debt, *collateral))) {
            for net in with_own_money(stand, skip.account, pair, base).await? {
                tried += 1;
                dearest = dearest.max(Some(net));
                but_for_the_loan += usize::from(net >= I256::ZERO);
                ensure!(net < price_of_loan, "{name}: {pair:?} of {skip:#?} would have brought {net}");
            }
        }
    }
    eprintln!(
        "{}  {name:<16} {} opportunities, skipped {:?}; {tried} ways forced, at best {} wei; {but_for_the_loan} \
         pay for him who need not borrow ({loan} gas)",
        stand.market,
        scan.opportunities.len(),
        reasons(&scan),
        dearest.map_or("nothing".into(), |net| net.to_string()),
    );
    ensure!(unprofitable.len() >= least.max(1), "{name}: {} accounts", unprofitable.len());
    ensure!(tried >= 2 * least, "{name}: {tried} ways forced");
    Ok(())
}

/// What each of four sizes leaves to somebody who pays for the liquidation and the swaps alone, as far as the contract
/// allows it and a pool serves it.
async fn with_own_money(
    stand: &Stand,
    account: Address,
    pair: (Address, Address),
    base_fee: u64,
) -> Result<Vec<I256>> {
    let mut nets = Vec::new();
    let Some(most) = force(stand, account, pair, U256::MAX).await? else { return Ok(nets) };
    for part in [1_u64, 4, 16, 64] {
        let size = if part == 1 { U256::MAX } else { most.repaid / U256::from(part) };
        let Some(moved) = force(stand, account, pair, size).await? else { continue };
        let way = proceeds(&stand.fork, pair, moved.repaid, moved.seized).await?;
        let Some((left, swaps)) = way else { continue };
        nets.push(left - signed(U256::from(moved.gas + swaps * SWAP_GAS) * U256::from(base_fee))?);
    }
    Ok(nets)
}

/// Gas that the loan and its safeguards add to a liquidation, as the dearest of the plans has it.
async fn gas_of_borrowing(stand: &Stand, scan: &Scan) -> Result<u64> {
    let mut most = 0;
    for plan in scan.opportunities.iter().filter(|plan| plan.legs.len() == 1) {
        let leg = plan.leg()?;
        let pair = (leg.debt_asset, leg.collateral_asset);
        let call = Executor::executeCall::abi_decode(&plan.call.data)?.plan;
        let cover = call.legs.first().ok_or_else(|| eyre!("a plan without a leg"))?.repay;
        let moved = force(stand, plan.account, pair, cover).await?;
        let moved = moved.ok_or_else(|| eyre!("the contract refuses {plan:#?}"))?;
        let swaps = plan.swaps.len() as u64;
        most = most.max(plan.gas.saturating_sub(moved.gas + swaps * SWAP_GAS));
    }
    Ok(most)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_below_the_minimum_earns_less_than_it() -> Result<()> {
    for market in MARKETS {
        let stand = Stand::enlisted(market).await?;
        stand.fork.set_price("WETH", 1_800 * DOLLAR).await?;
        stand.fork.move_pools_to_feeds().await?;
        stand.base_fee(10).await?;
        let minimum = U256::from(100_000_000_000_000_000_u64);
        stand.operator.write("dry-run", &format!("\n[profit]\nminimum_wei = \"{minimum}\"\n"))?;
        let strict = stand.scan()?;
        stand.operator.write("dry-run", "\n[profit]\nminimum_wei = \"0\"\n")?;
        let open = stand.scan()?;
        let below = strict.skipped.iter().filter(|skip| skip.reason == "below-minimum").collect::<Vec<_>>();
        ensure!(below.len() >= 2, "{market}: {:?}", reasons(&strict));
        for skip in &below {
            let net = skip.net_wei.ok_or_else(|| eyre!("no net in {skip:?}"))?;
            ensure!(net < signed(minimum)?, "{skip:#?}");
            let plan = open.opportunities.iter().find(|plan| plan.account == skip.account);
            let plan =
                plan.ok_or_else(|| eyre!("{market}: {} has no plan without a minimum", skip.account))?;
            ensure!(plan.net_wei == net, "{net} when skipped, {} when not", plan.net_wei);
            promise::check(&stand, plan, 1).await?;
        }
        ensure!(
            strict
                .opportunities
                .iter()
                .all(|plan| plan.net_wei >= I256::try_from(minimum).unwrap_or_default())
        );
        eprintln!("{market}  {} below the minimum bring what their refusal says, which is less", below.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_reserve_and_a_grace_period_are_waited_out() -> Result<()> {
    for market in MARKETS {
        let stand = Stand::enlisted(market).await?;
        let fork = &stand.fork;
        enrich(&stand).await?;
        fork.set_price("WETH", 1_700 * DOLLAR).await?;
        fork.move_pools_to_feeds().await?;
        stand.base_fee(10).await?;
        let weth = fork.manifest.wrapped_native;
        let touched = |scan: &Scan| {
            let legs = scan.opportunities.iter().flat_map(|plan| &plan.legs);
            legs.filter(|leg| [leg.debt_asset, leg.collateral_asset].contains(&weth)).count()
        };
        ensure!(touched(&stand.scan()?) > 0);
        let deployer = fork.manifest.deployer;
        let provider = fork.manifest.market(market)?.addresses_provider;
        let configurator: Address =
            fork.chain.read(provider, &AddressesProvider::getPoolConfiguratorCall {}).await?;
        fork.chain.invoke(deployer, configurator, &setReservePauseCall { asset: weth, paused: true }).await?;
        refused(&stand, touched, "reserve-paused").await?;
        if market == "v36" {
            let grace = alloy::primitives::aliases::U40::from(3_600);
            let open = Graceful::setReservePauseCall { asset: weth, paused: false, gracePeriod: grace };
            fork.chain.invoke(deployer, configurator, &open).await?;
            refused(&stand, touched, "grace-period").await?;
            fork.increase_time(3_700).await?;
            ensure!(touched(&stand.scan()?) > 0, "the grace period is over");
        }
    }
    Ok(())
}

/// No plan touches the asset, accounts are skipped for this reason, and the contract refuses them too.
async fn refused(stand: &Stand, touched: impl Fn(&Scan) -> usize, reason: &str) -> Result<()> {
    let scan = stand.scan()?;
    ensure!(touched(&scan) == 0, "{reason}: {scan:#?}");
    let skipped = scan.skipped.iter().filter(|skip| skip.reason == reason).collect::<Vec<_>>();
    ensure!(!skipped.is_empty(), "{reason}: {:?}", reasons(&scan));
    let manifest = &stand.fork.manifest;
    let tokens = manifest.tokens.values().map(|token| token.address).collect::<BTreeSet<_>>();
    for skip in &skipped {
        for debt in &tokens {
            for collateral in &tokens {
                let forced = force(stand, skip.account, (*debt, *collateral), U256::MAX).await?;
                ensure!(forced.is_none(), "{skip:?} is {reason}, but the contract lets it: {forced:?}");
            }
        }
    }
    eprintln!("{}  {} accounts {reason}, {} others", stand.market, skipped.len(), scan.opportunities.len());
    Ok(())
}

fn reasons(scan: &Scan) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for skip in &scan.skipped {
        *reasons.entry(skip.reason.as_str()).or_default() += 1;
    }
    reasons
}
