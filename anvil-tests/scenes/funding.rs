//! Where the loan comes from: the cheapest lender, and a pool where the market itself does not lend.

use std::collections::BTreeSet;

use alloy::{
    primitives::{Address, U256},
    sol_types::SolCall,
};
use backstop::{
    abi::executor::Executor,
    bed::{assets::DOLLAR, uniswap},
};
use eyre::{Result, ensure};

use super::{
    MARKETS, promise,
    stand::{Opportunity, Stand},
};

alloy::sol! {
    interface Token { function balanceOf(address owner) external view returns (uint256); }
}

/// The numbers of the contract's two ways to borrow.
const FROM_LENDER: u8 = 0;
const FROM_POOL: u8 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn the_cheapest_lender_funds_a_plan() -> Result<()> {
    // Of dollars there is a pool that lends for a hundredth of a percent, less than either market.
    for market in MARKETS {
        check(market).await?;
    }
    Ok(())
}

/// Every plan for a debt in dollars borrows from a pool that none of its swaps needs, any other from the market, and those
/// in DAI keep their promise: where the market lends none, too.
async fn check(market: &'static str) -> Result<()> {
    let stand = Stand::enlisted(market).await?;
    stand.fork.set_price("WETH", 1_600 * DOLLAR).await?;
    stand.fork.set_price("WBTC", 33_000 * DOLLAR).await?;
    stand.fork.move_pools_to_feeds().await?;
    stand.base_fee(10).await?;
    let [dai, usdc] =
        ["DAI", "USDC"].map(|symbol| stand.fork.manifest.token(symbol).map(|token| token.address));
    let (dai, usdc) = (dai?, usdc?);
    let mut lenders = BTreeSet::new();
    let mut plans = 0;
    for plan in stand.scan()?.opportunities {
        let calls = match Executor::executeCall::abi_decode(&plan.call.data) {
            Ok(call) => vec![call.plan],
            Err(_) => Executor::executeManyCall::abi_decode(&plan.call.data)?.plans,
        };
        let mut has_dai = false;
        for call in &calls {
            let debt = call.legs.first().map(|leg| leg.debt).unwrap_or_default();
            let wanted = if [dai, usdc].contains(&debt) { FROM_POOL } else { FROM_LENDER };
            // What the pool cannot lend, the market does, if it does.
            let is_large = wanted == FROM_POOL
                && call.funding == FROM_LENDER
                && !can_lend(&stand, debt, call.amount).await?;
            ensure!(call.funding == wanted || is_large, "{market}: {plan:#?} is funded by {}", call.funding);
            has_dai |= debt == dai;
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

/// Whether the pool of the two dollars holds so much of one.
async fn can_lend(stand: &Stand, debt: Address, amount: U256) -> Result<bool> {
    let pool = uniswap::find(&stand.fork.manifest, "DAI", "USDC", 100)?.address;
    let held = stand.fork.chain.read(debt, &Token::balanceOfCall { owner: pool }).await?;
    Ok(held >= amount)
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
