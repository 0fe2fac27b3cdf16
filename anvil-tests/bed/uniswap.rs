//! Uniswap V3 from its canonical bytecode: factory, both routers, quoter, position manager, and pools at the feeds'
//! prices.

use alloy::{
    primitives::{
        Address, U256, U512,
        aliases::{I24, U24, U160},
    },
    sol_types::SolValue,
};
use eyre::{Result, WrapErr, ensure, eyre};

use super::{
    abi::{MintParams, PositionManager, SwapParams, SwapRouter, UniswapFactory, UniswapPool},
    artifacts::{Deployer, Libraries, UNISWAP_CORE, UNISWAP_PERIPHERY, UNISWAP_ROUTERS},
    assets::{Asset, DOLLAR},
    chain::Chain,
    manifest::{Manifest, Pool, Uniswap},
    uniswap_v2,
};

/// One pool to make. Liquidity over the full range, so that it never runs out however far a scene moves the price.
struct Plan {
    tokens: [&'static str; 2],
    fee: u32,
    /// Whole dollars on each side.
    dollars: u64,
    thin: bool,
}

const fn deep(a: &'static str, b: &'static str, fee: u32, dollars: u64) -> Plan {
    Plan { tokens: [a, b], fee, dollars, thin: false }
}

const POOLS: [Plan; 7] = [
    deep("WETH", "USDC", 500, 1_000_000_000),
    deep("WETH", "USDC", 3000, 300_000_000),
    deep("WBTC", "WETH", 3000, 500_000_000),
    deep("USDC", "DAI", 100, 1_000_000_000),
    deep("WETH", "DAI", 3000, 300_000_000),
    deep("WBTC", "USDC", 3000, 300_000_000),
    Plan { tokens: ["WBTC", "DAI"], fee: 3000, dollars: 2_000, thin: true },
];

/// Whole tokens, each: what the market maker gets to fill the pools and to move them later.
pub const MARKET_MAKER_STABLES: u64 = 1_000_000_000_000;
pub const MARKET_MAKER_VOLATILE: u64 = 100_000_000;

/// The 0.01 % tier, which the factory does not have at first, and its tick spacing.
const FINEST_TIER: (u32, i32) = (100, 1);

/// The last tick of Uniswap V3.
const LAST_TICK: i32 = 887_272;

/// Deploys the contracts, without pools.
pub async fn deploy(deployer: &Deployer, wrapped_native: Address) -> Result<Uniswap> {
    let none = Libraries::new();
    let core = (UNISWAP_CORE, "UniswapV3Factory");
    let factory = deployer.packaged(core, &none, vec![]).await?;
    let (fee, tick_spacing) = FINEST_TIER;
    let tier = UniswapFactory::enableFeeAmountCall {
        fee: U24::from(fee),
        tickSpacing: I24::try_from(tick_spacing).wrap_err("tick spacing")?,
    };
    deployer.invoke(factory, &tier).await?;
    let pair = (factory, wrapped_native);
    // The third argument draws pictures of positions; nobody looks at them here.
    let positions = (factory, wrapped_native, Address::ZERO).abi_encode_params();
    let position_manager =
        deployer.packaged((UNISWAP_PERIPHERY, "NonfungiblePositionManager"), &none, positions).await?;
    let router =
        deployer.packaged((UNISWAP_PERIPHERY, "SwapRouter"), &none, pair.abi_encode_params()).await?;
    let quoter =
        deployer.packaged((UNISWAP_PERIPHERY, "lens/QuoterV2"), &none, pair.abi_encode_params()).await?;
    let (v2_factory, v2_router) = uniswap_v2::deploy(deployer, wrapped_native).await?;
    let both = (v2_factory, factory, position_manager, wrapped_native).abi_encode_params();
    let router02 = deployer.packaged((UNISWAP_ROUTERS, "SwapRouter02"), &none, both).await?;
    let pools = vec![];
    Ok(Uniswap { factory, quoter, router, router02, position_manager, pools, v2_factory, v2_router })
}

/// Makes the pools at the assets' own prices with the market maker's tokens, which must be approved already.
pub async fn create_pools(chain: &Chain, manifest: &Manifest) -> Result<Vec<Pool>> {
    let mut pools = Vec::new();
    for plan in &POOLS {
        let address = create_pool(chain, manifest, plan)
            .await
            .wrap_err_with(|| format!("the pool {}/{} {}", plan.tokens[0], plan.tokens[1], plan.fee))?;
        pools.push(Pool { tokens: plan.tokens.map(str::to_owned), fee: plan.fee, address, thin: plan.thin });
    }
    Ok(pools)
}

async fn create_pool(chain: &Chain, manifest: &Manifest, plan: &Plan) -> Result<Address> {
    let pool = open(chain, manifest, plan.tokens, plan.fee).await?;
    let spacing = spacing_of(plan.fee);
    let edge = LAST_TICK / spacing * spacing;
    provide(chain, manifest, (plan.tokens, plan.fee), (-edge, edge), plan.dollars).await?;
    Ok(pool)
}

/// Makes a pool at the assets' own prices, without liquidity, unless it is there.
pub async fn open(chain: &Chain, manifest: &Manifest, tokens: [&str; 2], fee: u32) -> Result<Address> {
    let [a, b] = [Asset::named(tokens[0])?, Asset::named(tokens[1])?];
    let ([first, second], [token0, token1]) = sorted(manifest, a, b)?;
    let fee = U24::from(fee);
    let create = PositionManager::createAndInitializePoolIfNecessaryCall {
        token0,
        token1,
        fee,
        sqrtPriceX96: sqrt_price((first, first.price), (second, second.price))?,
    };
    chain.invoke(manifest.market_maker, manifest.uniswap.position_manager, &create).await?;
    let get = UniswapFactory::getPoolCall { a: token0, b: token1, fee };
    chain.read(manifest.uniswap.factory, &get).await
}

/// The market maker's liquidity between two ticks: at most so many whole dollars on each side.
pub async fn provide(
    chain: &Chain,
    manifest: &Manifest,
    (tokens, fee): ([&str; 2], u32),
    (low, high): (i32, i32),
    dollars: u64,
) -> Result<()> {
    let [a, b] = [Asset::named(tokens[0])?, Asset::named(tokens[1])?];
    let ([first, second], [token0, token1]) = sorted(manifest, a, b)?;
    let dollars = u128::from(dollars) * u128::from(DOLLAR);
    let mint = PositionManager::mintCall {
        params: MintParams {
            token0,
            token1,
            fee: U24::from(fee),
            tickLower: I24::try_from(low).wrap_err("tick")?,
            tickUpper: I24::try_from(high).wrap_err("tick")?,
            amount0Desired: first.worth(dollars, first.price),
            amount1Desired: second.worth(dollars, second.price),
            amount0Min: U256::ZERO,
            amount1Min: U256::ZERO,
            recipient: manifest.market_maker,
            deadline: U256::MAX,
        },
    };
    chain.invoke(manifest.market_maker, manifest.uniswap.position_manager, &mint).await?;
    Ok(())
}

/// Swaps in a pool until `a` is worth `price_a` and `b` is worth `price_b` there (dollars, 8 decimals).
pub async fn move_price(
    chain: &Chain,
    manifest: &Manifest,
    (a, price_a): (&str, u64),
    (b, price_b): (&str, u64),
    fee: u32,
) -> Result<()> {
    let pool = find(manifest, a, b, fee)?.address;
    let (asset_a, asset_b) = (Asset::named(a)?, Asset::named(b)?);
    let ([first, _], [token0, token1]) = sorted(manifest, asset_a, asset_b)?;
    let ends = [(asset_a, price_a), (asset_b, price_b)];
    let [one, two] = if first.symbol == a { ends } else { [ends[1], ends[0]] };
    let target = sqrt_price(one, two)?;
    let present = chain.read(pool, &UniswapPool::slot0Call {}).await?.sqrtPriceX96;
    if present == target {
        return Ok(());
    }
    // Giving token0 lowers the price of token0.
    let (give, take) = if target < present { (token0, token1) } else { (token1, token0) };
    let maker = manifest.market_maker;
    let balance = chain.read(give, &super::abi::Erc20::balanceOfCall { owner: maker }).await?;
    let swap = SwapRouter::exactInputSingleCall {
        params: SwapParams {
            tokenIn: give,
            tokenOut: take,
            fee: U24::from(fee),
            recipient: maker,
            deadline: U256::MAX,
            // The limit ends the swap; the router takes only what was used.
            amountIn: balance,
            amountOutMinimum: U256::ZERO,
            sqrtPriceLimitX96: target,
        },
    };
    chain
        .invoke(maker, manifest.uniswap.router, &swap)
        .await
        .wrap_err_with(|| format!("moving {a}/{b} {fee}"))?;
    let reached = chain.read(pool, &UniswapPool::slot0Call {}).await?.sqrtPriceX96;
    ensure!(
        reached == target,
        "the market maker ran out of money moving {a}/{b} {fee}: the target is too far away"
    );
    Ok(())
}

/// The pool of two symbols, in either order, and a fee.
pub fn find<'a>(manifest: &'a Manifest, a: &str, b: &str, fee: u32) -> Result<&'a Pool> {
    let wanted = |pool: &&Pool| {
        let [x, y] = &pool.tokens;
        pool.fee == fee && ((x == a && y == b) || (x == b && y == a))
    };
    manifest
        .uniswap
        .pools
        .iter()
        .find(wanted)
        .ok_or_else(|| eyre!("the test bed has no pool {a}/{b} with fee {fee}"))
}

/// Uniswap's order of two tokens: by address.
pub(super) fn sorted(
    manifest: &Manifest,
    a: &'static Asset,
    b: &'static Asset,
) -> Result<([&'static Asset; 2], [Address; 2])> {
    let (token_a, token_b) = (manifest.token(a.symbol)?.address, manifest.token(b.symbol)?.address);
    Ok(if token_a < token_b { ([a, b], [token_a, token_b]) } else { ([b, a], [token_b, token_a]) })
}

/// The square root of token1 per token0 in smallest units, times 2^96, rounded down.
fn sqrt_price((zero, price0): (&Asset, u64), (one, price1): (&Asset, u64)) -> Result<U160> {
    ensure!(price0 != 0 && price1 != 0, "a pool cannot have a price of zero");
    let above = U512::from(price0) * U512::from(one.unit());
    let below = U512::from(price1) * U512::from(zero.unit());
    let root = ((above << 192_usize) / below).root(2);
    ensure!(root.bit_len() <= 160, "the price {price0}/{price1} is outside Uniswap's range");
    Ok(U160::from(root))
}

fn spacing_of(fee: u32) -> i32 {
    match fee {
        100 => FINEST_TIER.1,
        500 => 10,
        3000 => 60,
        _ => 200,
    }
}
