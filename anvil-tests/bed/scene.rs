//! What a test or a demonstration does to a chain that carries the bed: prices, people's actions, and the contracts'
//! own verdict on a user.

use alloy::{
    eips::BlockId,
    primitives::{Address, Bytes, U256, utils::parse_ether},
    providers::DynProvider,
    rpc::types::TransactionReceipt,
};
use eyre::{Result, WrapErr};

use super::{
    abi::{DataProvider, Erc20, FluxAggregator, Pool},
    assets::{Asset, STABLECOINS},
    chain::Chain,
    feeds,
    manifest::{Manifest, Market},
    uniswap,
};

/// The contract's own answer about a user: base currency with 8 decimals, basis points, and the health factor with 18.
pub type AccountData = Pool::getUserAccountDataReturn;

/// Variable rate: the only one there is since V3.2, and the only one the bed enables in V3.0.
const VARIABLE: U256 = U256::from_limbs([2, 0, 0, 0]);

/// A chain with the bed on it: chain A itself, or a fork of it.
#[derive(Debug, Clone)]
pub struct Scene {
    pub provider: DynProvider,
    pub chain: Chain,
    pub manifest: Manifest,
}

impl Scene {
    /// Reads the manifest of the chain at `url`.
    pub async fn attach(url: &str) -> Result<Self> {
        let chain = Chain::connect(url)?;
        let manifest = Manifest::load(&chain).await?;
        Ok(Self::new(chain, manifest))
    }

    pub(super) fn new(chain: Chain, manifest: Manifest) -> Self {
        Self { provider: chain.provider.clone(), chain, manifest }
    }

    pub fn http(&self) -> String {
        self.chain.http().to_owned()
    }

    pub fn ws(&self) -> String {
        self.chain.ws()
    }

    // ---- the chain -------------------------------------------------------------------------------------------------

    /// Sends as `from`, whoever that is; it must have native money. [`super::chain::Reverted`] when refused.
    pub async fn send(
        &self,
        from: Address,
        to: Address,
        data: impl Into<Bytes>,
    ) -> Result<TransactionReceipt> {
        self.chain.send(from, to, data).await
    }

    pub async fn mine(&self, blocks: u64) -> Result<()> {
        self.chain.mine(blocks).await
    }

    /// Moves the clock and mines a block there.
    pub async fn increase_time(&self, seconds: u64) -> Result<()> {
        self.chain.increase_time(seconds).await
    }

    pub async fn snapshot(&self) -> Result<U256> {
        self.chain.snapshot().await
    }

    pub async fn revert(&self, snapshot: U256) -> Result<()> {
        self.chain.revert(snapshot).await
    }

    pub async fn set_balance(&self, account: Address, wei: U256) -> Result<()> {
        self.chain.set_balance(account, wei).await
    }

    /// Gives `account` tokens out of nothing (and native money for gas).
    pub async fn fund(&self, account: Address, symbol: &str, amount: U256) -> Result<()> {
        let gas = parse_ether("100").wrap_err("100 ether")?;
        self.chain.set_balance(account, gas).await?;
        let token = self.manifest.token(symbol)?.address;
        if token == self.manifest.wrapped_native {
            self.chain.set_balance(account, gas.saturating_add(amount)).await?;
            self.chain.pay(account, token, amount, &Erc20::depositCall {}).await?;
        } else {
            let mint = Erc20::mintCall { to: account, amount };
            self.chain.invoke(self.manifest.deployer, token, &mint).await?;
        }
        Ok(())
    }

    pub async fn approve(&self, owner: Address, symbol: &str, spender: Address) -> Result<()> {
        let token = self.manifest.token(symbol)?.address;
        self.chain.invoke(owner, token, &Erc20::approveCall { spender, amount: U256::MAX }).await?;
        Ok(())
    }

    pub async fn balance(&self, owner: Address, symbol: &str) -> Result<U256> {
        let token = self.manifest.token(symbol)?.address;
        self.chain.read(token, &Erc20::balanceOfCall { owner }).await
    }

    // ---- prices ----------------------------------------------------------------------------------------------------

    /// A new round of the feed; dollars with 8 decimals.
    pub async fn set_price(&self, symbol: &str, price: u64) -> Result<()> {
        let aggregator = self.manifest.token(symbol)?.aggregator;
        feeds::submit(&self.chain, self.manifest.submitter, aggregator, price).await
    }

    /// The feed's present answer; dollars with 8 decimals.
    pub async fn price(&self, symbol: &str) -> Result<u64> {
        let aggregator = self.manifest.token(symbol)?.aggregator;
        let answer = self.chain.read(aggregator, &FluxAggregator::latestAnswerCall {}).await?;
        u64::try_from(answer).wrap_err_with(|| format!("the price of {symbol} is {answer}"))
    }

    /// Swaps until the pool has `a` worth `price_a` and `b` worth `price_b` (dollars with 8 decimals).
    pub async fn move_pool_price(&self, a: (&str, u64), b: (&str, u64), fee: u32) -> Result<()> {
        uniswap::move_price(&self.chain, &self.manifest, a, b, fee).await
    }

    /// Lets every deep pool follow the feeds, as arbitrage would.
    pub async fn move_pools_to_feeds(&self) -> Result<()> {
        for pool in self.manifest.uniswap.pools.iter().filter(|pool| !pool.thin) {
            let [a, b] = &pool.tokens;
            let prices = [self.price(a).await?, self.price(b).await?];
            self.move_pool_price((a, prices[0]), (b, prices[1]), pool.fee).await?;
        }
        Ok(())
    }

    // ---- people ----------------------------------------------------------------------------------------------------

    /// Supplies `amount`, which the user is given for it.
    pub async fn supply(
        &self,
        market: &str,
        user: Address,
        symbol: &str,
        amount: U256,
    ) -> Result<TransactionReceipt> {
        self.fund(user, symbol, amount).await?;
        let (pool, asset) = self.reserve(market, symbol)?;
        self.approve(user, symbol, pool).await?;
        self.chain
            .invoke(user, pool, &Pool::supplyCall { asset, amount, onBehalfOf: user, referral: 0 })
            .await
    }

    pub async fn borrow(
        &self,
        market: &str,
        user: Address,
        symbol: &str,
        amount: U256,
    ) -> Result<TransactionReceipt> {
        let (pool, asset) = self.reserve(market, symbol)?;
        let borrow = Pool::borrowCall { asset, amount, rateMode: VARIABLE, referral: 0, onBehalfOf: user };
        self.chain.invoke(user, pool, &borrow).await
    }

    /// Repays `amount`, which the user is given for it; `U256::MAX` is the whole debt.
    pub async fn repay(
        &self,
        market: &str,
        user: Address,
        symbol: &str,
        amount: U256,
    ) -> Result<TransactionReceipt> {
        let (pool, asset) = self.reserve(market, symbol)?;
        let money = if amount == U256::MAX {
            let debt = self.debt(market, user, symbol).await?;
            // Interest until the repayment is mined: a hundredth is years of seconds.
            debt.saturating_add(debt / U256::from(100)).saturating_add(U256::from(1))
        } else {
            amount
        };
        self.fund(user, symbol, money).await?;
        self.approve(user, symbol, pool).await?;
        self.chain
            .invoke(user, pool, &Pool::repayCall { asset, amount, rateMode: VARIABLE, onBehalfOf: user })
            .await
    }

    /// Somebody borrows all that a reserve can pay out, against a mountain of dollars.
    pub async fn exhaust(&self, market: &str, symbol: &str) -> Result<()> {
        let whale = super::borrowers::account(market, "whale for", symbol.len() as u64);
        self.supply(market, whale, "USDC", self.amount("USDC", 100_000_000_000)?).await?;
        let (_, asset) = self.reserve(market, symbol)?;
        let owner = self.a_token(market, symbol).await?;
        let there = self.chain.read(asset, &Erc20::balanceOfCall { owner }).await?;
        self.borrow(market, whale, symbol, there).await?;
        Ok(())
    }

    /// `U256::MAX` is the whole balance.
    pub async fn withdraw(
        &self,
        market: &str,
        user: Address,
        symbol: &str,
        amount: U256,
    ) -> Result<TransactionReceipt> {
        let (pool, asset) = self.reserve(market, symbol)?;
        self.chain.invoke(user, pool, &Pool::withdrawCall { asset, amount, to: user }).await
    }

    pub async fn transfer_a_token(
        &self,
        market: &str,
        from: Address,
        to: Address,
        symbol: &str,
        amount: U256,
    ) -> Result<TransactionReceipt> {
        let a_token = self.a_token(market, symbol).await?;
        self.chain.invoke(from, a_token, &Erc20::transferCall { to, amount }).await
    }

    pub async fn set_collateral(
        &self,
        market: &str,
        user: Address,
        symbol: &str,
        on: bool,
    ) -> Result<TransactionReceipt> {
        let (pool, asset) = self.reserve(market, symbol)?;
        self.chain.invoke(user, pool, &Pool::setUserUseReserveAsCollateralCall { asset, r#use: on }).await
    }

    /// The stablecoins' efficiency mode on or off.
    pub async fn set_emode(&self, market: &str, user: Address, on: bool) -> Result<TransactionReceipt> {
        let category = if on { STABLECOINS.category } else { 0 };
        let pool = self.manifest.market(market)?.pool;
        self.chain.invoke(user, pool, &Pool::setUserEModeCall { category }).await
    }

    /// A plain liquidation with the liquidator's own money: he is given `amount` of the debt's token (the whole debt
    /// for `U256::MAX`).
    pub async fn liquidate(
        &self,
        market: &str,
        liquidator: Address,
        (collateral, debt): (&str, &str),
        user: Address,
        amount: U256,
    ) -> Result<TransactionReceipt> {
        let (pool, debt_asset) = self.reserve(market, debt)?;
        let (_, collateral_asset) = self.reserve(market, collateral)?;
        let owed = self.debt(market, user, debt).await?;
        self.fund(liquidator, debt, amount.min(owed.saturating_add(owed / U256::from(100)))).await?;
        self.approve(liquidator, debt, pool).await?;
        let call = Pool::liquidationCallCall {
            collateral: collateral_asset,
            debt: debt_asset,
            user,
            debtToCover: amount,
            aToken: false,
        };
        self.chain.invoke(liquidator, pool, &call).await
    }

    // ---- what the contracts say ------------------------------------------------------------------------------------

    /// The pool's `getUserAccountData` at a block.
    pub async fn account_data(&self, market: &str, user: Address, at: BlockId) -> Result<AccountData> {
        let pool = self.manifest.market(market)?.pool;
        self.chain.read_at(pool, &Pool::getUserAccountDataCall { user }, at).await
    }

    /// What the user owes in one asset at the head, interest included.
    pub async fn debt(&self, market: &str, user: Address, symbol: &str) -> Result<U256> {
        Ok(self.user_reserve(market, user, symbol).await?.variableDebt)
    }

    /// What the user has supplied of one asset at the head, interest included.
    pub async fn supplied(&self, market: &str, user: Address, symbol: &str) -> Result<U256> {
        Ok(self.user_reserve(market, user, symbol).await?.aTokenBalance)
    }

    /// A user's side of one reserve at the head, as the market's data provider tells it.
    pub async fn user_reserve(
        &self,
        market: &str,
        user: Address,
        symbol: &str,
    ) -> Result<DataProvider::getUserReserveDataReturn> {
        let Market { data_provider, .. } = *self.manifest.market(market)?;
        let asset = self.manifest.token(symbol)?.address;
        self.chain.read(data_provider, &DataProvider::getUserReserveDataCall { asset, user }).await
    }

    pub async fn a_token(&self, market: &str, symbol: &str) -> Result<Address> {
        let Market { data_provider, .. } = *self.manifest.market(market)?;
        let asset = self.manifest.token(symbol)?.address;
        Ok(self
            .chain
            .read(data_provider, &DataProvider::getReserveTokensAddressesCall { asset })
            .await?
            .aToken)
    }

    /// The market's pool and the asset's token.
    fn reserve(&self, market: &str, symbol: &str) -> Result<(Address, Address)> {
        Ok((self.manifest.market(market)?.pool, self.manifest.token(symbol)?.address))
    }

    /// Whole tokens (in thousandths) in smallest units: `amount("WETH", 1_500)` is one and a half.
    pub fn amount(&self, symbol: &str, thousandths: u64) -> Result<U256> {
        Ok(U256::from(thousandths) * Asset::named(symbol)?.unit() / U256::from(1000))
    }

    // ---- the keeper ------------------------------------------------------------------------------------------------

    /// A configuration for a keeper that watches one market of this chain. V3.0 gets the router with a deadline and V3.6
    /// the one without, so that both forms are used.
    pub fn config_toml(&self, market: &str, datadir: &std::path::Path, mode: &str) -> Result<String> {
        let Market { addresses_provider, start_block, .. } = self.manifest.market(market)?;
        let uniswap = &self.manifest.uniswap;
        let router = if market == "v30" { uniswap.router } else { uniswap.router02 };
        Ok(format!(
            r#"mode = "{mode}"
market = "{market}"
datadir = {datadir:?}

[rpc]
http = "{http}"
ws = "{ws}"

[markets.{market}]
kind = "aave-v3"
chain_id = {chain_id}
addresses_provider = "{addresses_provider}"
start_block = {start_block}

[markets.{market}.route]
uniswap_v3_factory = "{factory}"
uniswap_v3_quoter = "{quoter}"
uniswap_v3_router = "{router}"
wrapped_native = "{wrapped_native}"
uniswap_v2_factory = "{v2_factory}"
uniswap_v2_router = "{v2_router}"
"#,
            http = self.http(),
            ws = self.ws(),
            chain_id = self.manifest.chain_id,
            factory = uniswap.factory,
            quoter = uniswap.quoter,
            v2_factory = uniswap.v2_factory,
            v2_router = uniswap.v2_router,
            wrapped_native = self.manifest.wrapped_native,
        ))
    }
}
