//! What differs between the releases of Aave V3, as data. A release is told from the one before it by what it changed;
//! a revision that is not in this table is observed and never acted on.
//! Source: Aave V3 releases 3.0 to 3.7, `GenericLogic`, `LiquidationLogic`, `TokenMath`, `MathUtils`.

use super::math::{Compound, Rounding};

/// How a category of e-mode says which assets are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EModeForm {
    /// Each reserve's configuration names its one category (up to 3.1); a category may name a price source.
    PerReserve,
    /// Each category carries a bitmap of reserves (from 3.2).
    Bitmap,
}

/// What share of a debt may be repaid at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseFactor {
    /// Half of the debt in that reserve, all of it at or below a health factor of 0.95 (up to 3.2).
    PerReserve,
    /// Half of the whole position unless the health factor is at or below 0.95 or a side is small (from 3.3).
    WholePosition,
}

/// What becomes of a debt whose last collateral is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadDebt {
    /// It stays with the account (up to 3.2).
    Stays,
    /// It is written off when what was seized is worth all collateral there was (3.3 to 3.6).
    WrittenOffByValue,
    /// As above, but measured by the scaled balance that is really taken (from 3.7).
    WrittenOffByBalance,
}

/// The rules of one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub release: &'static str,
    pub compound: Compound,
    /// Scaled to real supply.
    pub supply: Rounding,
    /// Scaled to real debt.
    pub debt: Rounding,
    /// Real to scaled supply, when it is burned or transferred.
    pub supply_taken: Rounding,
    /// Real to scaled debt, when it is burned.
    pub debt_taken: Rounding,
    /// Debt to base currency.
    pub debt_value: Rounding,
    /// The averaged threshold is floored to basis points before it is used (up to 3.4).
    pub floors_threshold: bool,
    /// Collateral whose own threshold is zero counts for nothing, even in e-mode (up to 3.5).
    pub skips_zero_threshold: bool,
    pub emode: EModeForm,
    pub close_factor: CloseFactor,
    /// No liquidation may leave less than 1,000 of base currency on one side (from 3.3).
    pub forbids_dust: bool,
    pub bad_debt: BadDebt,
    /// Collateral for a repay, bonus included.
    pub reward: Rounding,
    /// Debt needed for an exhausted collateral.
    pub needed: Rounding,
    /// What of a seizure is not bonus.
    pub unrewarded: Rounding,
    /// The protocol's share of the bonus.
    pub fee: Rounding,
    /// Flash loan premium.
    pub premium: Rounding,
    /// Nobody may liquidate himself (from 3.4).
    pub forbids_self: bool,
    pub has_grace_period: bool,
    /// A sentinel may forbid liquidations for a while (up to 3.6).
    pub has_sentinel: bool,
    pub has_virtual_balance: bool,
    /// Reserves without virtual accounting owe what their debt token says, discounts included (3.1 to 3.3).
    pub has_discounts: bool,
    pub has_stable_debt: bool,
    /// A liquidation for aTokens updates the collateral's indices and says so in no log of its own (from 3.5).
    pub accrues_silently: bool,
    /// Revisions of the aToken and of the variable debt token that follow these rules.
    pub token_revisions: (&'static [u64], &'static [u64]),
}

const V3_0: Rules = Rules {
    release: "3.0",
    compound: Compound::Binomial,
    supply: Rounding::HalfUp,
    debt: Rounding::HalfUp,
    supply_taken: Rounding::HalfUp,
    debt_taken: Rounding::HalfUp,
    debt_value: Rounding::Floor,
    floors_threshold: true,
    skips_zero_threshold: true,
    emode: EModeForm::PerReserve,
    close_factor: CloseFactor::PerReserve,
    forbids_dust: false,
    bad_debt: BadDebt::Stays,
    reward: Rounding::HalfUp,
    needed: Rounding::HalfUp,
    unrewarded: Rounding::HalfUp,
    fee: Rounding::HalfUp,
    premium: Rounding::HalfUp,
    forbids_self: false,
    has_grace_period: false,
    has_sentinel: true,
    has_virtual_balance: false,
    has_discounts: false,
    has_stable_debt: true,
    accrues_silently: false,
    token_revisions: (&[1], &[1]),
};

const V3_1: Rules =
    Rules { release: "3.1", has_grace_period: true, has_virtual_balance: true, has_discounts: true, ..V3_0 };

const V3_2: Rules = Rules { release: "3.2", emode: EModeForm::Bitmap, has_stable_debt: false, ..V3_1 };

const V3_3: Rules = Rules {
    release: "3.3",
    close_factor: CloseFactor::WholePosition,
    forbids_dust: true,
    bad_debt: BadDebt::WrittenOffByValue,
    ..V3_2
};

const V3_4: Rules = Rules {
    release: "3.4",
    compound: Compound::Exponential,
    forbids_self: true,
    has_discounts: false,
    token_revisions: (&[3], &[3]),
    ..V3_3
};

const V3_5: Rules = Rules {
    release: "3.5",
    supply: Rounding::Floor,
    debt: Rounding::Ceil,
    supply_taken: Rounding::Ceil,
    debt_taken: Rounding::Floor,
    debt_value: Rounding::Ceil,
    floors_threshold: false,
    needed: Rounding::Ceil,
    premium: Rounding::Ceil,
    accrues_silently: true,
    token_revisions: (&[4], &[4, 5]),
    ..V3_4
};

const V3_6: Rules =
    Rules { release: "3.6", skips_zero_threshold: false, token_revisions: (&[5], &[5, 6]), ..V3_5 };

const V3_7: Rules = Rules {
    release: "3.7",
    bad_debt: BadDebt::WrittenOffByBalance,
    reward: Rounding::Floor,
    unrewarded: Rounding::Floor,
    fee: Rounding::Ceil,
    has_sentinel: false,
    ..V3_6
};

/// By `POOL_REVISION`. The pool of the published 3.0 package says 1, those of its fixes 2 and 3, 3.2.1 says 6.
const RELEASES: [(u64, Rules); 11] = [
    (1, V3_0),
    (2, V3_0),
    (3, V3_0),
    (4, V3_1),
    (5, V3_2),
    (6, V3_2),
    (7, V3_3),
    (8, V3_4),
    (9, V3_5),
    (10, V3_6),
    (11, V3_7),
];

impl Rules {
    /// The rules behind a `POOL_REVISION`, or `None` for one this version does not know.
    pub fn of_pool_revision(revision: u64) -> Option<Self> {
        RELEASES.iter().find(|(known, _)| *known == revision).map(|(_, rules)| *rules)
    }

    /// The first pool revision of a release by its name, such as "3.3".
    pub fn revision_of(release: &str) -> Option<u64> {
        RELEASES.iter().find(|(_, rules)| rules.release == release).map(|(revision, _)| *revision)
    }

    /// The releases whose rules are known, oldest first.
    pub fn releases() -> Vec<&'static str> {
        let mut names = RELEASES.iter().map(|(_, rules)| rules.release).collect::<Vec<_>>();
        names.dedup();
        names
    }
}
