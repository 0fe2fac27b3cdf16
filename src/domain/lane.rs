//! One key, one nonce in flight. What was sent is followed by its receipts until it is settled: sent again as
//! the same bytes while it is wanted, withdrawn by a transaction to ourselves once it is late. A send whose
//! outcome is unknown is never answered by a new signature for the same thing.

use super::chain::{Head, Receipt};
use super::cost::{FeePolicy, Fees, bumped, next_base_fee};
use super::plan::Place;
use super::units::Wei;
use alloy::primitives::{Address, B256};

/// Heads for which a nonce may be used without a receipt of ours before it counts as somebody else's.
const DOUBT: u64 = 3;

/// Blocks a liquidation may stay unmined before it is withdrawn: the state it was planned on is gone.
pub const PATIENCE: u64 = 3;

/// What a signed transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Execute,
    Cancel,
}

/// One signed transaction of the nonce in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub hash: B256,
    pub kind: Kind,
    pub fees: Fees,
}

/// What is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// The journal's number for it.
    pub intent: i64,
    pub nonce: u64,
    /// Each loan in it; never empty.
    pub places: Vec<Place>,
    /// Wrapped native coin promised before gas, with what shares are worth.
    pub promised: Wei,
    /// Head at which it is late: `PATIENCE` after the first at which it was looked for.
    pub late_at: Option<u64>,
    /// Oldest first; never empty.
    pub attempts: Vec<Attempt>,
    /// Head at which our nonce was first seen used without a receipt of ours: receipts may lag behind.
    pub doubted_at: Option<u64>,
}

impl Flight {
    /// Whom it is to liquidate, each once: its loans are one behind the other.
    pub fn accounts(&self) -> Vec<Address> {
        let mut accounts = self.places.iter().map(|place| place.account).collect::<Vec<_>>();
        accounts.dedup();
        accounts
    }

    pub fn hashes(&self) -> Vec<B256> {
        self.attempts.iter().map(|attempt| attempt.hash).collect()
    }

    /// What the transaction with this hash was for.
    pub fn kind(&self, hash: B256) -> Option<Kind> {
        self.attempts.iter().find(|attempt| attempt.hash == hash).map(|attempt| attempt.kind)
    }
}

/// What the chain says of the flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The receipt of any of its transactions.
    pub receipt: Option<Receipt>,
    /// The first nonce that no mined transaction of ours has used.
    pub next_nonce: u64,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Mined: book it.
    Settle(Receipt),
    /// The chain took back an earlier nonce of ours: until its bytes are mined again nothing later can be.
    Restore(u64),
    /// Still wanted: the same bytes once more, as nodes drop transactions silently.
    Resend(B256),
    /// Late: take its nonce with a transaction to ourselves.
    Withdraw(Fees),
    /// Our nonce is used, and there is no receipt of ours: look again at the next heads.
    Doubt,
    /// The nonce was used by a transaction we did not sign here.
    Foreign,
}

/// What follows from the news at `head`. Settling looks at receipts only: no node's error text decides.
pub fn order(flight: &Flight, head: &Head, news: &News, policy: &FeePolicy) -> Option<Order> {
    if let Some(receipt) = &news.receipt {
        // A receipt of a block we have not dealt with: accounts judged now would be judged without it.
        let seen = receipt.block <= head.block.number;
        return seen.then(|| Order::Settle(receipt.clone()));
    }
    if news.next_nonce < flight.nonce {
        return Some(Order::Restore(news.next_nonce));
    }
    if news.next_nonce > flight.nonce {
        let since = flight.doubted_at.unwrap_or(head.block.number);
        return Some(if head.block.number >= since.saturating_add(DOUBT) {
            Order::Foreign
        } else {
            Order::Doubt
        });
    }
    let last = flight.attempts.last()?;
    let outbid = last.fees.max_fee < next_base_fee(head);
    if is_late(flight, head) && (last.kind == Kind::Execute || outbid) {
        return Some(match bumped(last.fees, next_base_fee(head), policy) {
            Some(fees) => Order::Withdraw(fees),
            None => Order::Resend(last.hash),
        });
    }
    Some(Order::Resend(last.hash))
}

fn is_late(flight: &Flight, head: &Head) -> bool {
    flight.late_at.is_some_and(|late_at| head.block.number >= late_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chain::BlockRef;
    use crate::domain::units::{Bps, FeePerGas, Gas};

    fn fees(max_fee: u128) -> Fees {
        Fees { max_fee: FeePerGas(max_fee), tip: FeePerGas(1), expected: FeePerGas(max_fee) }
    }

    fn receipt() -> Receipt {
        Receipt {
            hash: B256::repeat_byte(1),
            block: 9,
            block_hash: B256::ZERO,
            succeeded: true,
            gas_used: Gas(1),
            gas_price: FeePerGas(1),
            logs: vec![],
        }
    }

    /// A flight of nonce 5 that is late at block 10, seen at `head`.
    fn check(kinds: &[Kind], head: u64, mined: bool, next_nonce: u64, expected: &str) {
        check_doubted(kinds, head, mined, next_nonce, None, expected);
    }

    fn check_doubted(
        kinds: &[Kind],
        head: u64,
        mined: bool,
        next_nonce: u64,
        doubted_at: Option<u64>,
        expected: &str,
    ) {
        let attempts = kinds
            .iter()
            .zip(1..)
            .map(|(kind, byte)| Attempt { hash: B256::repeat_byte(byte), kind: *kind, fees: fees(100) })
            .collect();
        let flight = Flight {
            intent: 1,
            nonce: 5,
            places: vec![],
            promised: Wei::ZERO,
            late_at: Some(10),
            attempts,
            doubted_at,
        };
        let head = Head {
            block: BlockRef { number: head, hash: B256::ZERO, timestamp: 0 },
            parent: B256::ZERO,
            base_fee: FeePerGas(50),
            gas_used: Gas(0),
            gas_limit: Gas(30_000_000),
        };
        let policy = FeePolicy {
            tip_share: Bps(0),
            max_fee: FeePerGas(1_000),
            max_tip: FeePerGas(100),
            gas_limit: Gas(1),
        };
        let news = News { receipt: mined.then(receipt), next_nonce };
        let found = match order(&flight, &head, &news, &policy) {
            Some(Order::Settle(_)) => "settle".to_owned(),
            Some(Order::Resend(hash)) => format!("resend {}", hash.0[0]),
            Some(Order::Withdraw(fees)) => format!("withdraw at {}", fees.max_fee.0),
            Some(Order::Restore(nonce)) => format!("restore {nonce}"),
            Some(Order::Doubt) => "doubt".to_owned(),
            Some(Order::Foreign) => "foreign".to_owned(),
            None => "nothing".to_owned(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_wanted_and_unmined_is_sent_again_as_it_was() {
        check(&[Kind::Execute], 9, false, 5, "resend 1");
    }

    #[test]
    fn what_is_late_is_withdrawn_at_an_eighth_more() {
        check(&[Kind::Execute], 10, false, 5, "withdraw at 114");
    }

    #[test]
    fn a_withdrawal_is_made_once_and_then_sent_again() {
        check(&[Kind::Execute, Kind::Cancel], 30, false, 5, "resend 2");
    }

    #[test]
    fn an_earlier_nonce_that_the_chain_took_back_is_restored_first() {
        check(&[Kind::Execute], 30, false, 4, "restore 4");
    }

    #[test]
    fn a_receipt_of_a_block_that_is_still_to_come_waits_for_it() {
        check(&[Kind::Execute], 8, true, 6, "nothing");
    }

    #[test]
    fn a_receipt_settles_even_when_late() {
        check(&[Kind::Execute], 30, true, 6, "settle");
    }

    #[test]
    fn a_receipt_from_beyond_the_head_waits_for_its_block_and_is_no_reason_to_doubt() {
        check(&[Kind::Execute], 8, true, 6, "nothing");
        check_doubted(&[Kind::Execute], 8, true, 6, Some(1), "nothing");
        check(&[Kind::Execute], 9, true, 6, "settle");
    }

    #[test]
    fn a_nonce_used_by_nobody_we_know_is_foreign_once_receipts_had_time_to_come() {
        check(&[Kind::Execute], 9, false, 6, "doubt");
        check_doubted(&[Kind::Execute], 11, false, 6, Some(9), "doubt");
        check_doubted(&[Kind::Execute], 12, false, 6, Some(9), "foreign");
    }
}
