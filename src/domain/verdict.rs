//! What a mined transaction did, against what its plan promised.

use super::chain::Receipt;
use super::lane::Kind;
use super::refusal::refusal;
use super::units::{Net, Wei};
use crate::abi::executor::Executor;
use alloy::primitives::Address;
use alloy::sol_types::SolEvent;

/// How a flight ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Won,
    Reverted,
    Withdrawn,
    /// Our nonce was used by a transaction we did not sign here: somebody else has the key.
    Foreign,
}

impl Outcome {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Reverted => "reverted",
            Self::Withdrawn => "cancelled",
            Self::Foreign => "foreign-nonce",
        }
    }
}

/// The realised side of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// Profit before gas, as the executor reported it.
    pub gross: Wei,
    /// What gas cost.
    pub cost: Wei,
    pub net: Net,
    /// Accounts that were liquidated: of several in one transaction each may fail alone.
    pub taken: Vec<Address>,
    /// Why those that failed alone did, by their place in the transaction.
    pub failed: Vec<(usize, String)>,
}

/// Reads the receipt of one of our transactions to `executor`.
pub fn of(receipt: &Receipt, kind: Kind, executor: Address) -> Verdict {
    let ours = || receipt.logs.iter().filter(|log| log.address == executor);
    let gross = ours()
        .filter_map(|log| Executor::Executed::decode_log_data(&log.data).ok())
        .try_fold(Wei::ZERO, |sum, event| sum.plus(Wei(event.profit)))
        .unwrap_or(Wei::MAX);
    let mut taken = ours()
        .filter_map(|log| Executor::Liquidated::decode_log_data(&log.data).ok())
        .map(|event| event.borrower)
        .collect::<Vec<_>>();
    // Two calls of one plan take one account.
    taken.dedup();
    let failed = ours()
        .filter_map(|log| Executor::Failed::decode_log_data(&log.data).ok())
        .map(|event| (event.place.saturating_to(), refusal(&event.reason)))
        .collect();
    let outcome = match kind {
        Kind::Cancel => Outcome::Withdrawn,
        Kind::Execute if receipt.succeeded => Outcome::Won,
        Kind::Execute => Outcome::Reverted,
    };
    let cost = receipt.gas_used.cost(receipt.gas_price);
    Verdict { outcome, gross, cost, net: Net::of(gross, cost), taken, failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chain::Log;
    use crate::domain::units::{FeePerGas, Gas};
    use alloy::primitives::{B256, U256};

    #[test]
    fn an_account_that_two_calls_take_is_taken_once() {
        let executor = Address::repeat_byte(1);
        let call = |borrower: u8| {
            let (borrower, one) = (Address::repeat_byte(borrower), U256::ONE);
            let event = Executor::Liquidated {
                borrower,
                collateral: executor,
                debt: executor,
                repaid: one,
                seized: one,
            };
            Log { address: executor, data: event.encode_log_data() }
        };
        let receipt = Receipt {
            hash: B256::ZERO,
            block: 1,
            block_hash: B256::ZERO,
            succeeded: true,
            gas_used: Gas(1),
            gas_price: FeePerGas(1),
            logs: vec![call(7), call(7), call(8)],
        };
        let verdict = of(&receipt, Kind::Execute, executor);
        assert_eq!(verdict.taken, [7, 8].map(Address::repeat_byte));
    }
}
