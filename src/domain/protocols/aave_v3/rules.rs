//! What differs between the releases of Aave V3, as data. A revision that is not in this table is observed
//! and never acted on.

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

/// The rules of one release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub release: &'static str,
    pub compound: Compound,
    /// Scaled to real supply.
    pub supply: Rounding,
    /// Scaled to real debt.
    pub debt: Rounding,
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
    /// Debt needed for an exhausted collateral.
    pub needed: Rounding,
    /// Flash loan premium.
    pub premium: Rounding,
    pub has_grace_period: bool,
    pub has_virtual_balance: bool,
    pub has_stable_debt: bool,
    /// Revisions of the aToken and of the variable debt token that follow these rules.
    pub token_revisions: (&'static [u64], &'static [u64]),
}

const V3_0: Rules = Rules {
    release: "3.0",
    compound: Compound::Binomial,
    supply: Rounding::HalfUp,
    debt: Rounding::HalfUp,
    debt_value: Rounding::Floor,
    floors_threshold: true,
    skips_zero_threshold: true,
    emode: EModeForm::PerReserve,
    close_factor: CloseFactor::PerReserve,
    forbids_dust: false,
    needed: Rounding::HalfUp,
    premium: Rounding::HalfUp,
    has_grace_period: false,
    has_virtual_balance: false,
    has_stable_debt: true,
    token_revisions: (&[1], &[1]),
};

const V3_6: Rules = Rules {
    release: "3.6",
    compound: Compound::Exponential,
    supply: Rounding::Floor,
    debt: Rounding::Ceil,
    debt_value: Rounding::Ceil,
    floors_threshold: false,
    skips_zero_threshold: false,
    emode: EModeForm::Bitmap,
    close_factor: CloseFactor::WholePosition,
    forbids_dust: true,
    needed: Rounding::Ceil,
    premium: Rounding::Ceil,
    has_grace_period: true,
    has_virtual_balance: true,
    has_stable_debt: false,
    token_revisions: (&[5], &[5, 6]),
};

impl Rules {
    /// The rules behind a `POOL_REVISION`, or `None` for one this version does not know.
    pub fn of_pool_revision(revision: u64) -> Option<Self> {
        match revision {
            1 => Some(V3_0),
            10 => Some(V3_6),
            _ => None,
        }
    }
}
