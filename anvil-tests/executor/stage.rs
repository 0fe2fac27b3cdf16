//! A fork with an executor on it that lists everything the bed has, and the questions every test asks: what a call
//! answers, what a run brought, whether anything was left behind.

use alloy::{
    network::TransactionBuilder,
    primitives::{Address, Bytes, U256, address, utils::parse_ether},
    providers::Provider,
    rpc::types::{TransactionReceipt, TransactionRequest},
    sol_types::{SolCall, SolError, SolEvent},
};
use backstop::{
    bed::{Fork, Reverted, assets::ASSETS, shared},
    domain::executor::{Listing, Role},
};
use eyre::{Result, WrapErr, bail, ensure, eyre};

use super::{Executor, MARKETS};

pub const OWNER: Address = address!("0x0000000000000000000000000000000000c01d01");
pub const OPERATOR: Address = address!("0x0000000000000000000000000000000000407001");
pub const RECEIVER: Address = address!("0x00000000000000000000000000000000005afe01");
pub const STRANGER: Address = address!("0x00000000000000000000000000000000000b0b01");
/// To whom the ownership is offered.
pub const SUCCESSOR: Address = address!("0x0000000000000000000000000000000000c01d02");

/// Enough for any run, well below a block's.
const GAS_LIMIT: u64 = 10_000_000;

alloy::sol! {
    interface Erc20 {
        function allowance(address holder, address spender) external view returns (uint256);
        function balanceOf(address holder) external view returns (uint256);
        function approve(address spender, uint256 amount) external returns (bool);
        function transfer(address to, uint256 amount) external returns (bool);
    }
}

pub struct Stage {
    pub fork: Fork,
    pub executor: Address,
    pub listing: Listing,
}

/// What a call ended with: the answer, or the revert data.
pub type Answer = std::result::Result<Bytes, Bytes>;

/// A run that succeeded and left nothing.
#[derive(Debug)]
pub struct Run {
    pub profit: U256,
    pub gas: u64,
    pub receipt: TransactionReceipt,
}

impl Stage {
    pub async fn new() -> Result<Self> {
        let fork = shared().await?.fork().await?;
        for person in [OWNER, OPERATOR, STRANGER, SUCCESSOR] {
            fork.set_balance(person, parse_ether("100")?).await?;
        }
        let uniswap = &fork.manifest.uniswap;
        let mut entries = vec![
            (uniswap.router, Role::RouterV1),
            (uniswap.router02, Role::RouterV2),
            (uniswap.v2_router, Role::RouterPairs),
            (uniswap.factory, Role::Factory),
        ];
        for market in MARKETS {
            entries.push((fork.manifest.market(market)?.pool, Role::Lender));
        }
        for asset in &ASSETS {
            entries.push((fork.manifest.token(asset.symbol)?.address, Role::Token));
        }
        let listing = Listing(entries);
        let init = listing.init_code(OWNER, OPERATOR, RECEIVER);
        let executor = fork.chain.create(fork.manifest.deployer, init).await?;
        Ok(Self { fork, executor, listing })
    }

    pub fn token(&self, symbol: &str) -> Result<Address> {
        Ok(self.fork.manifest.token(symbol)?.address)
    }

    pub fn lender(&self, market: &str) -> Result<Address> {
        Ok(self.fork.manifest.market(market)?.pool)
    }

    pub async fn balance(&self, token: Address, holder: Address) -> Result<U256> {
        self.fork.chain.read(token, &Erc20::balanceOfCall { holder }).await
    }

    /// What the spender may take from the executor.
    pub async fn allowance(&self, token: Address, spender: Address) -> Result<U256> {
        self.fork.chain.read(token, &Erc20::allowanceCall { holder: self.executor, spender }).await
    }

    /// Gives the executor tokens as anybody could.
    pub async fn donate(&self, symbol: &str, amount: U256) -> Result<()> {
        self.fork.fund(STRANGER, symbol, amount).await?;
        let gift = Erc20::transferCall { to: self.executor, amount };
        self.fork.chain.invoke(STRANGER, self.token(symbol)?, &gift).await?;
        Ok(())
    }

    /// Who builds the next blocks.
    pub async fn set_builder(&self, builder: Address) -> Result<()> {
        let _: serde_json::Value = self
            .fork
            .provider
            .raw_request("anvil_setCoinbase".into(), (builder,))
            .await
            .wrap_err("coinbase")?;
        Ok(())
    }

    // ---- calls ---------------------------------------------------------------------------------------------------

    /// What a call to `to` would answer now.
    pub async fn ask(&self, from: Address, to: Address, data: impl Into<Bytes>) -> Result<Answer> {
        self.answer(TransactionRequest::default().from(from).to(to).input(data.into().into())).await
    }

    /// What a deployment would answer.
    pub async fn deploy_answer(&self, init: Bytes) -> Result<Answer> {
        self.answer(TransactionRequest::default().from(OWNER).with_deploy_code(init)).await
    }

    async fn answer(&self, request: TransactionRequest) -> Result<Answer> {
        match self.fork.provider.call(request.gas_limit(GAS_LIMIT)).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(error) => match error.as_error_resp() {
                Some(refusal) => Ok(Err(refusal.as_revert_data().unwrap_or_default())),
                None => Err(error.into()),
            },
        }
    }

    /// The call must fail with exactly this error.
    pub async fn refuses(
        &self,
        what: &str,
        from: Address,
        call: &impl SolCall,
        error: impl SolError,
    ) -> Result<()> {
        let answer = self.ask(from, self.executor, call.abi_encode()).await?;
        is_refusal(what, &answer, &error.abi_encode())
    }

    /// The plan must fail with exactly this error when the operator sends it.
    pub async fn refuses_plan(&self, what: &str, plan: &Executor::Plan, error: impl SolError) -> Result<()> {
        self.refuses(what, OPERATOR, &Executor::executeCall { plan: plan.clone() }, error).await
    }

    /// Sends a call to the executor.
    pub async fn send(&self, from: Address, call: &impl SolCall) -> Result<TransactionReceipt> {
        self.fork.chain.invoke(from, self.executor, call).await
    }

    pub async fn set_role(&self, target: Address, bits: u8) -> Result<()> {
        let call = Executor::setRolesCall { targets: vec![target], bits: vec![U256::from(bits)] };
        self.send(OWNER, &call).await?;
        Ok(())
    }

    /// Sends a plan that must fail in the block, too, and must move nothing.
    pub async fn fails_in_the_block(&self, plan: &Executor::Plan) -> Result<()> {
        let before = self.money().await?;
        match self.send(OPERATOR, &Executor::executeCall { plan: plan.clone() }).await {
            Ok(receipt) => Err(eyre!("the plan was carried out: {}", receipt.transaction_hash)),
            Err(report) => {
                ensure!(report.downcast_ref::<Reverted>().is_some(), "{report:#}");
                ensure!(self.money().await? == before, "a failed run moved something");
                Ok(())
            }
        }
    }

    // ---- runs ----------------------------------------------------------------------------------------------------

    /// Carries the plan out as the operator, and checks what every run must keep: the answer, the event and what the
    /// receiver got are one number, and nothing is left with the executor.
    pub async fn run(&self, plan: &Executor::Plan) -> Result<Run> {
        let before = self.balance(plan.profitToken, RECEIVER).await?;
        let call = Executor::executeCall { plan: plan.clone() };
        let receipt = self.send(OPERATOR, &call).await.map_err(|report| self.explain(report))?;
        let returned = self.returned(&receipt).await?;
        let executed = events::<Executor::Executed>(&receipt);
        let [event] = &executed[..] else { bail!("{} Executed events", executed.len()) };
        ensure!((event.operator, event.profitToken) == (OPERATOR, plan.profitToken), "{event:?}");
        ensure!(event.profit == returned, "returned {returned}, logged {}", event.profit);
        let received = self.balance(plan.profitToken, RECEIVER).await?.saturating_sub(before);
        ensure!(received == returned, "returned {returned}, received {received}");
        self.is_clean().await?;
        Ok(Run { profit: returned, gas: receipt.gas_used, receipt })
    }

    /// No balance of any listed token or of the native coin, and no allowance to anybody the executor deals with.
    pub async fn is_clean(&self) -> Result<()> {
        for token in self.listing.tokens() {
            let left = self.balance(token, self.executor).await?;
            ensure!(left.is_zero(), "{left} of {token} left");
        }
        self.has_no_allowances().await?;
        ensure!(self.fork.provider.get_balance(self.executor).await?.is_zero(), "native coin left");
        Ok(())
    }

    pub async fn has_no_allowances(&self) -> Result<()> {
        let pools = self.fork.manifest.uniswap.pools.iter().map(|pool| pool.address);
        let listed =
            self.listing.0.iter().filter(|(_, role)| *role != Role::Token).map(|(spender, _)| *spender);
        let spenders: Vec<Address> = listed.chain(pools).collect();
        for token in self.listing.tokens() {
            for spender in &spenders {
                let left = self.allowance(token, *spender).await?;
                ensure!(left.is_zero(), "{spender} may still take {left} of {token}");
            }
        }
        Ok(())
    }

    /// Everything listed that the executor, the receiver and the operator hold.
    pub async fn money(&self) -> Result<Vec<U256>> {
        let mut money = Vec::new();
        for token in self.listing.tokens() {
            for holder in [self.executor, RECEIVER, OPERATOR] {
                money.push(self.balance(token, holder).await?);
            }
        }
        Ok(money)
    }

    /// What `execute` answered within a mined transaction.
    async fn returned(&self, receipt: &TransactionReceipt) -> Result<U256> {
        let tracer = serde_json::json!({ "tracer": "callTracer", "tracerConfig": { "onlyTopCall": true } });
        let parameters = (receipt.transaction_hash, tracer);
        let trace: serde_json::Value =
            self.fork.provider.raw_request("debug_traceTransaction".into(), parameters).await?;
        let output = trace["output"].as_str().ok_or_else(|| eyre!("no output in {trace}"))?;
        Executor::executeCall::abi_decode_returns(&output.parse::<Bytes>()?).wrap_err("the answer of execute")
    }

    /// Puts the error's name where its bytes are.
    fn explain(&self, report: eyre::Report) -> eyre::Report {
        let data =
            report.downcast_ref::<Reverted>().and_then(|reverted| reverted.reason.parse::<Bytes>().ok());
        match data {
            Some(data) => report.wrap_err(words(&data)),
            None => report,
        }
    }
}

/// The events of one kind, in order.
pub fn events<E: SolEvent>(receipt: &TransactionReceipt) -> Vec<E> {
    receipt.logs().iter().filter_map(|log| E::decode_log(&log.inner).ok()).map(|log| log.data).collect()
}

/// The answer must be a refusal with exactly these bytes.
pub fn is_refusal(what: &str, answer: &Answer, expected: &[u8]) -> Result<()> {
    match answer {
        Ok(answer) => Err(eyre!("{what}: allowed, answered {answer}")),
        Err(data) if data == expected => Ok(()),
        Err(data) => Err(eyre!("{what}: refused with {}, not {}", words(data), words(expected))),
    }
}

/// Revert data as a person reads it.
pub fn words(data: &[u8]) -> String {
    format!("{} [{} bytes]", backstop::domain::refusal::refusal(data), data.len())
}
