//! One chain as the bed uses it: transactions from any account in one round trip, reads, and anvil's own commands.
//! Knows no contract.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy::{
    eips::BlockId,
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U64, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::{TransactionReceipt, TransactionRequest},
    sol_types::SolCall,
    transports::{RpcError, TransportErrorKind},
};
use eyre::{Result, WrapErr, bail, eyre};
use serde::{Serialize, de::DeserializeOwned};

/// Half of anvil's block. With a limit given, anvil does not estimate, which would run every transaction several times.
const GAS_LIMIT: u64 = 15_000_000;

/// Thirty of them fit into anvil's block; the largest, a borrowing with three collaterals, uses half.
const BATCHED_GAS_LIMIT: u64 = 1_000_000;

/// A local node answers in milliseconds; alloy's default for a receipt is a poll of 250 ms.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A transaction that the contracts refused, with what they said. Found in a report by `downcast_ref`.
#[derive(Debug, Clone)]
pub struct Reverted {
    pub reason: String,
}

impl fmt::Display for Reverted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reverted: {}", self.reason)
    }
}

impl std::error::Error for Reverted {}

/// A connection to one anvil over HTTP. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chain {
    pub provider: DynProvider,
    http: String,
}

impl Chain {
    pub fn connect(http: &str) -> Result<Self> {
        install_crypto();
        let url = http.parse().wrap_err_with(|| format!("{http} is not the address of a node"))?;
        let provider = ProviderBuilder::new().connect_http(url).erased();
        provider.client().set_poll_interval(POLL_INTERVAL);
        Ok(Self { provider, http: http.to_owned() })
    }

    pub fn http(&self) -> &str {
        &self.http
    }

    /// anvil serves both on one port.
    pub fn ws(&self) -> String {
        self.http.replacen("http", "ws", 1)
    }

    /// Sends as `from` (impersonated), mines and waits.
    ///
    /// # Errors
    /// [`Reverted`] when the transaction failed; it is in the chain all the same.
    pub async fn send(
        &self,
        from: Address,
        to: Address,
        data: impl Into<Bytes>,
    ) -> Result<TransactionReceipt> {
        self.transact(TransactionRequest::default().from(from).to(to).input(data.into().into())).await
    }

    /// [`Self::send`] of a typed call.
    pub async fn invoke(
        &self,
        from: Address,
        to: Address,
        call: &impl SolCall,
    ) -> Result<TransactionReceipt> {
        self.send(from, to, call.abi_encode())
            .await
            .wrap_err_with(|| format!("{} at {to}", signature_of(call)))
    }

    /// [`Self::invoke`] with native money.
    pub async fn pay(
        &self,
        from: Address,
        to: Address,
        value: U256,
        call: &impl SolCall,
    ) -> Result<TransactionReceipt> {
        let request =
            TransactionRequest::default().from(from).to(to).value(value).input(call.abi_encode().into());
        self.transact(request).await.wrap_err_with(|| format!("{} at {to}", signature_of(call)))
    }

    /// Deploys init code and gives the address.
    pub async fn create(&self, from: Address, init: Bytes) -> Result<Address> {
        let receipt = self.transact(TransactionRequest::default().from(from).with_deploy_code(init)).await?;
        receipt.contract_address.ok_or_else(|| eyre!("the receipt of a deployment names no contract"))
    }

    /// Any transaction whose `from` is set.
    pub async fn transact(&self, mut request: TransactionRequest) -> Result<TransactionReceipt> {
        request.gas.get_or_insert(GAS_LIMIT);
        let receipt: TransactionReceipt =
            match self.provider.raw_request("eth_sendTransactionSync".into(), (request,)).await {
                Ok(receipt) => receipt,
                Err(error) => return Err(refusal(error)),
            };
        if receipt.status() {
            return Ok(receipt);
        }
        Err(self.why(receipt.transaction_hash).await)
    }

    /// Why a mined transaction failed, as [`Reverted`].
    async fn why(&self, transaction: B256) -> eyre::Report {
        let tracer = serde_json::json!({ "tracer": "callTracer" });
        let trace: Result<serde_json::Value> =
            self.ask("debug_traceTransaction", (transaction, tracer)).await;
        let trace = match trace {
            Ok(trace) => trace,
            Err(report) => return report.wrap_err(format!("asking why {transaction} failed")),
        };
        let part =
            |name: &str| trace.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        // Words where the contract gave some, otherwise the selector of its error.
        let words = [part("revertReason"), part("output"), part("error")];
        let reason =
            words.into_iter().find(|word| !word.is_empty()).unwrap_or_else(|| "no reason given".into());
        Reverted { reason }.into()
    }

    /// A read at the head.
    pub async fn read<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return> {
        self.read_at(to, call, BlockId::latest()).await
    }

    /// A read at a block.
    pub async fn read_at<C: SolCall>(&self, to: Address, call: &C, at: BlockId) -> Result<C::Return> {
        let request = TransactionRequest::default().to(to).input(call.abi_encode().into());
        let answer = match self.provider.call(request).block(at).await {
            Ok(answer) => answer,
            Err(error) => return Err(refusal(error).wrap_err(format!("{} at {to}", C::SIGNATURE))),
        };
        C::abi_decode_returns(&answer)
            .wrap_err_with(|| format!("the answer of {} at {to}: {answer}", C::SIGNATURE))
    }

    pub async fn block_number(&self) -> Result<u64> {
        self.provider.get_block_number().await.wrap_err("the head's number")
    }

    /// The timestamp of the head.
    pub async fn now(&self) -> Result<u64> {
        let block = self.provider.get_block(BlockId::latest()).await.wrap_err("the head")?;
        block.map(|block| block.header.timestamp).ok_or_else(|| eyre!("the node has no head"))
    }

    /// Mines `blocks` blocks.
    pub async fn mine(&self, blocks: u64) -> Result<()> {
        self.command("anvil_mine", (U64::from(blocks),)).await
    }

    /// Moves the clock on by `seconds` and mines a block there.
    pub async fn increase_time(&self, seconds: u64) -> Result<()> {
        self.skip(seconds).await?;
        self.mine(1).await
    }

    /// Moves the clock on without a block.
    pub async fn skip(&self, seconds: u64) -> Result<()> {
        self.command("evm_increaseTime", (U64::from(seconds),)).await
    }

    /// Mines a block at the time of the wall clock, which must not lie before the head, and lets time go on from there.
    pub async fn return_to_present(&self) -> Result<()> {
        self.command("evm_setNextBlockTimestamp", (U64::from(wall_clock()),)).await?;
        self.mine(1).await
    }

    pub async fn set_balance(&self, account: Address, wei: U256) -> Result<()> {
        self.command("anvil_setBalance", (account, wei)).await
    }

    pub async fn set_code(&self, account: Address, code: Bytes) -> Result<()> {
        self.command("anvil_setCode", (account, code)).await
    }

    pub async fn set_storage(&self, account: Address, slot: U256, value: B256) -> Result<()> {
        let _: bool = self.ask("anvil_setStorageAt", (account, slot, value)).await?;
        Ok(())
    }

    pub async fn set_next_base_fee(&self, wei: U256) -> Result<()> {
        self.command("anvil_setNextBlockBaseFeePerGas", (wei,)).await
    }

    /// Mines each transaction at once (the default), or waits for [`Self::mine`].
    pub async fn set_automine(&self, on: bool) -> Result<()> {
        self.command("evm_setAutomine", (on,)).await
    }

    /// A state to come back to, once.
    pub async fn snapshot(&self) -> Result<U256> {
        self.ask("evm_snapshot", ()).await
    }

    /// # Errors
    /// When the snapshot is unknown or was used already.
    pub async fn revert(&self, snapshot: U256) -> Result<()> {
        let done: bool = self.ask("evm_revert", (snapshot,)).await?;
        if done { Ok(()) } else { Err(eyre!("no snapshot {snapshot} to go back to: each serves once")) }
    }

    async fn command(&self, method: &'static str, parameters: impl Parameters) -> Result<()> {
        let _: serde_json::Value = self.ask(method, parameters).await?;
        Ok(())
    }

    async fn ask<A: Answer>(&self, method: &'static str, parameters: impl Parameters) -> Result<A> {
        self.provider.raw_request(method.into(), parameters).await.wrap_err(method)
    }
}

/// Transactions that wait in the pool, to be mined together in one block, in this order. Building the bed a block a
/// transaction would pass the 500 blocks whose states anvil keeps in memory: from there on each block is a file.
#[derive(Debug)]
pub struct Batch<'a> {
    chain: &'a Chain,
    sent: Vec<(B256, &'static str)>,
}

impl<'a> Batch<'a> {
    /// The chain must not mine by itself.
    pub fn new(chain: &'a Chain) -> Self {
        Self { chain, sent: vec![] }
    }

    pub async fn add<C: SolCall>(&mut self, from: Address, to: Address, call: &C) -> Result<()> {
        let request = TransactionRequest::default()
            .from(from)
            .to(to)
            .input(call.abi_encode().into())
            .gas_limit(BATCHED_GAS_LIMIT);
        let hash = self.chain.ask("eth_sendTransaction", (request,)).await.wrap_err(C::SIGNATURE)?;
        self.sent.push((hash, C::SIGNATURE));
        Ok(())
    }

    /// # Errors
    /// [`Reverted`] for the first transaction that failed.
    pub async fn mine(self) -> Result<()> {
        self.chain.mine(1).await?;
        let receipts: Vec<TransactionReceipt> = self.chain.ask("eth_getBlockReceipts", ("latest",)).await?;
        for (hash, signature) in self.sent {
            match receipts.iter().find(|receipt| receipt.transaction_hash == hash) {
                Some(receipt) if receipt.status() => {}
                Some(_) => return Err(self.chain.why(hash).await.wrap_err(signature)),
                None => bail!(
                    "{signature} did not fit into the block: fewer transactions a batch, or less gas each"
                ),
            }
        }
        Ok(())
    }
}

/// What goes out in a request and what comes back, as alloy wants them.
trait Parameters: Serialize + Clone + fmt::Debug + Send + Sync + Unpin {}
impl<T: Serialize + Clone + fmt::Debug + Send + Sync + Unpin> Parameters for T {}
trait Answer: DeserializeOwned + fmt::Debug + Send + Sync + Unpin + 'static {}
impl<T: DeserializeOwned + fmt::Debug + Send + Sync + Unpin + 'static> Answer for T {}

/// Seconds since 1970.
pub fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// reqwest is built without a cryptography provider of its own; without one installed its first use panics.
pub fn install_crypto() {
    // An error means that somebody was faster, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn signature_of<C: SolCall>(_: &C) -> &'static str {
    C::SIGNATURE
}

/// What the node answered is a refusal by the contracts; anything else is a broken connection.
fn refusal(error: RpcError<TransportErrorKind>) -> eyre::Report {
    match error.as_error_resp() {
        Some(answer) => {
            let data = answer.as_revert_data().filter(|data| !data.is_empty());
            let data = data.map(|data| format!(" ({data})")).unwrap_or_default();
            Reverted { reason: format!("{}{data}", answer.message) }.into()
        }
        None => eyre::Report::new(error),
    }
}
