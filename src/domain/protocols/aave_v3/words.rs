//! The pool's own words about a liquidation: why it refuses one (selectors from 3.4 on, numbers before), and what its logs
//! say that one did. Source: Aave V3 `Errors` and `LiquidationLogic`, releases 3.0 to 3.7.

use super::state::Market;
use crate::abi::aave::Pool;
use crate::abi::erc20::Erc20;
use crate::domain::chain::Log;
use crate::domain::protocol::{Attempt, Event, Execution, Revert};
use crate::domain::units::Amount;
use alloy::primitives::U256;
use alloy::sol_types::{Panic, Revert as Reason, SolError, SolEvent};

const WORDS: [(Revert, [u8; 4], &str); 10] = [
    (Revert::Oneself, [0x44, 0x51, 0x1a, 0xf1], ""),
    (Revert::Inactive, [0x90, 0xcd, 0x6f, 0x24], "27"),
    (Revert::Paused, [0xd3, 0x7f, 0x5f, 0x1c], "29"),
    (Revert::Sentinel, [0x91, 0x03, 0x70, 0x09], "59"),
    (Revert::GracePeriod, [0x9e, 0x3e, 0x60, 0x60], "97"),
    (Revert::Healthy, [0x93, 0x0b, 0xb7, 0x71], "45"),
    (Revert::NotCollateral, [0x97, 0x9b, 0x5c, 0xe8], "46"),
    (Revert::NoDebt, [0x36, 0x53, 0x73, 0x2b], "47"),
    (Revert::Dust, [0xb6, 0x29, 0xb0, 0xe4], "103"),
    (Revert::Nothing, [0x20, 0x75, 0xcc, 0x10], "25"),
];

/// What the compiler says where more is subtracted than there is.
const UNDERFLOW: u64 = 0x11;

/// The refusal that these bytes are, where a liquidation can meet it.
pub fn revert(data: &[u8]) -> Option<Revert> {
    if let Ok(reason) = Reason::abi_decode(data) {
        let known = WORDS.iter().find(|(_, _, code)| !code.is_empty() && *code == reason.reason);
        return known.map(|(revert, ..)| *revert);
    }
    if let Ok(panic) = Panic::abi_decode(data) {
        // The reserve would pay out more than it has.
        return (panic.code == U256::from(UNDERFLOW)).then_some(Revert::Illiquid);
    }
    WORDS.iter().find(|(_, selector, _)| data == selector).map(|(revert, ..)| *revert)
}

/// What a liquidation moved, by its logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    pub paid: Amount,
    pub received: Amount,
    pub fee: Amount,
    /// In the order in which the pool told them.
    pub events: Vec<Event>,
}

impl Deed {
    /// What we foretold, as the logs would say it.
    pub fn of(execution: &Execution) -> Self {
        let Execution { paid, received, fee, ref events, .. } = *execution;
        Self { paid, received, fee, events: events.clone() }
    }
}

impl Market {
    /// Reads the logs of one attempt; `None` where there is no liquidation among them.
    pub fn deed(&self, attempt: &Attempt, logs: &[Log]) -> Option<Deed> {
        fn read<E: SolEvent>(log: &Log) -> Option<E> {
            E::decode_log_data(&log.data).ok()
        }
        let a_token = self.reserves.get(&attempt.collateral_asset)?.a_token;
        let mut events = Vec::new();
        let mut transfers = Vec::new();
        let mut done = None;
        for log in logs {
            if log.address == a_token {
                let moved = read::<Erc20::Transfer>(log);
                let moved = moved.filter(|moved| moved.from == attempt.account && !moved.to.is_zero());
                transfers.extend(moved.map(|moved| (moved.to, moved.value)));
            } else if log.address != self.addresses.pool {
                continue;
            } else if let Some(event) = read::<Pool::ReserveUsedAsCollateralDisabled>(log) {
                if event.user == attempt.account {
                    events.push(Event::CollateralDisabled(event.reserve));
                }
            } else if let Some(event) = read::<Pool::DeficitCreated>(log) {
                events.push(Event::DeficitCreated(event.debtAsset, Amount(event.amountCreated)));
            } else if let Some(event) = read::<Pool::LiquidationCall>(log) {
                done = Some((event.debtToCover, event.liquidatedCollateralAmount, event.liquidator));
            }
        }
        let (paid, received, liquidator) = done?;
        let (paid, received) = (Amount(paid), Amount(received));
        events.push(Event::Liquidated { paid, received });
        let fee = transfers.iter().find(|(to, _)| *to != liquidator).map_or(U256::ZERO, |(_, value)| *value);
        Some(Deed { paid, received, fee: Amount(fee), events })
    }
}
