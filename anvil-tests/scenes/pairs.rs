//! What a Uniswap V2 pair does, computed here from its reserves, is what the real pair does through its own router: to the
//! last unit, from one unit to more than it holds.

use std::time::Duration;

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};
use backstop::{
    bed::{Fork, Rng, abi::Erc20, shared, uniswap_v2},
    domain::amm::{Exact, Given, v2},
    io::rpc::Rpc,
};
use eyre::{Result, WrapErr, ensure};
use serde_json::{Value, json};

use super::{promise::signed, seed};

/// Of each pair: states, swaps asked for in each, and swaps that are carried out after them.
const ROUNDS: usize = 20;
const ASKED: usize = 28;
const CARRIED_OUT: usize = 2;

/// Units on both sides: usual ones, next to nothing, uneven, and as much as a pair can keep.
const PAIRS: [([&str; 2], [u32; 2]); 4] = [
    (["WETH", "USDC"], [72, 43]),
    (["WBTC", "DAI"], [9, 12]),
    (["WETH", "DAI"], [30, 84]),
    (["USDC", "DAI"], [111, 112]),
];

alloy::sol! {
    function swapExactTokensForTokens(
        uint256 amountIn, uint256 amountOutMin, address[] calldata path, address to, uint256 deadline)
        external returns (uint256[] memory amounts);
    function swapTokensForExactTokens(
        uint256 amountOut, uint256 amountInMax, address[] calldata path, address to, uint256 deadline)
        external returns (uint256[] memory amounts);
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast);
}

#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    refused: usize,
    carried_out: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_computed_here_are_the_pairs_own_to_the_last_unit() -> Result<()> {
    let seed = seed("swaps in V2 pairs", 20_260_312);
    let mut rng = Rng::new(seed);
    let fork = shared().await?.fork().await?;
    let rpc = Rpc::new(&fork.http(), Duration::from_secs(60))?;
    let maker = fork.manifest.market_maker;
    let mut sum = Tally::default();
    for (symbols, bits) in PAIRS {
        for symbol in symbols.iter().filter(|symbol| **symbol != "WETH") {
            fork.fund(maker, symbol, U256::ONE << 120).await?;
        }
        let amounts = bits.map(|bits| (U256::ONE << bits) - U256::from(1 + rng.below(1 << 7)));
        let stage = Stage::new(&fork, symbols, amounts).await?;
        let tally = stage.check(&rpc, &mut rng).await.wrap_err_with(|| format!("SEED={seed} {symbols:?}"))?;
        eprintln!("{symbols:?} of {bits:?} bits: {tally:?}");
        ensure!(tally.refused * 3 < tally.asked * 2, "SEED={seed} {symbols:?}: hardly a swap is possible");
        sum.asked += tally.asked;
        sum.refused += tally.refused;
        sum.carried_out += tally.carried_out;
    }
    eprintln!("V2: {sum:?}");
    ensure!(sum.asked >= 2_000 && sum.carried_out >= 60, "SEED={seed}: {sum:?}");
    Ok(())
}

struct Stage<'a> {
    fork: &'a Fork,
    pair: Address,
    /// In the pair's order.
    tokens: [Address; 2],
}

impl<'a> Stage<'a> {
    async fn new(fork: &'a Fork, symbols: [&str; 2], amounts: [U256; 2]) -> Result<Self> {
        let pair = uniswap_v2::fill(&fork.chain, &fork.manifest, symbols, amounts).await?;
        let mut tokens = [fork.manifest.token(symbols[0])?.address, fork.manifest.token(symbols[1])?.address];
        tokens.sort_unstable();
        Ok(Self { fork, pair, tokens })
    }

    async fn check(&self, rpc: &Rpc, rng: &mut Rng) -> Result<Tally> {
        let mut tally = Tally::default();
        for _ in 0..ROUNDS {
            let pair = self.read().await?;
            let swaps = (0..ASKED).map(|_| swap(&pair, rng)).collect::<Vec<_>>();
            self.answered_alike(rpc, &pair, &swaps, &mut tally).await?;
            for _ in 0..CARRIED_OUT {
                let pair = self.read().await?;
                let (given, exact) = swap(&pair, rng);
                self.carried_out_alike(&pair, given, exact, &mut tally).await?;
            }
        }
        Ok(tally)
    }

    async fn read(&self) -> Result<v2::Pair> {
        let now = self.fork.chain.read(self.pair, &getReservesCall {}).await?;
        Ok(v2::Pair { reserve0: now.reserve0.to(), reserve1: now.reserve1.to() })
    }

    fn path(&self, given: Given) -> Vec<Address> {
        match given {
            Given::Zero => self.tokens.to_vec(),
            Given::One => self.tokens.iter().rev().copied().collect(),
        }
    }

    /// The router's own call, from the market maker to himself.
    fn call(&self, given: Given, exact: Exact) -> Bytes {
        let (path, to, deadline) = (self.path(given), self.fork.manifest.market_maker, U256::MAX);
        match exact {
            Exact::In(amount) => {
                let min = U256::ZERO;
                swapExactTokensForTokensCall { amountIn: amount, amountOutMin: min, path, to, deadline }
                    .abi_encode()
            }
            Exact::Out(amount) => {
                let max = U256::MAX;
                swapTokensForExactTokensCall { amountOut: amount, amountInMax: max, path, to, deadline }
                    .abi_encode()
            }
        }
        .into()
    }

    async fn answered_alike(
        &self,
        rpc: &Rpc,
        pair: &v2::Pair,
        swaps: &[(Given, Exact)],
        tally: &mut Tally,
    ) -> Result<()> {
        let (maker, router) = (self.fork.manifest.market_maker, self.fork.manifest.uniswap.v2_router);
        let questions = swaps.iter().map(|(given, exact)| {
            json!([{ "from": maker, "to": router, "data": self.call(*given, *exact) }, "latest"])
        });
        let answers = rpc.ask_batch("eth_call", &questions.collect::<Vec<Value>>()).await?;
        for ((given, exact), answer) in swaps.iter().zip(answers) {
            let ours = pair.swap(*given, *exact);
            let what = || format!("{given:?} {exact:?} of {pair:?}");
            tally.asked += 1;
            match answer {
                Ok(answer) => {
                    let data: Bytes = serde_json::from_value(answer)?;
                    let theirs = swapExactTokensForTokensCall::abi_decode_returns(&data)?;
                    let ours = ours.wrap_err_with(|| format!("{}: {theirs:?}", what()))?;
                    let found = [ours.amount_in, ours.amount_out];
                    ensure!(theirs == found, "{}: {found:?}, the pair {theirs:?}", what());
                }
                Err(fault) => {
                    // Solidity of that age divides by zero with an invalid opcode, which is no revert.
                    let is_refused =
                        fault.revert().is_some() || fault.to_string().contains("InvalidFEOpcode");
                    ensure!(is_refused, "{}: {fault}", what());
                    ensure!(ours.is_err(), "{}: {ours:?}, the pair refuses: {fault}", what());
                    tally.refused += 1;
                }
            }
        }
        Ok(())
    }

    async fn carried_out_alike(
        &self,
        pair: &v2::Pair,
        given: Given,
        exact: Exact,
        tally: &mut Tally,
    ) -> Result<()> {
        let Ok(ours) = pair.swap(given, exact) else { return Ok(()) };
        let path = self.path(given);
        let before = self.purse(&path).await?;
        let manifest = &self.fork.manifest;
        self.fork.send(manifest.market_maker, manifest.uniswap.v2_router, self.call(given, exact)).await?;
        let after = self.purse(&path).await?;
        let moved = [signed(before[0])? - signed(after[0])?, signed(after[1])? - signed(before[1])?];
        let expected = [signed(ours.amount_in)?, signed(ours.amount_out)?];
        ensure!(moved == expected, "{given:?} {exact:?} of {pair:?}: moved {moved:?}, expected {expected:?}");
        tally.carried_out += 1;
        Ok(())
    }

    /// What the market maker has of both.
    async fn purse(&self, path: &[Address]) -> Result<Vec<U256>> {
        let owner = self.fork.manifest.market_maker;
        let mut purse = Vec::new();
        for token in path {
            purse.push(self.fork.chain.read(*token, &Erc20::balanceOfCall { owner }).await?);
        }
        Ok(purse)
    }
}

/// A swap of any size, as likely small as large.
fn swap(pair: &v2::Pair, rng: &mut Rng) -> (Given, Exact) {
    let (given, sides) = match rng.below(2) {
        0 => (Given::Zero, [pair.reserve0, pair.reserve1]),
        _ => (Given::One, [pair.reserve1, pair.reserve0]),
    };
    let (is_in, reserve) = if rng.below(2) == 0 { (true, sides[0]) } else { (false, sides[1]) };
    let bits = rng.between(1, reserve.bit_len() as u64 + 3);
    let chance = U256::from_limbs([rng.next_u64(), rng.next_u64(), 0, 0]);
    let amount = (chance >> (128 - bits.min(128)) as usize).max(U256::ONE);
    (given, if is_in { Exact::In(amount) } else { Exact::Out(amount) })
}
