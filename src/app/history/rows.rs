//! One line of the history: a decision, or something signed with what came of it. Every way to print it goes
//! through the same columns.

use super::Tokens;
use crate::app::show::native;
use crate::domain::units::{Amount, Net, show};
use crate::io::history::Decision;
use crate::io::journal::Entry;
use alloy::primitives::Address;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

/// What stands in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Nothing,
    /// Maybe words of a stranger.
    Text(String),
    Count(u64),
    /// A number beyond 2^53, or one with a sign.
    Number(String),
}

impl Cell {
    fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }
    fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Nothing, cell)
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_none(),
            Self::Text(text) | Self::Number(text) => serializer.serialize_str(text),
            Self::Count(count) => serializer.serialize_u64(*count),
        }
    }
}

/// A decision, or an entry of the journal.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Seconds since 1970.
    pub at: u64,
    /// `decision`, `liquidation`, `deploy` or `sweep`.
    kind: &'static str,
    verdict: String,
    market: Option<String>,
    block: Option<u64>,
    account: Option<Address>,
    /// How many share the transaction; the account, its assets and the repay are of the first.
    liquidations: Option<usize>,
    reason: String,
    why: String,
    debt: Option<Token>,
    collateral: Option<Token>,
    repay: Option<Amount>,
    promised_gross: Option<Net>,
    promised_net: Option<Net>,
    promised_gas: Option<u64>,
    signed: Option<Signed>,
}

/// What only an entry of the journal has.
#[derive(Clone, Debug)]
struct Signed {
    entry: Entry,
    detail: String,
}

#[derive(Clone, Debug)]
struct Token {
    address: Address,
    symbol: String,
    decimals: Option<u8>,
}

impl Token {
    fn of(address: Address, tokens: &Tokens) -> Self {
        match tokens.get(&address) {
            Some(known) => Self { address, symbol: known.symbol.clone(), decimals: Some(known.decimals) },
            None => Self { address, symbol: String::new(), decimals: None },
        }
    }

    fn name(&self) -> String {
        if self.symbol.is_empty() { self.address.to_string() } else { self.symbol.clone() }
    }

    fn amount(&self, amount: Amount) -> String {
        match self.decimals {
            Some(decimals) => format!("{} {}", show(amount.0, decimals, 4), self.name()),
            None => format!("{amount} of {}", self.address),
        }
    }
}

/// How something signed came out, in a word.
pub(super) fn outcome(entry: &Entry) -> &'static str {
    entry.verdict.map_or("pending", |verdict| verdict.outcome.as_str())
}

type Column = (&'static str, fn(&Row) -> Cell);

/// Every column, in the order in which they are printed. Names are a promise to programs.
pub(super) const COLUMNS: [Column; 30] = [
    ("kind", |row| Cell::text(row.kind)),
    ("verdict", |row| Cell::text(&row.verdict)),
    ("at", |row| Cell::Count(row.at)),
    ("time", |row| Cell::text(time(row.at))),
    ("market", |row| Cell::maybe(row.market.as_ref(), Cell::text)),
    ("block", |row| Cell::maybe(row.block, Cell::Count)),
    ("account", |row| Cell::maybe(row.account, Cell::text)),
    ("reason", |row| Cell::text(&row.reason)),
    ("why", |row| Cell::text(&row.why)),
    ("debt_asset", |row| Cell::maybe(row.debt.as_ref(), |token| Cell::text(token.address))),
    ("debt_symbol", |row| Cell::maybe(row.debt.as_ref(), |token| Cell::text(&token.symbol))),
    ("collateral_asset", |row| Cell::maybe(row.collateral.as_ref(), |token| Cell::text(token.address))),
    ("collateral_symbol", |row| Cell::maybe(row.collateral.as_ref(), |token| Cell::text(&token.symbol))),
    ("repay", |row| Cell::maybe(row.repay, |repay| Cell::Number(repay.to_string()))),
    ("promised_gross_wei", |row| Cell::maybe(row.promised_gross, |net| Cell::Number(net.to_string()))),
    ("promised_gas", |row| Cell::maybe(row.promised_gas, Cell::Count)),
    ("promised_net_wei", |row| Cell::maybe(row.promised_net, |net| Cell::Number(net.to_string()))),
    ("realised_gross_wei", |row| {
        Cell::maybe(row.settled(), |verdict| Cell::Number(verdict.realised_gross.to_string()))
    }),
    ("realised_net_wei", |row| {
        Cell::maybe(row.settled(), |verdict| Cell::Number(verdict.realised_net.to_string()))
    }),
    ("gas_used", |row| Cell::maybe(row.mined(), |mined| Cell::Count(mined.gas_used.0))),
    ("gas_price_wei", |row| Cell::maybe(row.mined(), |mined| Cell::Number(mined.gas_price.0.to_string()))),
    ("mined_block", |row| Cell::maybe(row.mined(), |mined| Cell::Count(mined.block))),
    ("succeeded", |row| Cell::maybe(row.mined(), |mined| Cell::Count(u64::from(mined.succeeded)))),
    ("transaction", |row| Cell::maybe(row.entry(), |entry| Cell::text(entry.hash))),
    ("sender", |row| Cell::maybe(row.entry(), |entry| Cell::text(entry.from))),
    ("nonce", |row| Cell::maybe(row.entry(), |entry| Cell::Count(entry.nonce))),
    ("intent", |row| Cell::maybe(row.entry(), |entry| Cell::text(entry.id))),
    ("transactions", |row| Cell::maybe(row.entry(), |entry| Cell::Count(u64::from(entry.attempts)))),
    ("liquidations", |row| Cell::maybe(row.liquidations, |count| Cell::Count(count as u64))),
    ("detail", |row| Cell::maybe(row.signed.as_ref(), |signed| Cell::text(&signed.detail))),
];

impl Row {
    pub(super) fn of_decision(at: u64, decision: &Decision, tokens: &Tokens) -> Self {
        Self {
            at,
            kind: "decision",
            verdict: decision.verdict.clone(),
            market: Some(decision.market.clone()),
            block: Some(decision.block),
            account: Some(decision.account),
            liquidations: None,
            reason: decision.reason.clone(),
            why: decision.why.clone(),
            debt: decision.debt_asset.map(|asset| Token::of(asset, tokens)),
            collateral: decision.collateral_asset.map(|asset| Token::of(asset, tokens)),
            repay: decision.repay,
            promised_gross: None,
            promised_net: decision.net,
            promised_gas: None,
            signed: None,
        }
    }

    pub(super) fn of_entry(entry: &Entry, tokens: &Tokens) -> Self {
        let intent = entry.intent.as_ref();
        let (kind, detail) = match (&entry.errand, intent) {
            (Some((errand, detail)), _) => (errand.as_str(), detail),
            (None, Some(intent)) => ("liquidation", &intent.detail),
            (None, None) => ("liquidation", &serde_json::Value::Null),
        };
        Self {
            at: entry.at,
            kind,
            verdict: outcome(entry).to_owned(),
            market: intent.map(|intent| intent.market.clone()),
            block: intent.map(|intent| intent.block),
            account: intent.map(|intent| intent.account),
            liquidations: intent.map(|intent| {
                intent.places().into_iter().map(|place| place.account).collect::<BTreeSet<_>>().len()
            }),
            reason: String::new(),
            why: String::new(),
            debt: intent.map(|intent| Token::of(intent.debt_asset, tokens)),
            collateral: intent.map(|intent| Token::of(intent.collateral_asset, tokens)),
            repay: intent.map(|intent| intent.repay),
            promised_gross: intent.map(|intent| Net::Gain(intent.promised_gross)),
            promised_net: intent.map(|intent| Net::Gain(intent.promised_net)),
            promised_gas: intent.map(|intent| intent.promised_gas.0),
            signed: Some(Signed { entry: entry.clone(), detail: detail.to_string() }),
        }
    }

    /// By time, which is known to the second only; then a decision goes before what came of it.
    pub(super) fn order(&self) -> (u64, Option<u64>, bool) {
        (self.at, self.block, self.signed.is_some())
    }

    fn entry(&self) -> Option<&Entry> {
        self.signed.as_ref().map(|signed| &signed.entry)
    }

    fn mined(&self) -> Option<crate::io::journal::Mined> {
        self.entry().and_then(|entry| entry.mined)
    }

    fn settled(&self) -> Option<crate::io::journal::Verdict> {
        self.entry().and_then(|entry| entry.verdict)
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = Cell> {
        COLUMNS.iter().map(|(_, cell)| cell(self))
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let mut parts = vec![time(self.at), format!("{:11}", self.kind), format!("{:10}", self.verdict)];
        parts.extend(self.block.map(|block| format!("block {block}")));
        parts.extend(self.account.map(|account| account.to_string()));
        if let (Some(debt), Some(collateral)) = (&self.debt, &self.collateral) {
            let repay = self.repay.map_or_else(|| debt.name(), |repay| debt.amount(repay));
            parts.push(format!("repay {repay} for {}", collateral.name()));
        }
        if let Some(others) =
            self.liquidations.and_then(|all| all.checked_sub(1)).filter(|others| *others > 0)
        {
            parts.push(format!("and {others} more"));
        }
        match (self.settled(), self.promised_net) {
            (Some(verdict), Some(promised)) => {
                parts.push(format!("promised {} net", native(promised)));
                parts.push(format!("realised {} net", native(verdict.realised_net)));
            }
            (Some(verdict), None) => parts.push(format!("cost {}", native(verdict.realised_net))),
            (None, Some(promised)) => parts.push(format!("net {}", native(promised))),
            (None, None) => {}
        }
        if let Some(signed) = &self.signed {
            parts.push(signed.entry.hash.to_string());
            if self.account.is_none() {
                parts.push(signed.detail.clone());
            }
        } else if self.why.is_empty() {
            parts.push(self.reason.clone());
        } else {
            parts.push(self.why.clone());
        }
        let line = parts.join("  ");
        line.trim_end().chars().filter(|c| !c.is_control()).collect()
    }
}

/// `history --json`: one object a line. Integers beyond 2^53 are decimal strings.
impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("v", &1)?;
        for (name, cell) in COLUMNS {
            map.serialize_entry(name, &cell(self))?;
        }
        map.end()
    }
}

/// In UTC, to the second.
fn time(at: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(at)).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(at).to_string()
}

/// The day of a time, in UTC.
pub(super) fn day(at: u64) -> String {
    time(at).chars().take(10).collect()
}

/// One record, without the line's end: quoted where it must be (RFC 4180). A text that a spreadsheet would run as
/// a formula gets an apostrophe before it; numbers are ours and stay numbers.
pub(super) fn csv(cells: impl IntoIterator<Item = Cell>) -> String {
    let field = |cell: Cell| match cell {
        Cell::Nothing => String::new(),
        Cell::Count(count) => count.to_string(),
        Cell::Number(number) => number,
        Cell::Text(text) => quoted(&harmless(text)),
    };
    cells.into_iter().map(field).collect::<Vec<_>>().join(",")
}

fn harmless(text: String) -> String {
    // Spreadsheets look past white space before the sign.
    let first = text.trim_start().chars().next();
    let risky =
        first.is_some_and(|c| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '|' | '%'));
    if risky || text.starts_with(['\t', '\r', '\n']) { format!("'{text}") } else { text }
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::Wei;
    use alloy::primitives::U256;

    fn text(text: &str) -> String {
        csv([Cell::text(text)])
    }

    #[test]
    fn csv_quotes_what_must_be_quoted() {
        assert_eq!(text("plain words"), "plain words");
        assert_eq!(text("a,b"), "\"a,b\"");
        assert_eq!(text("say \"no\""), "\"say \"\"no\"\"\"");
        assert_eq!(text("a\r\nb"), "\"a\r\nb\"");
        assert_eq!(csv([Cell::Nothing, Cell::Count(7), Cell::text("x")]), ",7,x");
    }

    #[test]
    fn a_strangers_words_are_no_formula_and_our_losses_stay_numbers() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "  =1", "\t=1", "\r=1", "|cmd", "＝1"] {
            let found = text(formula);
            assert!(found.trim_start_matches('"').starts_with('\''), "{found:?}");
        }
        assert_eq!(text("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
        assert_eq!(csv([Cell::Number("-12".into())]), "-12");
    }

    #[test]
    fn a_line_does_nothing_to_a_terminal_and_a_row_has_every_column() {
        let decision = Decision {
            market: "core".into(),
            block: 7,
            account: Address::repeat_byte(1),
            verdict: "skip".into(),
            reason: "simulation-refused".into(),
            why: "the simulation refused: \u{1b}[2J=cmd".into(),
            debt_asset: Some(Address::repeat_byte(2)),
            collateral_asset: None,
            repay: None,
            net: Some(Net::Loss(Wei(U256::from(5)))),
        };
        let row = Row::of_decision(1_795_000_000, &decision, &Tokens::new());
        assert!(!row.line().contains('\u{1b}'), "{:?}", row.line());
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(json.as_object().unwrap().len(), COLUMNS.len() + 1);
        assert_eq!(json["promised_net_wei"], "-5");
        assert_eq!(json["time"], "2026-11-18T11:06:40Z");
        assert_eq!(csv(row.cells()).split(',').count(), COLUMNS.len());
    }
}
