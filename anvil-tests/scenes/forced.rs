//! The other side of a decision: what any liquidation would have moved by the contract itself, and what that is worth
//! by real quotes. Shares no arithmetic with the keeper.

use alloy::{
    network::TransactionBuilder,
    primitives::{
        Address, B256, Bytes, I256, U256, address,
        aliases::{U24, U160},
    },
    providers::Provider,
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolEvent},
};
use backstop::{
    abi::aave::Pool,
    bed::{Fork, assets::ASSETS},
};
use eyre::{Result, ensure, eyre};
use serde_json::{Value, json};

use super::{promise::signed, stand::Stand};

/// Has all the money in the world, so that nothing must be borrowed.
pub const RICH: Address = address!("0x0000000000000000000000000000000000c01d11");

alloy::sol! {
    struct Sale { address tokenIn; address tokenOut; uint256 amountIn; uint24 fee; uint160 sqrtPriceLimitX96; }
    struct Purchase { address tokenIn; address tokenOut; uint256 amount; uint24 fee; uint160 sqrtPriceLimitX96; }
    function quoteExactInputSingle(Sale memory params) external returns (
        uint256 amountOut, uint160 priceAfter, uint32 crossed, uint256 gasEstimate);
    function quoteExactOutputSingle(Purchase memory params) external returns (
        uint256 amountIn, uint160 priceAfter, uint32 crossed, uint256 gasEstimate);

    struct Position { uint256 tokenId; uint128 liquidity; uint256 amount0Min; uint256 amount1Min; uint256 deadline; }
    struct Collection { uint256 tokenId; address recipient; uint128 amount0Max; uint128 amount1Max; }
    function decreaseLiquidity(Position calldata params) external payable returns (uint256 amount0, uint256 amount1);
    function collect(Collection calldata params) external payable returns (uint256 amount0, uint256 amount1);
    function positions(uint256 tokenId) external view returns (
        uint96 nonce, address operator, address token0, address token1, uint24 fee, int24 tickLower, int24 tickUpper,
        uint128 liquidity, uint256 growth0, uint256 growth1, uint128 owed0, uint128 owed1);
}

/// What the contract moved.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub repaid: U256,
    /// What the liquidator got.
    pub seized: U256,
    pub gas: u64,
}

/// Gives [`RICH`] plenty of every token, and the market leave to take it.
pub async fn enrich(stand: &Stand) -> Result<()> {
    let pool = stand.fork.manifest.market(stand.market)?.pool;
    for asset in &ASSETS {
        stand.fork.fund(RICH, asset.symbol, asset.whole(1_000_000)).await?;
        stand.fork.approve(RICH, asset.symbol, pool).await?;
    }
    Ok(())
}

/// What `liquidationCall` would move in the block after the head, a second on; `None` where the contract refuses.
pub async fn force(
    stand: &Stand,
    user: Address,
    (debt, collateral): (Address, Address),
    repay: U256,
) -> Result<Option<Moved>> {
    let pool = stand.fork.manifest.market(stand.market)?.pool;
    let head = stand.head().await?;
    let call = Pool::liquidationCallCall {
        collateralAsset: collateral,
        debtAsset: debt,
        user,
        debtToCover: repay,
        receiveAToken: false,
    };
    let request = TransactionRequest::default()
        .with_from(RICH)
        .with_to(pool)
        .with_input(call.abi_encode())
        .with_gas_limit(5_000_000);
    let block = json!({
        "blockOverrides": { "time": format!("{:#x}", head.timestamp + 1) },
        "calls": [request],
    });
    let answer: Value = stand
        .fork
        .provider
        .raw_request("eth_simulateV1".into(), json!([{ "blockStateCalls": [block] }, "latest"]))
        .await?;
    let done = &answer[0]["calls"][0];
    if done["status"] != "0x1" {
        return Ok(None);
    }
    let gas = done["gasUsed"].as_str().ok_or_else(|| eyre!("no gas in {done}"))?;
    for log in done["logs"].as_array().into_iter().flatten() {
        let topics: Vec<B256> = serde_json::from_value(log["topics"].clone())?;
        if topics.first() == Some(&Pool::LiquidationCall::SIGNATURE_HASH) {
            let data: Bytes = serde_json::from_value(log["data"].clone())?;
            let event = Pool::LiquidationCall::decode_raw_log(topics, &data)?;
            let gas = u64::from_str_radix(gas.trim_start_matches("0x"), 16)?;
            return Ok(Some(Moved {
                repaid: event.debtToCover,
                seized: event.liquidatedCollateralAmount,
                gas,
            }));
        }
    }
    Err(eyre!("the pool reports no liquidation in {done}"))
}

/// Wrapped native coin left after turning `seized` collateral into `missing` debt, the best way there is, and how many
/// swaps that takes. `None` where no pool serves.
pub async fn proceeds(
    fork: &Fork,
    (debt, collateral): (Address, Address),
    missing: U256,
    seized: U256,
) -> Result<Option<(I256, u64)>> {
    let native = fork.manifest.wrapped_native;
    if debt == collateral {
        let sale = sell(fork, collateral, native, seized.saturating_sub(missing)).await?;
        return sale.map(|got| Ok((signed(got)?, 1))).transpose();
    }
    if debt == native {
        let Some(got) = sell(fork, collateral, native, seized).await? else { return Ok(None) };
        return Ok(Some((signed(got)? - signed(missing)?, 1)));
    }
    if collateral == native {
        let Some(given) = buy(fork, native, debt, missing).await? else { return Ok(None) };
        return Ok(Some((signed(seized)? - signed(given)?, 1)));
    }
    let mut ways = Vec::new();
    if let (Some(got), Some(given)) =
        (sell(fork, collateral, native, seized).await?, buy(fork, native, debt, missing).await?)
    {
        ways.push((signed(got)? - signed(given)?, 2));
    }
    if let Some(given) = buy(fork, collateral, debt, missing).await?
        && let Some(rest) = seized.checked_sub(given)
        && let Some(got) = sell(fork, collateral, native, rest).await?
    {
        ways.push((signed(got)?, 2));
    }
    Ok(ways.into_iter().max())
}

/// The fees of every pool between two tokens.
fn pools(fork: &Fork, a: Address, b: Address) -> Vec<u32> {
    let address = |symbol: &String| fork.manifest.tokens.get(symbol).map(|token| token.address);
    let joins = |tokens: &[String; 2]| {
        let ends = tokens.each_ref().map(address);
        ends == [Some(a), Some(b)] || ends == [Some(b), Some(a)]
    };
    fork.manifest.uniswap.pools.iter().filter(|pool| joins(&pool.tokens)).map(|pool| pool.fee).collect()
}

/// The most that any one pool gives for `amount`.
async fn sell(fork: &Fork, sold: Address, bought: Address, amount: U256) -> Result<Option<U256>> {
    let mut best = None;
    for fee in pools(fork, sold, bought) {
        let params = Sale {
            tokenIn: sold,
            tokenOut: bought,
            amountIn: amount,
            fee: U24::from(fee),
            sqrtPriceLimitX96: U160::ZERO,
        };
        let quote =
            fork.chain.read(fork.manifest.uniswap.quoter, &quoteExactInputSingleCall { params }).await;
        best = best.max(quote.ok().map(|quote| quote.amountOut));
    }
    Ok(best)
}

/// The least that any one pool wants for `amount`.
async fn buy(fork: &Fork, sold: Address, bought: Address, amount: U256) -> Result<Option<U256>> {
    let mut best: Option<U256> = None;
    for fee in pools(fork, sold, bought) {
        let params = Purchase {
            tokenIn: sold,
            tokenOut: bought,
            amount,
            fee: U24::from(fee),
            sqrtPriceLimitX96: U160::ZERO,
        };
        let quote =
            fork.chain.read(fork.manifest.uniswap.quoter, &quoteExactOutputSingleCall { params }).await;
        if let Ok(quote) = quote {
            best = Some(best.map_or(quote.amountIn, |known| known.min(quote.amountIn)));
        }
    }
    Ok(best)
}

/// Takes liquidity out of a pool of the bed until `kept` millionths are left.
pub async fn drain(fork: &Fork, (a, b): (&str, &str), fee: u32, kept: u64) -> Result<()> {
    let wanted = [[a, b], [b, a]];
    let place = fork.manifest.uniswap.pools.iter().position(|pool| {
        let tokens = pool.tokens.each_ref().map(String::as_str);
        pool.fee == fee && wanted.contains(&tokens)
    });
    // The market maker made the pools in this order, with one position each.
    let id = U256::from(place.ok_or_else(|| eyre!("no pool {a}/{b} {fee}"))? + 1);
    let manager = fork.manifest.uniswap.position_manager;
    let maker = fork.manifest.market_maker;
    let position = fork.chain.read(manager, &positionsCall { tokenId: id }).await?;
    ensure!(position.fee.to::<u32>() == fee, "position {id} is of another pool");
    let liquidity = position.liquidity - position.liquidity / 1_000_000 * u128::from(kept);
    let params = Position {
        tokenId: id,
        liquidity,
        amount0Min: U256::ZERO,
        amount1Min: U256::ZERO,
        deadline: U256::MAX,
    };
    fork.chain.invoke(maker, manager, &decreaseLiquidityCall { params }).await?;
    let params = Collection { tokenId: id, recipient: maker, amount0Max: u128::MAX, amount1Max: u128::MAX };
    fork.chain.invoke(maker, manager, &collectCall { params }).await?;
    Ok(())
}
