//! The keeper's bookkeeping of blocks, with a protocol that only writes down what it is told.

use alloy::primitives::{Address, B256, Bytes, LogData};
use backstop::domain::chain::{Answer, BlockRef, Head, Log, Read};
use backstop::domain::cost::Fees;
use backstop::domain::keeper::{Effect, Halt, Input, Keeper};
use backstop::domain::lane::{Attempt, Kind};
use backstop::domain::prices::{Moment, Prices};
use backstop::domain::protocol::{
    FlashTerms, Health, Opportunity, Outcome, Protocol, Revert, Settled, Step, Undecodable, Unknown,
};
use backstop::domain::units::{Amount, FeePerGas, Gas, Round};

/// Counts what was marked, one log a unit, everything a thousand.
#[derive(Default)]
struct Marked {
    marked: usize,
    prices: Prices,
}

impl Protocol for Marked {
    fn on_head(&mut self) {}
    fn on_log(&mut self, _: &Log, _: u64) {
        self.marked += 1;
    }
    fn on_dropped_log(&mut self, _: &Log) {
        self.marked += 1;
    }
    fn moved(&mut self) -> Vec<(Address, Vec<Address>)> {
        vec![]
    }
    fn mark(&mut self, _: Address) {}
    fn mark_all(&mut self) {
        self.marked += 1_000;
    }
    fn reads(&self) -> Vec<Read> {
        vec![]
    }
    fn settle(&mut self, _: BlockRef, _: &[Answer]) -> Result<Settled, Undecodable> {
        Ok(Settled::default())
    }
    fn prices(&self) -> &Prices {
        &self.prices
    }
    fn accounts(&self) -> Vec<Address> {
        vec![]
    }
    fn health(&self, account: Address, _: &Moment<'_>) -> Result<Health, Unknown> {
        Err(Unknown::Account(account))
    }
    fn opportunities(
        &self,
        account: Address,
        _: &[Step],
        _: &Moment<'_>,
    ) -> Result<Result<Vec<Opportunity>, Revert>, Unknown> {
        Err(Unknown::Account(account))
    }
    fn outcome(
        &self,
        pair: &Opportunity,
        _: Amount,
        _: &Moment<'_>,
    ) -> Result<Result<Outcome, Revert>, Unknown> {
        Err(Unknown::Account(pair.account))
    }
    fn outcome_in_shares(
        &self,
        pair: &Opportunity,
        _: Amount,
        _: &Moment<'_>,
    ) -> Result<Result<(Address, Outcome), Revert>, Unknown> {
        Err(Unknown::Account(pair.account))
    }
    fn worth(
        &self,
        (asset, _): (Address, Amount),
        _: Address,
        _: Round,
        _: &Moment<'_>,
    ) -> Result<Amount, Unknown> {
        Err(Unknown::NoPrice(asset))
    }
    fn flash(&self, _: Address, _: Amount) -> Option<FlashTerms> {
        None
    }
}

fn block(number: u64, line: u8) -> Head {
    let hash = |number: u64| B256::from([u8::try_from(number).unwrap() ^ line; 32]);
    Head {
        block: BlockRef { number, hash: hash(number), timestamp: 1_000 + number },
        parent: hash(number - 1),
        base_fee: FeePerGas(1),
        gas_used: Gas(0),
        gas_limit: Gas(30_000_000),
    }
}

fn log() -> Log {
    Log { address: Address::ZERO, data: LogData::new_unchecked(vec![], Bytes::new()) }
}

/// One step of the chain: what is dropped, what is added with how many logs, and what must be marked by it.
fn step(
    keeper: &mut Keeper<Marked>,
    dropped: &[Head],
    added: &[(Head, usize)],
    jumped: bool,
    expected: usize,
) {
    keeper.market.marked = 0;
    let input = Input::Head {
        dropped: dropped.iter().map(|head| head.block).collect(),
        added: added.iter().map(|(head, logs)| (*head, vec![log(); *logs])).collect(),
        jumped,
        next_timestamp: 0,
    };
    let mut out: Vec<Effect> = Vec::new();
    keeper.step(input, &mut out).unwrap();
    assert_eq!(keeper.market.marked, expected, "dropped {dropped:?}, added {added:?}, jumped {jumped}");
}

fn keeper() -> Keeper<Marked> {
    Keeper::new(Marked::default())
}

#[test]
fn a_replaced_block_marks_again_what_it_had_changed() {
    let mut keeper = keeper();
    step(&mut keeper, &[], &[(block(5, 0), 0)], false, 0);
    step(&mut keeper, &[], &[(block(6, 0), 2)], false, 2);
    step(&mut keeper, &[block(6, 0)], &[(block(6, 0x80), 3)], false, 5);
    step(&mut keeper, &[block(6, 0x80)], &[(block(6, 0x40), 0)], false, 3);
}

#[test]
fn the_block_we_started_on_has_no_logs_here_so_its_replacement_marks_everything() {
    let mut keeper = keeper();
    step(&mut keeper, &[], &[(block(5, 0), 0)], false, 0);
    // Given again, as after `engage`.
    step(&mut keeper, &[], &[(block(5, 0), 0)], false, 0);
    step(&mut keeper, &[block(5, 0)], &[(block(5, 0x80), 1)], false, 1_001);
}

#[test]
fn a_block_that_was_jumped_to_marks_everything_when_it_is_replaced() {
    let mut keeper = keeper();
    step(&mut keeper, &[], &[(block(5, 0), 0)], false, 0);
    step(&mut keeper, &[], &[(block(90, 0), 0)], true, 1_000);
    step(&mut keeper, &[block(90, 0)], &[(block(90, 0x80), 1)], false, 1_001);
}

#[test]
fn a_flight_that_no_plan_belongs_to_stops_the_keeper() {
    let mut keeper = keeper();
    step(&mut keeper, &[], &[(block(5, 0), 0)], false, 0);
    let fees = Fees { max_fee: FeePerGas(1), tip: FeePerGas(1), expected: FeePerGas(1) };
    let attempt = Attempt { hash: B256::ZERO, kind: Kind::Execute, fees };
    let input = Input::Flying { intent: 1, nonce: 7, attempt };
    assert_eq!(keeper.step(input, &mut Vec::new()), Err(Halt::Unasked));
}
