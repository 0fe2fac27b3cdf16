//! Hands signed bytes to the node and asks what became of them. Only bytes that are in the journal can be sent,
//! and what a node says to them decides nothing: receipts do.

use super::journal::Durable;
use super::logs::plain;
use super::rpc::{Doing, Fault, Rpc};
use crate::domain::chain::Receipt;
use crate::domain::units::{FeePerGas, Gas, Wei};
use alloy::primitives::{Address, B256, U64, U256};
use alloy::rpc::types::TransactionReceipt;
use eyre::Result;
use serde_json::{Value, json};

impl Rpc {
    /// Sends once and says what the node said, in words for the journal. Whatever it says, it may have taken
    /// the bytes.
    pub async fn send(&self, durable: &Durable) -> String {
        let node = self.node();
        match self.ask_once::<_, B256>("eth_sendRawTransaction", json!([durable.raw()])).await {
            Ok(_) => format!("{node}: accepted"),
            Err(Fault::Refused { message, .. }) if is_known(&message) => format!("{node}: has it already"),
            Err(fault) => fault.to_string(),
        }
    }

    /// The receipt of the first of these transactions that has one.
    ///
    /// # Errors
    /// When the node fails for any of them: not knowing is not the same as not mined.
    pub async fn receipt_of(&self, hashes: &[B256]) -> Result<Option<Receipt>> {
        for hash in hashes {
            let found: Option<TransactionReceipt> =
                self.ask("eth_getTransactionReceipt", json!([hash])).await.doing("asking for a receipt")?;
            if let Some(receipt) = found.and_then(receipt) {
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }

    /// The first nonce that no mined transaction of `account` has used.
    ///
    /// # Errors
    /// When the node fails.
    pub async fn next_nonce(&self, account: Address) -> Result<u64> {
        let nonce: U64 = self
            .ask("eth_getTransactionCount", json!([account, "latest"]))
            .await
            .doing("asking for the nonce")?;
        Ok(nonce.to())
    }

    /// # Errors
    /// When the node fails.
    pub async fn balance(&self, account: Address) -> Result<Wei> {
        let balance: U256 =
            self.ask("eth_getBalance", json!([account, "latest"])).await.doing("asking for a balance")?;
        Ok(Wei(balance))
    }

    /// What creating a contract would take.
    ///
    /// # Errors
    /// When the node fails, or the constructor refuses.
    pub async fn creation_gas(&self, from: Address, init_code: &[u8]) -> Result<Gas> {
        let request: Value =
            json!([{ "from": from, "data": alloy::primitives::Bytes::copy_from_slice(init_code) }]);
        let gas: U64 = self.ask("eth_estimateGas", request).await.doing("estimating the deployment")?;
        Ok(Gas(gas.to()))
    }

    /// What a call would take.
    ///
    /// # Errors
    /// Any `Fault`: `revert` tells a contract that refuses from a node that fails.
    pub async fn call_gas(&self, from: Address, to: Address, data: &[u8]) -> Result<Gas, Fault> {
        let data = alloy::primitives::Bytes::copy_from_slice(data);
        let gas: U64 = self.ask("eth_estimateGas", json!([{ "from": from, "to": to, "data": data }])).await?;
        Ok(Gas(gas.to()))
    }
}

/// Nodes have no common code for "I have this one".
fn is_known(message: &str) -> bool {
    let message = message.to_lowercase();
    ["already known", "already imported", "known transaction"].iter().any(|text| message.contains(text))
}

/// `None` for one without a block: some nodes answer so for a pending transaction.
fn receipt(found: TransactionReceipt) -> Option<Receipt> {
    Some(Receipt {
        hash: found.transaction_hash,
        block: found.block_number?,
        block_hash: found.block_hash?,
        succeeded: found.status(),
        gas_used: Gas(found.gas_used),
        gas_price: FeePerGas(found.effective_gas_price),
        logs: found.logs().iter().cloned().map(plain).collect(),
    })
}
