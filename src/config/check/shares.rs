//! What may be held as the market's own tokens, and paid for from the purse: all of it written, or nothing.

use super::super::values;
use super::Reader;
use crate::domain::size::Holding;
use crate::domain::units::Bps;

impl Reader<'_> {
    pub(super) fn shares(&mut self, table: &str) -> Option<Holding> {
        let key = |field: &str| format!("{table}.{field}");
        let assets = "addresses of the market's assets, e.g. [\"0x…\", \"0x…\"]";
        let collaterals = self.needed(&key("collateral"), assets, values::addresses);
        let debts = self.needed(&key("debt"), assets, values::addresses);
        let unit = "basis points (100 is 1 %)";
        let meaning = "what a share is worth to you less than the oracle says, in basis points";
        let discount = self.needed(&key("discount_bps"), meaning, |raw| {
            if values::is_unset(raw) { Ok(None) } else { values::whole(raw, 0..=5_000, unit).map(Some) }
        });
        let discount = u32::try_from(discount?).ok().map(Bps)?;
        Some(Holding { collaterals: collaterals?, debts: debts?, discount })
    }
}
