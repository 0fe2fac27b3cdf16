//! What a mined transaction did, against what its plan promised.

use super::chain::Receipt;
use super::lane::Kind;
use super::plan::{Place, by_asset};
use super::refusal::refusal;
use super::units::{Amount, Net, Wei};
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
    /// Profit before gas, as the executor reported it; of shares, what they were planned to be worth more than was paid.
    pub gross: Wei,
    /// What gas cost.
    pub cost: Wei,
    pub net: Net,
    /// Accounts that were liquidated: of several in one transaction each may fail alone.
    pub taken: Vec<Address>,
    /// Units of the protocol's own tokens that went to the receiver, by token.
    pub shares: Vec<(Address, Amount)>,
    /// Why those that failed alone did, by their place in the transaction.
    pub failed: Vec<(usize, String)>,
}

/// Reads the receipt of one of our transactions to `executor`, with these loans in it, whose profits are in `native` unless
/// they took shares.
pub fn of(receipt: &Receipt, kind: Kind, executor: Address, native: Address, places: &[Place]) -> Verdict {
    let ours = || receipt.logs.iter().filter(|log| log.address == executor);
    let mut taken = ours()
        .filter_map(|log| Executor::Liquidated::decode_log_data(&log.data).ok())
        .map(|event| event.borrower)
        .collect::<Vec<_>>();
    // Two calls of one plan take one account.
    taken.dedup();
    let failed = ours()
        .filter_map(|log| Executor::Failed::decode_log_data(&log.data).ok())
        .map(|event| (event.place.saturating_to(), refusal(&event.reason)))
        .collect::<Vec<(usize, String)>>();
    // Those that did not fail say what they gained in the order of their places.
    let done = places.iter().enumerate().filter(|(place, _)| !failed.iter().any(|(at, _)| at == place));
    let gains = ours().filter_map(|log| Executor::Executed::decode_log_data(&log.data).ok());
    let mut shares = Vec::new();
    let gross = gains.zip(done).try_fold(Wei::ZERO, |sum, (event, (_, place))| {
        if event.profitToken == native && place.shares.is_none() {
            return sum.plus(Wei(event.profit));
        }
        shares.push((event.profitToken, Amount(event.profit)));
        sum.plus(place.shares.unwrap_or(Wei::ZERO))
    });
    let gross = gross.unwrap_or(Wei::MAX);
    let shares = by_asset(shares.into_iter());
    let outcome = match kind {
        Kind::Cancel => Outcome::Withdrawn,
        Kind::Execute if receipt.succeeded => Outcome::Won,
        Kind::Execute => Outcome::Reverted,
    };
    let cost = receipt.gas_used.cost(receipt.gas_price);
    Verdict { outcome, gross, cost, net: Net::of(gross, cost), taken, shares, failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chain::Log;
    use crate::domain::units::{FeePerGas, Gas};
    use alloy::primitives::{B256, U256};

    const EXECUTOR: Address = Address::repeat_byte(1);
    const NATIVE: Address = Address::repeat_byte(2);
    const SHARES: Address = Address::repeat_byte(3);

    fn log(event: &impl SolEvent) -> Log {
        Log { address: EXECUTOR, data: event.encode_log_data() }
    }

    fn gained(token: Address, profit: u64) -> Log {
        let profit = U256::from(profit);
        log(&Executor::Executed { operator: EXECUTOR, profitToken: token, profit })
    }

    fn place(name: u8, shares: Option<u64>) -> Place {
        let shares = shares.map(|worth| Wei::new(U256::from(worth)));
        Place { account: Address::repeat_byte(name), shares }
    }

    fn read(logs: Vec<Log>, places: &[Place]) -> Verdict {
        let receipt = Receipt {
            hash: B256::ZERO,
            block: 1,
            block_hash: B256::ZERO,
            succeeded: true,
            gas_used: Gas(1),
            gas_price: FeePerGas(1),
            logs,
        };
        of(&receipt, Kind::Execute, EXECUTOR, NATIVE, places)
    }

    #[test]
    fn an_account_that_two_calls_take_is_taken_once() {
        let call = |borrower: u8| {
            let (borrower, one) = (Address::repeat_byte(borrower), U256::ONE);
            let (collateral, debt) = (NATIVE, NATIVE);
            log(&Executor::Liquidated { borrower, collateral, debt, repaid: one, seized: one })
        };
        let verdict = read(vec![call(7), call(7), call(8)], &[place(7, None), place(8, None)]);
        assert_eq!(verdict.taken, [7, 8].map(Address::repeat_byte));
    }

    #[test]
    fn shares_count_for_what_they_were_planned_for_and_only_where_they_were_taken() {
        let places = [place(7, Some(100)), place(8, None), place(9, Some(1_000)), place(6, Some(10_000))];
        let failed = log(&Executor::Failed { place: U256::from(2), reason: vec![].into() });
        let logs = vec![gained(SHARES, 5), gained(NATIVE, 20), failed, gained(SHARES, 6)];
        let verdict = read(logs, &places);
        assert_eq!(verdict.gross, Wei::new(U256::from(10_120)));
        assert_eq!(verdict.shares, [(SHARES, Amount::new(U256::from(11)))]);
        assert_eq!(verdict.failed.len(), 1);
    }
}
