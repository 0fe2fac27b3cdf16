//! What chance does on the real contracts, written down in the form of tests/data and replayed from its logs and prices
//! alone: every balance, index and health factor comes out, and every attempt to liquidate was foretold.

use std::collections::BTreeMap;

use alloy::{
    eips::BlockId,
    primitives::{Address, Bytes, U256, address},
    providers::{Provider, ext::DebugApi},
    rpc::types::{
        Filter,
        trace::geth::{GethDebugTracingOptions, GethTrace},
    },
    sol,
    sol_types::SolCall,
};
use backstop::{
    abi::aave,
    app::recording::{Tally, replay},
    bed::{Fork, Reverted, Rng, assets::ASSETS, shared},
};
use eyre::{Result, WrapErr, ensure, eyre};
use serde_json::{Value, json};

use super::{explain::one, seed};

const LIQUIDATOR: Address = address!("0x11c0000000000000000000000000000000000011");
const STEPS: u64 = 120;
/// Accounts that are looked at after each step.
const LOOKED_AT: usize = 4;

sol! {
    interface Indices {
        function getReserveNormalizedIncome(address asset) external view returns (uint256);
        function getReserveNormalizedVariableDebt(address asset) external view returns (uint256);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_is_replayed_from_its_logs_in_v30() -> Result<()> {
    check("v30", "3.0").await
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_is_replayed_from_its_logs_in_v36() -> Result<()> {
    check("v36", "3.6").await
}

async fn check(market: &'static str, release: &str) -> Result<()> {
    let seed = seed(&format!("a recording of {market}"), 20_261_129);
    let mut rng = Rng::new(seed);
    let fork = shared().await?.fork().await?;
    let text = record(&fork, market, &mut rng).await.wrap_err_with(|| format!("SEED={seed} {market}"))?;
    let tally = replay(&text, release)?;
    let Tally { checks, liquidations, predicted, .. } = tally;
    eprintln!("{market}: {checks} checks, {predicted} of {liquidations} liquidations foretold");
    ensure!(tally.mismatches.is_empty() && tally.missed.is_empty(), "SEED={seed} {market}: {tally:#?}");
    ensure!(checks > 2_000 && liquidations > 20, "{checks} {liquidations}: too tame");
    Ok(())
}

async fn record(fork: &Fork, market: &'static str, rng: &mut Rng) -> Result<String> {
    for asset in &ASSETS {
        fork.fund(LIQUIDATOR, asset.symbol, asset.whole(1_000_000)).await?;
        fork.approve(LIQUIDATOR, asset.symbol, fork.manifest.market(market)?.pool).await?;
    }
    let mut recording = Recording::new(fork, market)?;
    recording.catch_up().await?;
    let people = fork.manifest.market(market)?.borrowers.clone();
    let mut done = 0;
    for step in 0..STEPS {
        match rng.below(6) {
            0 => fork.increase_time(rng.between(60, 3 * 86_400)).await?,
            1 => {
                let asset = rng.pick(&ASSETS);
                fork.set_price(
                    asset.symbol,
                    asset.price / 1_000 * rng.between(400, 1_150) + rng.below(1_000),
                )
                .await?;
            }
            2 | 3 => done += u64::from(recording.attempt(rng).await?),
            _ => drop(fork.random_action(rng, market).await?),
        }
        recording.catch_up().await?;
        for _ in 0..LOOKED_AT {
            recording.look_at(*rng.pick(&people)).await?;
        }
        if step % 20 == 19 {
            recording.look_at_reserves().await?;
        }
    }
    for account in people.iter().chain([&LIQUIDATOR]) {
        recording.look_at(*account).await?;
        recording.look_at_balances(*account).await?;
    }
    recording.look_at_reserves().await?;
    ensure!(done > STEPS / 10, "only {done} liquidations were carried out: too tame");
    Ok(recording.lines.iter().map(|line| format!("{line}\n")).collect())
}

/// A recording as it grows.
struct Recording<'a> {
    fork: &'a Fork,
    market: &'static str,
    pool: Address,
    lines: Vec<Value>,
    /// The first block whose logs are not written down yet.
    next: u64,
    prices: BTreeMap<Address, U256>,
}

impl<'a> Recording<'a> {
    fn new(fork: &'a Fork, market: &'static str) -> Result<Self> {
        let pool = fork.manifest.market(market)?.pool;
        let meta = json!({ "k": "meta", "pool": pool, "liq": LIQUIDATOR });
        Ok(Self { fork, market, pool, lines: vec![meta], next: 0, prices: BTreeMap::new() })
    }

    /// Writes down the prices and the logs of all blocks since.
    async fn catch_up(&mut self) -> Result<()> {
        let head = self.fork.chain.block_number().await?;
        for number in self.next..=head {
            let at = BlockId::number(number);
            let block = self.fork.provider.get_block(at).await?.ok_or_else(|| eyre!("no block {number}"))?;
            let filter = Filter::new().from_block(number).to_block(number);
            for log in self.fork.provider.get_logs(&filter).await? {
                let mut line = json!({
                    "k": "log", "ts": block.header.timestamp.to_string(), "addr": log.address(), "data": log.data().data,
                });
                for (topic, key) in log.topics().iter().zip(["t0", "t1", "t2", "t3"]) {
                    line[key] = json!(topic);
                }
                self.lines.push(line);
            }
        }
        self.next = head + 1;
        let oracle = self.fork.manifest.market(self.market)?.oracle;
        for asset in self.fork.manifest.tokens.values().map(|token| token.address) {
            let price = self.fork.chain.read(oracle, &aave::Oracle::getAssetPriceCall { asset }).await?;
            if self.prices.insert(asset, price) != Some(price) {
                self.lines.push(json!({ "k": "price", "asset": asset, "p": price.to_string() }));
            }
        }
        Ok(())
    }

    /// The head's number and second.
    async fn head(&self) -> Result<(BlockId, u64)> {
        let block = self.fork.provider.get_block(BlockId::latest()).await?;
        let header = block.ok_or_else(|| eyre!("no head"))?.header;
        Ok((BlockId::number(header.number), header.timestamp))
    }

    /// Whose liquidation is tried, what is repaid and what is seized: mostly of somebody who may be liquidated.
    async fn aim(&self, rng: &mut Rng) -> Result<(Address, &'static str, &'static str)> {
        let people = &self.fork.manifest.market(self.market)?.borrowers;
        let anything = (*rng.pick(people), rng.pick(&ASSETS).symbol, rng.pick(&ASSETS).symbol);
        let mut weak = Vec::new();
        for user in people {
            let said = self.fork.account_data(self.market, *user, BlockId::latest()).await?;
            weak.extend((said.healthFactor < one()).then_some(*user));
        }
        if weak.is_empty() || rng.below(8) == 0 {
            return Ok(anything);
        }
        let user = *rng.pick(&weak);
        let (mut debts, mut collaterals) = (Vec::new(), Vec::new());
        for asset in &ASSETS {
            let held = self.fork.user_reserve(self.market, user, asset.symbol).await?;
            debts.extend((!held.variableDebt.is_zero()).then_some(asset.symbol));
            collaterals.extend(held.usedAsCollateral.then_some(asset.symbol));
        }
        let is_whole = !debts.is_empty() && !collaterals.is_empty();
        Ok(if is_whole { (user, *rng.pick(&debts), *rng.pick(&collaterals)) } else { anything })
    }

    /// Tries a liquidation, of which `pre` and `liq` tell. Says whether it was carried out.
    async fn attempt(&mut self, rng: &mut Rng) -> Result<bool> {
        let (user, debt, collateral) = self.aim(rng).await?;
        let owed = self.fork.debt(self.market, user, debt).await?;
        let cover = match rng.below(3) {
            0 => U256::MAX,
            1 => owed / U256::from(2),
            _ => owed * U256::from(rng.below(1_000)) / U256::from(1_000),
        };
        let call = aave::Pool::liquidationCallCall {
            collateralAsset: self.fork.manifest.token(collateral)?.address,
            debtAsset: self.fork.manifest.token(debt)?.address,
            user,
            debtToCover: cover,
            receiveAToken: rng.below(4) == 0,
        };
        self.catch_up().await?;
        let place = self.lines.len();
        let refusal = match self.fork.send(LIQUIDATOR, self.pool, call.abi_encode()).await {
            Ok(_) => None,
            Err(report) if report.downcast_ref::<Reverted>().is_some() => Some(self.last_output().await?),
            Err(report) => return Err(report),
        };
        self.catch_up().await?;
        let (_, now) = self.head().await?;
        let label = format!("{debt} for {collateral}");
        self.lines.insert(
            place,
            json!({
                "k": "pre", "label": label, "c": call.collateralAsset, "d": call.debtAsset, "user": user,
                "amt": cover.to_string(), "rec": u8::from(call.receiveAToken).to_string(), "ts": now.to_string(),
            }),
        );
        let is_done = refusal.is_none();
        let ended = match refusal {
            None => json!({ "k": "liq", "label": label, "ok": "1" }),
            Some(output) => json!({ "k": "liq", "label": label, "ok": "0", "err": output }),
        };
        self.lines.insert(place + 1, ended);
        Ok(is_done)
    }

    /// What the last transaction was refused with.
    async fn last_output(&self) -> Result<Bytes> {
        let block = self.fork.provider.get_block(BlockId::latest()).await?.ok_or_else(|| eyre!("no head"))?;
        let hash = block.transactions.hashes().last().ok_or_else(|| eyre!("the head is empty"))?;
        let tracer = GethDebugTracingOptions::call_tracer(Default::default());
        match self.fork.provider.debug_trace_transaction(hash, tracer).await? {
            GethTrace::CallTracer(frame) => frame.output.ok_or_else(|| eyre!("it was refused without data")),
            other => Err(eyre!("another trace: {other:?}")),
        }
    }

    async fn look_at(&mut self, user: Address) -> Result<()> {
        let (at, now) = self.head().await?;
        let chain = &self.fork.chain;
        let said = chain.read_at(self.pool, &aave::Pool::getUserAccountDataCall { user }, at).await?;
        let bitmap = chain.read_at(self.pool, &aave::Pool::getUserConfigurationCall { user }, at).await?;
        let category = chain.read_at(self.pool, &aave::Pool::getUserEModeCall { user }, at).await?;
        self.lines.push(json!({
            "k": "user", "ts": now.to_string(), "user": user, "coll": said.totalCollateralBase.to_string(),
            "debt": said.totalDebtBase.to_string(), "hf": said.healthFactor.to_string(),
            "cfg": bitmap.to_string(), "emode": category.to_string(),
        }));
        Ok(())
    }

    /// The account's side of each reserve; a `user` line of the same head comes before.
    async fn look_at_balances(&mut self, user: Address) -> Result<()> {
        let (at, _) = self.head().await?;
        for asset in self.fork.manifest.tokens.values().map(|token| token.address) {
            let tokens = self.reserve(asset, at).await?;
            let scaled = aave::Token::scaledBalanceOfCall { user };
            let supply = self.fork.chain.read_at(tokens.aTokenAddress, &scaled, at).await?;
            let debt = self.fork.chain.read_at(tokens.variableDebtTokenAddress, &scaled, at).await?;
            self.lines.push(json!({
                "k": "bal", "user": user, "asset": asset, "sa": supply.to_string(), "sd": debt.to_string(),
            }));
        }
        Ok(())
    }

    async fn look_at_reserves(&mut self) -> Result<()> {
        let (at, now) = self.head().await?;
        for asset in self.fork.manifest.tokens.values().map(|token| token.address) {
            let stored = self.reserve(asset, at).await?;
            let chain = &self.fork.chain;
            let income = Indices::getReserveNormalizedIncomeCall { asset };
            let income = chain.read_at(self.pool, &income, at).await?;
            let debt = Indices::getReserveNormalizedVariableDebtCall { asset };
            let debt = chain.read_at(self.pool, &debt, at).await?;
            self.lines.push(json!({
                "k": "res", "ts": now.to_string(), "asset": asset, "ni": income.to_string(), "nd": debt.to_string(),
                "li": stored.liquidityIndex.to_string(), "vi": stored.variableBorrowIndex.to_string(),
                "lr": stored.currentLiquidityRate.to_string(), "vr": stored.currentVariableBorrowRate.to_string(),
                "lu": stored.lastUpdateTimestamp.to_string(), "id": stored.id.to_string(),
                "cfg": stored.configuration.to_string(),
            }));
        }
        Ok(())
    }

    async fn reserve(&self, asset: Address, at: BlockId) -> Result<aave::ReserveData> {
        self.fork.chain.read_at(self.pool, &aave::Pool::getReserveDataCall { asset }, at).await
    }
}
