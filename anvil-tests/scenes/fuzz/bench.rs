//! The real pool and our market side by side: what each says of an account at a price and a time, and of a liquidation.

use alloy::{
    primitives::{Address, B256, Bytes, U256, bytes},
    providers::Provider,
    rpc::client::BatchRequest,
    sol_types::SolCall,
};
use backstop::{
    abi::aave::Pool,
    bed::{Rng, abi::Pool as Asked, assets::ASSETS},
    domain::{
        chain::Log,
        explain::{Crossing, Direction, Explain},
        prices::{Moment, Prices},
        protocol::{Attempt, Execution, Opportunity, Protocol, Revert},
        protocols::aave_v3::{Deed, Market, revert},
        units::{Amount, Price},
    },
};
use eyre::{Result, WrapErr, ensure, eyre};
use serde_json::{Value, json};

use super::{Stand, Tally};

/// Answers every call with the word in its first slot: a feed that says what it is told.
const PUPPET: Bytes = bytes!("5f545f5260205ff3");

/// An account at a time and at prices.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub account: Address,
    pub at: u64,
    pub prices: Prices,
}

/// The pool and our market side by side, at one block.
pub(super) struct Bench<'a> {
    stand: &'a Stand,
    market: &'a Market,
    block: String,
    now: u64,
    pool: Address,
    /// Asset and the feed that the oracle reads for it.
    feeds: Vec<(Address, Address)>,
    liquidator: Address,
}

impl<'a> Bench<'a> {
    pub(super) async fn new(stand: &'a Stand, market: &'a Market, block: u64, now: u64) -> Result<Self> {
        let manifest = &stand.fork.manifest;
        let liquidator = Address::repeat_byte(0x11);
        let tokens = ASSETS.iter().map(|asset| manifest.token(asset.symbol)).collect::<Result<Vec<_>>>()?;
        let feeds = tokens.iter().map(|token| (token.address, token.feed)).collect();
        let pool = manifest.market(stand.market)?.pool;
        Ok(Self { stand, market, block: format!("{block:#x}"), now, pool, feeds, liquidator })
    }

    /// A time up to a week ahead and prices near today's; more often than not one of them is where the account's
    /// health factor turns, times a few thousandths from `aim`.
    pub(super) fn moment(
        &self,
        account: Address,
        rng: &mut Rng,
        aim: std::ops::Range<u64>,
    ) -> Result<(u64, Prices)> {
        let scale = 10_u64.pow(rng.below(5) as u32);
        let at = self.now + 1 + rng.below(60 * scale);
        let mut prices = Prices::default();
        for (asset, _) in &self.feeds {
            let price = self.market.prices().get(*asset).ok_or_else(|| eyre!("no price of {asset}"))?;
            prices
                .set(*asset, Some(Price(price.0 * U256::from(rng.between(800, 1_201)) / U256::from(1_000))));
        }
        if rng.below(8) > 0 {
            let when = Moment { timestamp: at, prices: &prices };
            let lines = self.market.liquidation_prices(account, &when)?;
            let turning = lines.iter().filter_map(|line| match line.first {
                // Whether a fall of this price is what hurts.
                Crossing::At(price) => {
                    Some((line.asset, price, (line.direction == Direction::Down) != line.is_liquidatable))
                }
                _ => None,
            });
            let turning = turning.collect::<Vec<_>>();
            if !turning.is_empty() {
                let (asset, price, falls) = *rng.pick(&turning);
                let share = rng.between(aim.start, aim.end);
                let share = if falls { share } else { 2_000 - share };
                let near = price.0 * U256::from(share) / U256::from(1_000);
                let exact = near + U256::from(rng.below(3));
                prices.set(asset, Some(Price(exact.max(U256::ONE))));
            }
        }
        Ok((at, prices))
    }

    /// The feeds say these prices, and the liquidator has money.
    fn overrides(&self, prices: &Prices) -> Value {
        let mut all = serde_json::Map::new();
        for (asset, feed) in &self.feeds {
            let price = prices.get(*asset).map_or(U256::ZERO, |price| price.0);
            let state = json!({ B256::ZERO.to_string(): B256::from(price) });
            all.insert(feed.to_string(), json!({ "code": PUPPET, "state": state }));
        }
        Value::Object(all)
    }

    pub(super) async fn compare_healths(&self, cases: &[Case], tally: &mut Tally) -> Result<()> {
        let client = self.stand.fork.provider.client();
        let mut batch = BatchRequest::new(client);
        let mut waiting = Vec::new();
        for case in cases {
            let data = Bytes::from(Asked::getUserAccountDataCall { user: case.account }.abi_encode());
            let call = json!({ "to": self.pool, "data": data, "gas": "0x1c9c380" });
            let time = json!({ "time": format!("{:#x}", case.at) });
            let parameters = (call, &self.block, self.overrides(&case.prices), time);
            waiting.push(batch.add_call::<_, Bytes>("eth_call", &parameters)?);
        }
        batch.send().await?;
        for (case, answer) in cases.iter().zip(waiting) {
            let theirs = Asked::getUserAccountDataCall::abi_decode_returns(&answer.await?)?;
            let when = Moment { timestamp: case.at, prices: &case.prices };
            let ours = self.market.health(case.account, &when)?;
            ensure!(
                (ours.collateral.0, ours.debt.0, ours.factor.0)
                    == (theirs.totalCollateralBase, theirs.totalDebtBase, theirs.healthFactor),
                "{case:?}: {ours:?}, but {theirs:?}"
            );
            tally.healths += 1;
            let thousandths = ours.factor.0 / U256::from(10_u64.pow(15));
            tally.close += u64::from((U256::from(995)..U256::from(1_005)).contains(&thousandths));
        }
        Ok(())
    }

    /// A pair of the account (now and then one that is none), and an amount at or around where the rules bend.
    pub(super) fn attempt(&self, case: &Case, rng: &mut Rng) -> Result<Attempt> {
        let held = self.market.accounts.get(&case.account).ok_or_else(|| eyre!("not indexed"))?;
        let any = rng.below(20) == 0;
        let of = |wanted: &dyn Fn(u16) -> bool| {
            let found = self.market.reserves.values().filter(|reserve| any || wanted(reserve.id));
            found.map(|reserve| reserve.asset).collect::<Vec<_>>()
        };
        let debt_asset = *rng.pick(&of(&|id| held.borrows(id)));
        let collateral_asset = *rng.pick(&of(&|id| held.collateralizes(id)));
        let when = Moment { timestamp: case.at, prices: &case.prices };
        let offered = self.market.opportunities(case.account, &[], &when)?.unwrap_or_default();
        let same =
            |pair: &&Opportunity| (pair.debt_asset, pair.collateral_asset) == (debt_asset, collateral_asset);
        let cover = match offered.iter().find(same) {
            Some(pair) => {
                let edges =
                    pair.kinks.iter().copied().chain([pair.most, Amount(U256::from(1))]).collect::<Vec<_>>();
                let edge = rng.pick(&edges).0;
                match rng.below(6) {
                    0 => U256::MAX,
                    1 => edge,
                    2 => edge.saturating_sub(U256::from(1 + rng.below(3))),
                    3 => edge.saturating_add(U256::from(1 + rng.below(3))),
                    4 => U256::from(rng.below(20)),
                    _ => pair.most.0 * U256::from(rng.below(1_000)) / U256::from(1_000),
                }
            }
            None => U256::MAX,
        };
        let liquidator = if rng.below(40) == 0 { case.account } else { self.liquidator };
        Ok(Attempt {
            account: case.account,
            debt_asset,
            collateral_asset,
            cover,
            takes_shares: rng.below(4) == 0,
            liquidator,
        })
    }

    pub(super) async fn compare_liquidations(
        &self,
        cases: &[(Case, Attempt)],
        tally: &mut Tally,
    ) -> Result<()> {
        let client = self.stand.fork.provider.client();
        let mut batch = BatchRequest::new(client);
        let mut waiting = Vec::new();
        for (case, attempt) in cases {
            let parameters = json!([self.simulation(case, attempt)?, self.block]);
            waiting.push(batch.add_call::<_, Value>("eth_simulateV1", &parameters)?);
        }
        batch.send().await?;
        for ((case, attempt), answer) in cases.iter().zip(waiting) {
            let said = answer.await.wrap_err_with(|| format!("{attempt:?}"))?;
            let when = Moment { timestamp: case.at, prices: &case.prices };
            let ours = self.market.execution(attempt, &when)?;
            self.is_foretold(attempt, &ours, &said)
                .wrap_err_with(|| format!("{case:?}: {attempt:?}: {ours:?}"))?;
            match ours {
                Ok(execution) => {
                    tally.carried_out += 1;
                    tally.written_off += u64::from(execution.written_off().next().is_some());
                }
                Err(revert) => *tally.refused.entry(revert.word().to_owned()).or_default() += 1,
            }
        }
        Ok(())
    }

    /// The liquidator is given tokens and approves; then the liquidation, and how the account stands after it.
    fn simulation(&self, case: &Case, attempt: &Attempt) -> Result<Value> {
        alloy::sol! {
            function mint(address to, uint256 amount) external;
            function transfer(address to, uint256 amount) external;
            function approve(address spender, uint256 amount) external;
        }
        let manifest = &self.stand.fork.manifest;
        let (to, amount) = (attempt.liquidator, U256::from(1) << 100);
        let (giver, gift) = if attempt.debt_asset == manifest.wrapped_native {
            let amount = U256::from(10).pow(U256::from(23));
            (manifest.market_maker, transferCall { to, amount }.abi_encode())
        } else {
            (manifest.deployer, mintCall { to, amount }.abi_encode())
        };
        let approve = approveCall { spender: self.pool, amount: U256::MAX }.abi_encode();
        let call = Pool::liquidationCallCall {
            collateralAsset: attempt.collateral_asset,
            debtAsset: attempt.debt_asset,
            user: attempt.account,
            debtToCover: attempt.cover,
            receiveAToken: attempt.takes_shares,
        };
        let after = Asked::getUserAccountDataCall { user: attempt.account }.abi_encode();
        let order = |from: Address, to: Address, data: Vec<u8>| json!({ "from": from, "to": to, "data": Bytes::from(data), "gas": "0x4c4b40" });
        Ok(json!({ "blockStateCalls": [{
            "blockOverrides": { "time": format!("{:#x}", case.at) },
            "stateOverrides": self.overrides(&case.prices),
            "calls": [
                order(giver, attempt.debt_asset, gift),
                order(attempt.liquidator, attempt.debt_asset, approve),
                order(attempt.liquidator, self.pool, call.abi_encode()),
                order(attempt.liquidator, self.pool, after),
            ],
        }] }))
    }

    fn is_foretold(&self, attempt: &Attempt, ours: &Result<Execution, Revert>, said: &Value) -> Result<()> {
        let calls = &said[0]["calls"];
        for step in 0..2 {
            ensure!(calls[step]["status"] == "0x1", "the liquidator has no money: {calls:#}");
        }
        let ended = &calls[2];
        let (Ok(execution), true) = (ours, ended["status"] == "0x1") else {
            let data = ended["error"]["data"].as_str().or(ended["returnData"].as_str());
            let data = data.ok_or_else(|| eyre!("no reason in {ended:#}"))?.parse::<Bytes>()?;
            ensure!(
                ended["status"] != "0x1" && *ours == revert(&data).map_or(Err(Revert::Nothing), Err),
                "{ended:#}"
            );
            ensure!(revert(&data).is_some(), "a refusal in words that nobody knows: {data}");
            return Ok(());
        };
        let logs = ended["logs"].as_array().ok_or_else(|| eyre!("no logs in {ended:#}"))?;
        let logs = logs.iter().map(|log| {
            let log: alloy::rpc::types::Log = serde_json::from_value(log.clone())?;
            Ok(Log { address: log.address(), data: log.inner.data })
        });
        let theirs = self.market.deed(attempt, &logs.collect::<Result<Vec<_>>>()?);
        ensure!(theirs.as_ref() == Some(&Deed::of(execution)), "it did {theirs:?}");
        let data = calls[3]["returnData"].as_str().ok_or_else(|| eyre!("{calls:#}"))?.parse::<Bytes>()?;
        let after = Asked::getUserAccountDataCall::abi_decode_returns(&data)?;
        let health = execution.health;
        ensure!(
            (health.collateral.0, health.debt.0, health.factor.0)
                == (after.totalCollateralBase, after.totalDebtBase, after.healthFactor),
            "afterwards {after:?}"
        );
        Ok(())
    }
}
