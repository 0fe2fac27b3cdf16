//! What a Uniswap V3 pool does, computed here from its state, is what the real pool does: to the last unit, in every
//! fee tier, over crossed ticks and beyond the liquidity. Quotes are the venue's own; some swaps are carried out.

use std::time::Duration;

use alloy::{
    primitives::{
        Address, Bytes, U256,
        aliases::{I24, U24, U160},
    },
    sol_types::SolCall,
};
use backstop::{
    abi::multicall::{Call3, Multicall3},
    bed::{
        Fork, Reverted, Rng,
        abi::{Erc20, SwapParams, SwapRouter, UniswapFactory},
        shared, uniswap,
    },
    domain::{
        amm::{Exact, Given, tick, v3},
        route::TIERS,
    },
    io::rpc::Rpc,
};
use eyre::{Result, WrapErr, ensure, eyre};
use serde_json::{Value, json};

use super::{
    promise::{MULTICALL, signed},
    seed,
};

/// Of each of the eight tiers: states, quotes in each, and swaps that are carried out after them.
const ROUNDS: usize = 12;
const QUOTES: usize = 96;
const CARRIED_OUT: usize = 4;
const POSITIONS: u64 = 30;
/// Walks over thousands of empty words cost a node more gas than it usually allows for a call.
const GAS: u64 = 2_000_000_000;

const TOKENS: [[&str; 2]; 3] = [["WBTC", "USDC"], ["WETH", "DAI"], ["USDC", "DAI"]];

alloy::sol! {
    interface Pool {
        function slot0() external view returns (
            uint160 sqrtPriceX96, int24 tick, uint16 observationIndex, uint16 observationCardinality,
            uint16 observationCardinalityNext, uint8 feeProtocol, bool unlocked);
        function liquidity() external view returns (uint128);
        function tickSpacing() external view returns (int24);
        function tickBitmap(int16 word) external view returns (uint256);
        function ticks(int24 tick) external view returns (uint128 gross, int128 net);
    }

    struct Sale { address tokenIn; address tokenOut; uint256 amountIn; uint24 fee; uint160 sqrtPriceLimitX96; }
    struct Purchase { address tokenIn; address tokenOut; uint256 amount; uint24 fee; uint160 sqrtPriceLimitX96; }
    interface Quoter {
        function quoteExactInputSingle(Sale memory params) external returns (
            uint256 amount, uint160 priceAfter, uint32 crossed, uint256 gasEstimate);
        function quoteExactOutputSingle(Purchase memory params) external returns (
            uint256 amount, uint160 priceAfter, uint32 crossed, uint256 gasEstimate);
    }

    struct Wanted {
        address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline;
        uint256 amountOut; uint256 amountInMaximum; uint160 sqrtPriceLimitX96;
    }
    function exactOutputSingle(Wanted calldata params) external payable returns (uint256 amountIn);
}

/// What was compared.
#[derive(Debug, Default)]
struct Tally {
    quotes: usize,
    refused: usize,
    carried_out: usize,
    crossed: u64,
    ran_dry: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_computed_here_are_the_pools_own_to_the_last_unit() -> Result<()> {
    let seed = seed("swaps in V3 pools", 20_260_311);
    let mut rng = Rng::new(seed);
    let fork = shared().await?.fork().await?;
    let rpc = Rpc::new(&fork.http(), Duration::from_secs(60))?;
    let mut sum = Tally::default();
    for (index, tier) in TIERS.into_iter().enumerate() {
        let tally = check(&fork, &rpc, &mut rng, (TOKENS[index % TOKENS.len()], tier)).await;
        let tally = tally.wrap_err_with(|| format!("SEED={seed} tier {tier}"))?;
        eprintln!("tier {tier:>5}: {tally:?}");
        ensure!(tally.crossed >= 200, "SEED={seed} tier {tier}: few ticks were crossed: {tally:?}");
        sum.quotes += tally.quotes;
        sum.carried_out += tally.carried_out;
        sum.refused += tally.refused;
        sum.crossed += tally.crossed;
        sum.ran_dry += tally.ran_dry;
    }
    eprintln!("V3: {sum:?}");
    ensure!(sum.quotes >= 8_000 && sum.carried_out >= 250, "SEED={seed}: {sum:?}");
    ensure!(sum.crossed >= 6_000, "SEED={seed}: few ticks were crossed: {sum:?}");
    ensure!(sum.ran_dry >= 25, "SEED={seed}: hardly a swap went beyond the liquidity: {sum:?}");
    ensure!(sum.refused * 10 < sum.quotes, "SEED={seed}: most swaps are possible: {sum:?}");
    Ok(())
}

/// One pool with many overlapping positions, in many states.
async fn check(fork: &Fork, rpc: &Rpc, rng: &mut Rng, (tokens, tier): ([&str; 2], u32)) -> Result<Tally> {
    let stage = Stage::new(fork, rng, tokens, tier).await?;
    let mut pool = stage.read().await?;
    ensure!(pool.nets.len() as u64 > POSITIONS, "positions have {} ends", pool.nets.len());
    let mut tally = Tally::default();
    for _ in 0..ROUNDS {
        stage.wander(rng).await?;
        stage.refresh(&mut pool).await?;
        let swaps = (0..QUOTES).map(|_| stage.swap(rng)).collect::<Vec<_>>();
        stage.quoted_alike(rpc, &pool, &swaps, &mut tally).await?;
        for _ in 0..CARRIED_OUT {
            let (given, exact) = stage.swap(rng);
            stage.carried_out_alike(&mut pool, given, exact, &mut tally).await?;
        }
    }
    Ok(tally)
}

/// A pool on a fork.
struct Stage<'a> {
    fork: &'a Fork,
    pool: Address,
    fee: u32,
    spacing: i32,
    /// In the pool's order.
    tokens: [Address; 2],
    /// What the pool held when it was full.
    held: [U256; 2],
    /// The tick it began at.
    middle: i32,
}

impl<'a> Stage<'a> {
    async fn new(fork: &'a Fork, rng: &mut Rng, tokens: [&str; 2], fee: u32) -> Result<Self> {
        let manifest = &fork.manifest;
        // Those of other venues: the factory takes them from its owner.
        if let Some((_, spacing)) =
            [(200, 4), (300, 6), (400, 8), (2_500, 50)].iter().find(|tier| tier.0 == fee)
        {
            let enable = UniswapFactory::enableFeeAmountCall {
                fee: U24::from(fee),
                tickSpacing: I24::try_from(*spacing)?,
            };
            fork.chain.invoke(manifest.deployer, manifest.uniswap.factory, &enable).await?;
        }
        let pool = uniswap::open(&fork.chain, manifest, tokens, fee).await?;
        let spacing: i32 = fork.chain.read(pool, &Pool::tickSpacingCall {}).await?.as_i32();
        let middle = fork.chain.read(pool, &Pool::slot0Call {}).await?.tick.as_i32();
        for _ in 0..POSITIONS {
            let widest = *rng.pick(&[3, 20, 300]);
            let width = rng.between(1, widest) as i32;
            let low = middle.div_euclid(spacing) + rng.below(400) as i32 - 200 - width / 2;
            let ticks = (low * spacing, (low + width) * spacing);
            let dollars = *rng.pick(&[3, 500, 40_000, 2_000_000]);
            uniswap::provide(&fork.chain, manifest, (tokens, fee), ticks, dollars).await?;
        }
        let mut tokens = [manifest.token(tokens[0])?.address, manifest.token(tokens[1])?.address];
        tokens.sort_unstable();
        let mut held = [U256::ZERO; 2];
        for (token, held) in tokens.iter().zip(&mut held) {
            *held = fork.chain.read(*token, &Erc20::balanceOfCall { owner: pool }).await?;
        }
        Ok(Self { fork, pool, fee, spacing, tokens, held, middle })
    }

    /// The whole state, from the first word of the bitmap to the last.
    async fn read(&self) -> Result<v3::Pool> {
        let mut pool = v3::Pool { fee: self.fee, spacing: self.spacing, ..v3::Pool::default() };
        let words = (pool.word(tick::MIN)..=pool.word(tick::MAX)).collect::<Vec<_>>();
        let bits = self.ask(words.iter().map(|word| Pool::tickBitmapCall { word: *word })).await?;
        pool.words = words.into_iter().zip(bits).collect();
        let ticks = pool.initialized().collect::<Vec<_>>();
        let calls = ticks.iter().map(|tick| Ok(Pool::ticksCall { tick: I24::try_from(*tick)? }));
        let nets = self.ask(calls.collect::<Result<Vec<_>>>()?.into_iter()).await?;
        pool.nets = ticks.into_iter().zip(nets.into_iter().map(|tick| tick.net)).collect();
        Ok(pool)
    }

    /// What swaps change.
    async fn refresh(&self, pool: &mut v3::Pool) -> Result<()> {
        let now = self.fork.chain.read(self.pool, &Pool::slot0Call {}).await?;
        pool.sqrt_price = now.sqrtPriceX96.to();
        pool.tick = now.tick.as_i32();
        pool.liquidity = self.fork.chain.read(self.pool, &Pool::liquidityCall {}).await?;
        Ok(())
    }

    async fn ask<C: SolCall>(&self, calls: impl Iterator<Item = C>) -> Result<Vec<C::Return>> {
        let calls = calls
            .map(|call| Call3 { target: self.pool, allowFailure: false, callData: call.abi_encode().into() })
            .collect::<Vec<_>>();
        let mut answers = Vec::new();
        for calls in calls.chunks(1_000) {
            let call = Multicall3::aggregate3Call { calls: calls.to_vec() };
            for answer in self.fork.chain.read(MULTICALL, &call).await? {
                answers.push(C::abi_decode_returns(&answer.returnData)?);
            }
        }
        Ok(answers)
    }

    /// A swap of any size: from one unit to some times what the pool held.
    fn swap(&self, rng: &mut Rng) -> (Given, Exact) {
        let (given, sides) = match rng.below(2) {
            0 => (Given::Zero, [self.held[0], self.held[1]]),
            _ => (Given::One, [self.held[1], self.held[0]]),
        };
        let (is_in, held) = if rng.below(2) == 0 { (true, sides[0]) } else { (false, sides[1]) };
        // Every number of bits alike, so that few are beyond the pool: those walk to the end of all prices.
        let bits = rng.between(1, held.bit_len() as u64 + 2);
        let chance = U256::from_limbs([rng.next_u64(), rng.next_u64(), 0, 0]);
        let amount = (chance >> (128 - bits.min(128)) as usize).max(U256::ONE);
        (given, if is_in { Exact::In(amount) } else { Exact::Out(amount) })
    }

    fn ends(&self, given: Given) -> (Address, Address) {
        match given {
            Given::Zero => (self.tokens[0], self.tokens[1]),
            Given::One => (self.tokens[1], self.tokens[0]),
        }
    }

    /// Swaps to a price in the middle of things, now and then right on a tick.
    async fn wander(&self, rng: &mut Rng) -> Result<()> {
        let near = self.middle.div_euclid(self.spacing) + rng.below(300) as i32 - 150;
        let mut target = tick::sqrt_price(near * self.spacing).map_err(|_| eyre!("tick {near}"))?;
        if rng.below(3) > 0 {
            target += U256::from(rng.next_u64() >> 16);
        }
        let present: U256 = self.fork.chain.read(self.pool, &Pool::slot0Call {}).await?.sqrtPriceX96.to();
        if target == present {
            return Ok(());
        }
        let (give, take) = self.ends(if target < present { Given::Zero } else { Given::One });
        let maker = self.fork.manifest.market_maker;
        let amount = self.fork.chain.read(give, &Erc20::balanceOfCall { owner: maker }).await?;
        match self.sell(give, take, amount, U160::from(target)).await {
            // Nothing but an empty range in between: the router does not take that for a swap.
            Err(error) if error.downcast_ref::<Reverted>().is_some() => Ok(()),
            done => done,
        }
    }

    async fn sell(&self, give: Address, take: Address, amount: U256, limit: U160) -> Result<()> {
        let params = SwapParams {
            tokenIn: give,
            tokenOut: take,
            fee: U24::from(self.fee),
            recipient: self.fork.manifest.market_maker,
            deadline: U256::MAX,
            amountIn: amount,
            amountOutMinimum: U256::ZERO,
            sqrtPriceLimitX96: limit,
        };
        let manifest = &self.fork.manifest;
        let call = SwapRouter::exactInputSingleCall { params };
        self.fork.chain.invoke(manifest.market_maker, manifest.uniswap.router, &call).await?;
        Ok(())
    }

    async fn buy(&self, give: Address, take: Address, amount: U256) -> Result<()> {
        let params = Wanted {
            tokenIn: give,
            tokenOut: take,
            fee: U24::from(self.fee),
            recipient: self.fork.manifest.market_maker,
            deadline: U256::MAX,
            amountOut: amount,
            amountInMaximum: U256::MAX,
            sqrtPriceLimitX96: U160::ZERO,
        };
        let manifest = &self.fork.manifest;
        let call = exactOutputSingleCall { params };
        self.fork.chain.invoke(manifest.market_maker, manifest.uniswap.router, &call).await?;
        Ok(())
    }

    /// Our results and the quoter's answers to all of these.
    async fn quoted_alike(
        &self,
        rpc: &Rpc,
        pool: &v3::Pool,
        swaps: &[(Given, Exact)],
        tally: &mut Tally,
    ) -> Result<()> {
        let questions = swaps.iter().map(|(given, exact)| self.question(*given, *exact)).collect::<Vec<_>>();
        let answers = rpc.ask_batch("eth_call", &questions).await?;
        for ((given, exact), answer) in swaps.iter().zip(answers) {
            let ours = pool.swap(*given, *exact);
            let what = || format!("{given:?} {exact:?} at {} {}", pool.sqrt_price, pool.tick);
            tally.quotes += 1;
            match answer {
                Ok(answer) => {
                    let data: Bytes = serde_json::from_value(answer)?;
                    let theirs = Quoter::quoteExactInputSingleCall::abi_decode_returns(&data)?;
                    let ours = ours.wrap_err_with(|| format!("{}: {}", what(), theirs.amount))?;
                    let (amount, is_dry) = match exact {
                        Exact::In(amount) => (ours.amount_out, ours.amount_in != *amount),
                        Exact::Out(_) => (ours.amount_in, false),
                    };
                    // The quoter's own count of ticks takes in the one it begins at, where the tick stays the same.
                    let found = (amount, ours.spot.sqrt_price);
                    let expected = (theirs.amount, theirs.priceAfter.to::<U256>());
                    ensure!(found == expected, "{}: {found:?}, the pool {expected:?}", what());
                    tally.crossed += u64::from(ours.crossed);
                    tally.ran_dry += usize::from(is_dry);
                }
                Err(fault) => {
                    ensure!(fault.revert().is_some(), "{}: {fault}", what());
                    ensure!(ours.is_err(), "{}: {ours:?}, the pool refuses: {fault}", what());
                    tally.refused += 1;
                }
            }
        }
        Ok(())
    }

    fn question(&self, given: Given, exact: Exact) -> Value {
        let (give, take) = self.ends(given);
        let fee = U24::from(self.fee);
        let (token_in, token_out, limit) = (give, take, U160::ZERO);
        let data: Bytes = match exact {
            Exact::In(amount) => {
                let params = Sale {
                    tokenIn: token_in,
                    tokenOut: token_out,
                    amountIn: amount,
                    fee,
                    sqrtPriceLimitX96: limit,
                };
                Quoter::quoteExactInputSingleCall { params }.abi_encode().into()
            }
            Exact::Out(amount) => {
                let params = Purchase {
                    tokenIn: token_in,
                    tokenOut: token_out,
                    amount,
                    fee,
                    sqrtPriceLimitX96: limit,
                };
                Quoter::quoteExactOutputSingleCall { params }.abi_encode().into()
            }
        };
        json!([{ "to": self.fork.manifest.uniswap.quoter, "data": data, "gas": format!("{GAS:#x}") }, "latest"])
    }

    /// Sends the swap, where it is possible and the market maker has the money, and looks at what it did.
    async fn carried_out_alike(
        &self,
        pool: &mut v3::Pool,
        given: Given,
        exact: Exact,
        tally: &mut Tally,
    ) -> Result<()> {
        let (give, take) = self.ends(given);
        let before = self.purse(give, take).await?;
        let Ok(ours) = pool.swap(given, exact) else { return Ok(()) };
        // With a fine spacing the walk to the end of all prices takes more gas than a transaction of the bed has.
        let is_long = self.spacing < 10 && matches!(exact, Exact::In(amount) if amount != ours.amount_in);
        if before[0] < ours.amount_in || is_long {
            return Ok(());
        }
        match exact {
            Exact::In(amount) => self.sell(give, take, amount.min(before[0]), U160::ZERO).await?,
            Exact::Out(amount) => self.buy(give, take, amount).await?,
        }
        let after = self.purse(give, take).await?;
        let moved = [signed(before[0])? - signed(after[0])?, signed(after[1])? - signed(before[1])?];
        let expected = [signed(ours.amount_in)?, signed(ours.amount_out)?];
        ensure!(moved == expected, "{given:?} {exact:?}: moved {moved:?}, expected {expected:?}");
        self.refresh(pool).await?;
        let found = (ours.spot.sqrt_price, ours.spot.liquidity);
        ensure!(found == (pool.sqrt_price, pool.liquidity), "{given:?} {exact:?}: {ours:?} is not {pool:?}");
        tally.carried_out += 1;
        tally.crossed += u64::from(ours.crossed);
        Ok(())
    }

    /// What the market maker has of both.
    async fn purse(&self, give: Address, take: Address) -> Result<[U256; 2]> {
        let owner = self.fork.manifest.market_maker;
        let mut purse = [U256::ZERO; 2];
        for (token, held) in [give, take].iter().zip(&mut purse) {
            *held = self.fork.chain.read(*token, &Erc20::balanceOfCall { owner }).await?;
        }
        Ok(purse)
    }
}
