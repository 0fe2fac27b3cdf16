//! Where the loan comes from when the market itself does not lend.

use std::collections::BTreeSet;

use alloy::{primitives::Address, sol_types::SolCall};
use backstop::{abi::executor::Executor, bed::assets::DOLLAR};
use eyre::{Result, ensure};

use super::{
    promise,
    stand::{Opportunity, Stand},
};

/// The numbers of the contract's two ways to borrow.
const FROM_LENDER: u8 = 0;
const FROM_POOL: u8 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn a_reserve_whose_flash_loans_are_off_is_funded_by_a_pool() -> Result<()> {
    // In V3.0 the same debt is lent by the market.
    check("v30", FROM_LENDER).await?;
    check("v36", FROM_POOL).await
}

/// Every plan for a debt in DAI borrows in this way, from a pool that none of its swaps needs, and keeps its promise.
async fn check(market: &'static str, expected: u8) -> Result<()> {
    let stand = Stand::enlisted(market).await?;
    stand.fork.set_price("WETH", 1_600 * DOLLAR).await?;
    stand.fork.set_price("WBTC", 33_000 * DOLLAR).await?;
    stand.fork.move_pools_to_feeds().await?;
    stand.base_fee(10).await?;
    let dai = stand.fork.manifest.token("DAI")?.address;
    let mut lenders = BTreeSet::new();
    let mut plans = 0;
    for plan in stand.scan()?.opportunities {
        let calls = match Executor::executeCall::abi_decode(&plan.call.data) {
            Ok(call) => vec![call.plan],
            Err(_) => Executor::executeManyCall::abi_decode(&plan.call.data)?.plans,
        };
        let mut has_dai = false;
        for call in &calls {
            let in_dai = call.legs.iter().all(|leg| leg.debt == dai);
            let wanted = if in_dai { expected } else { FROM_LENDER };
            ensure!(call.funding == wanted, "{market}: {plan:#?} is funded by {}", call.funding);
            has_dai |= in_dai;
            if call.funding == FROM_POOL {
                lenders.insert(lender(&plan, call)?);
            }
        }
        if has_dai {
            promise::check(&stand, &plan, 1).await?;
            plans += 1;
        }
    }
    ensure!(plans >= 3, "{market}: {plans} plans for a debt in DAI");
    let named =
        lenders.iter().map(|(token, fee)| Ok((stand.symbol(*token)?, *fee))).collect::<Result<Vec<_>>>()?;
    eprintln!("{market}: {plans} debts in DAI liquidated, lent by pools with {named:?}");
    Ok(())
}

/// The lending pool's other token and fee.
fn lender(plan: &Opportunity, call: &Executor::Plan) -> Result<(Address, u32)> {
    let fee = call.pairFee.to::<u32>();
    let debt = call.legs.first().map(|leg| leg.debt).unwrap_or_default();
    for swap in call.legs.iter().flat_map(|leg| &leg.swaps) {
        let ends = [swap.tokenIn, swap.tokenOut];
        let same = ends.contains(&debt) && ends.contains(&call.pairToken) && swap.fee.to::<u32>() == fee;
        ensure!(!same, "the pool that lends is locked and cannot swap: {plan:#?}");
    }
    Ok((call.pairToken, fee))
}
