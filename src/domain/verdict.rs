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
    /// Profit before gas, as the executor reported it; of shares, what they are worth more than was paid for them, at the prices
    /// of the plan.
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
    let mut paid = Amount::ZERO;
    let gains = ours().filter_map(|log| {
        if let Ok(call) = Executor::Liquidated::decode_log_data(&log.data) {
            paid = Amount(call.repaid);
        }
        Executor::Executed::decode_log_data(&log.data).ok().map(|event| (event, paid))
    });
    let mut shares = Vec::new();
    let gross = gains.zip(done).try_fold(Wei::ZERO, |sum, ((event, paid), (_, place))| {
        let units = Amount(event.profit);
        match place.shares.filter(|shares| shares.token == event.profitToken) {
            Some(taken) => {
                shares.push((taken.token, units));
                sum.plus(taken.gain(units, paid))
            }
            None if event.profitToken == native => sum.plus(Wei(event.profit)),
            None => Ok(sum),
        }
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
    use crate::domain::plan::Shares;
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

    /// With shares, it is to pay one for ten units that are worth so much more.
    fn place(name: u8, shares: Option<u64>) -> Place {
        let [one, ten] = [1, 10].map(|units| Amount::new(U256::from(units)));
        let shares = shares.map(|gain| Shares {
            token: SHARES,
            units: ten,
            least: one,
            worth: Wei::new(U256::from(gain + 500)),
            paid: one,
            cost: Wei::new(U256::from(500)),
        });
        Place { account: Address::repeat_byte(name), shares }
    }

    fn called(borrower: u8) -> Log {
        let (borrower, one) = (Address::repeat_byte(borrower), U256::ONE);
        let (collateral, debt) = (NATIVE, NATIVE);
        log(&Executor::Liquidated { borrower, collateral, debt, repaid: one, seized: one })
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
        let verdict = read(vec![called(7), called(7), called(8)], &[place(7, None), place(8, None)]);
        assert_eq!(verdict.taken, [7, 8].map(Address::repeat_byte));
    }

    #[test]
    fn shares_count_for_what_was_taken_of_them_at_the_prices_of_the_plan() {
        let places = [place(7, Some(100)), place(8, None), place(9, Some(1_000)), place(6, Some(500))];
        let failed = log(&Executor::Failed { place: U256::from(2), reason: vec![].into() });
        let logs = vec![
            called(7),
            gained(SHARES, 10),
            called(8),
            gained(NATIVE, 20),
            failed,
            called(6),
            gained(SHARES, 9),
        ];
        let verdict = read(logs, &places);
        // All of the first ten; nine of the ten that were to be worth 1,000.
        assert_eq!(verdict.gross, Wei::new(U256::from(100 + 20 + 900 - 500)));
        assert_eq!(verdict.shares, [(SHARES, Amount::new(U256::from(19)))]);
        assert_eq!(verdict.failed.len(), 1);
        // Fewer than what they cost: not less than nothing.
        let verdict = read(vec![called(7), gained(SHARES, 1)], &[place(7, Some(100))]);
        assert_eq!(verdict.gross, Wei::ZERO);
    }
}
