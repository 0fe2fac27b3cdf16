//! The pool's own words for why it refuses a liquidation: selectors from 3.4 on, numbers before.
//! Source: Aave V3 `Errors`, releases 3.0 to 3.7.

use crate::domain::protocol::Revert;
use alloy::primitives::U256;
use alloy::sol_types::{Panic, Revert as Reason, SolError};

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
