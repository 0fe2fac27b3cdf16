//! The books in a few lines: what was earned on each day with each pair of debt and collateral, against what was
//! promised; and how often each verdict was reached.

use super::rows::{Cell, csv, outcome};
use super::{Tokens, rows};
use crate::app::show::native;
use crate::domain::units::{Net, Wei};
use crate::io::journal::{Entry, Intent, Outcome};
use crate::io::out;
use alloy::primitives::Address;
use comfy_table::Table;
use eyre::{Result, eyre};
use serde::Serialize;
use std::collections::BTreeMap;

/// One day of one pair. Only what is settled counts for the sums.
#[derive(Debug, Serialize)]
struct Line {
    /// In UTC.
    day: String,
    /// `liquidation`, or the command that was paid for.
    kind: &'static str,
    debt_asset: Option<Address>,
    collateral_asset: Option<Address>,
    debt: String,
    collateral: String,
    sent: u64,
    won: u64,
    reverted: u64,
    /// Net, in wei of the native coin.
    promised_net_wei: Net,
    realised_net_wei: Net,
}

/// How often a verdict was reached, of decisions and of liquidations.
#[derive(Debug, Serialize)]
struct Count<'a> {
    verdict: &'a str,
    reason: &'a str,
    times: u64,
}

#[derive(Serialize)]
struct Output<'a> {
    v: u8,
    profit: &'a [Line],
    promised_net_wei: Net,
    realised_net_wei: Net,
    counts: &'a [Count<'a>],
}

/// Prints the summary of what was signed (`signed`) and of the decisions counted in `decisions`.
pub(super) fn print(
    signed: &[Entry],
    decisions: &[(String, String, u64)],
    tokens: &Tokens,
    as_csv: bool,
    json: bool,
) -> Result<()> {
    let lines = lines(signed, tokens)?;
    let total = |of: fn(&Line) -> Net| lines.iter().try_fold(NOTHING, |sum, line| plus(sum, of(line)));
    let (promised, realised) = (total(|line| line.promised_net_wei)?, total(|line| line.realised_net_wei)?);
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in signed.iter().filter(|entry| entry.errand.is_none()) {
        let times = outcomes.entry(outcome(entry)).or_default();
        *times = times.saturating_add(1);
    }
    let decided = decisions.iter().map(|(verdict, reason, times)| Count { verdict, reason, times: *times });
    let ended = outcomes.iter().map(|(verdict, times)| Count { verdict, reason: "", times: *times });
    let counts = ended.chain(decided).collect::<Vec<_>>();
    if json {
        let (promised_net_wei, realised_net_wei) = (promised, realised);
        return out::json(&Output {
            v: 1,
            profit: &lines,
            promised_net_wei,
            realised_net_wei,
            counts: &counts,
        });
    }
    if as_csv {
        return print_csv(&lines);
    }
    if !lines.is_empty() {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["DAY", "DEBT", "COLLATERAL", "SENT", "WON", "REVERTED", "PROMISED", "REALISED"]);
        for line in &lines {
            table.add_row([
                line.day.clone(),
                if line.debt.is_empty() { line.kind.to_owned() } else { line.debt.clone() },
                line.collateral.clone(),
                line.sent.to_string(),
                line.won.to_string(),
                line.reverted.to_string(),
                native(line.promised_net_wei),
                native(line.realised_net_wei),
            ]);
        }
        out::line(&table.to_string())?;
        out::line("")?;
    }
    for count in &counts {
        out::line(format!("{:>8}  {}  {}", count.times, count.verdict, count.reason).trim_end())?;
    }
    out::line(&format!("promised {}, realised {} after gas", native(promised), native(realised)))
}

fn print_csv(lines: &[Line]) -> Result<()> {
    let heads = [
        "day",
        "kind",
        "debt_asset",
        "debt",
        "collateral_asset",
        "collateral",
        "sent",
        "won",
        "reverted",
        "promised_net_wei",
        "realised_net_wei",
    ];
    out::line(&format!("{}\r", csv(heads.map(|head| Cell::Text(head.to_owned())))))?;
    let asset = |asset: Option<Address>| asset.map_or(Cell::Nothing, |asset| Cell::Text(asset.to_string()));
    lines.iter().try_for_each(|line| {
        let cells = [
            Cell::Text(line.day.clone()),
            Cell::Text(line.kind.to_owned()),
            asset(line.debt_asset),
            Cell::Text(line.debt.clone()),
            asset(line.collateral_asset),
            Cell::Text(line.collateral.clone()),
            Cell::Count(line.sent),
            Cell::Count(line.won),
            Cell::Count(line.reverted),
            Cell::Number(line.promised_net_wei.to_string()),
            Cell::Number(line.realised_net_wei.to_string()),
        ];
        out::line(&format!("{}\r", csv(cells)))
    })
}

const NOTHING: Net = Net::Gain(Wei::ZERO);

fn plus(sum: Net, more: Net) -> Result<Net> {
    sum.plus(more).map_err(|_| eyre!("a sum beyond all money"))
}

/// The debt and the collateral of a transaction; `None` where its liquidations have several.
fn pair(intent: &Intent) -> (Option<Address>, Option<Address>) {
    let parts = intent.parts();
    let debts = parts.iter().all(|part| part.debt_asset == intent.debt_asset);
    let collaterals = parts.iter().all(|part| part.collateral_asset == intent.collateral_asset);
    (debts.then_some(intent.debt_asset), collaterals.then_some(intent.collateral_asset))
}

fn lines(signed: &[Entry], tokens: &Tokens) -> Result<Vec<Line>> {
    let name = |asset: Option<Address>, is_liquidation: bool| match asset {
        Some(asset) => tokens.get(&asset).map_or_else(|| asset.to_string(), |known| known.symbol.clone()),
        None if is_liquidation => "several".to_owned(),
        None => String::new(),
    };
    let mut lines: BTreeMap<_, Line> = BTreeMap::new();
    for entry in signed {
        let (debt_asset, collateral_asset) = entry.intent.as_ref().map(pair).unwrap_or_default();
        let kind = entry.errand.as_ref().map_or("liquidation", |(errand, _)| errand.as_str());
        let day = rows::day(entry.at);
        let line = lines.entry((day.clone(), kind, debt_asset, collateral_asset)).or_insert_with(|| Line {
            day,
            kind,
            debt_asset,
            collateral_asset,
            debt: name(debt_asset, entry.intent.is_some()),
            collateral: name(collateral_asset, entry.intent.is_some()),
            sent: 0,
            won: 0,
            reverted: 0,
            promised_net_wei: NOTHING,
            realised_net_wei: NOTHING,
        });
        line.sent = line.sent.saturating_add(1);
        let Some(verdict) = entry.verdict else { continue };
        line.won = line.won.saturating_add(u64::from(verdict.outcome == Outcome::Won));
        line.reverted = line.reverted.saturating_add(u64::from(verdict.outcome == Outcome::Reverted));
        line.realised_net_wei = plus(line.realised_net_wei, verdict.realised_net)?;
        if let Some(intent) = &entry.intent {
            line.promised_net_wei = plus(line.promised_net_wei, Net::Gain(intent.promised_net))?;
        }
    }
    Ok(lines.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::{Amount, Gas};
    use crate::io::journal::{Errand, IntentId, Verdict};
    use alloy::primitives::{B256, U256};

    fn wei(raw: u64) -> Wei {
        Wei(U256::from(raw))
    }

    fn entry(at: u64, promised: Option<u64>, ended: Option<(Outcome, Net)>) -> Entry {
        let intent = promised.map(|net| Intent {
            market: "core".into(),
            account: Address::repeat_byte(1),
            debt_asset: Address::repeat_byte(2),
            collateral_asset: Address::repeat_byte(3),
            repay: Amount(U256::ONE),
            block: 1,
            deadline_block: 2,
            promised_gross: wei(net),
            promised_gas: Gas(1),
            promised_net: wei(net),
            detail: serde_json::Value::Null,
        });
        let errand = promised.is_none().then_some((Errand::Sweep, serde_json::Value::Null));
        let verdict = ended.map(|(outcome, realised_net)| Verdict {
            outcome,
            realised_gross: Wei::ZERO,
            realised_net,
            gas_used: Gas(1),
        });
        let (from, hash) = (Address::ZERO, B256::ZERO);
        Entry { id: IntentId(1), at, from, nonce: 0, intent, errand, attempts: 1, hash, mined: None, verdict }
    }

    #[test]
    fn a_transaction_of_several_counts_for_the_pair_they_have_in_common() {
        let pair = |debt: u8| {
            let [debt, collateral] = [debt, 3].map(Address::repeat_byte);
            serde_json::json!({ "debt_asset": debt, "collateral_asset": collateral })
        };
        let told = |debts: &[u8]| {
            let mut one = entry(0, Some(1), None);
            // Two calls of one loan, and each in a transaction as it was written before there were several.
            let legs = debts.iter().map(|debt| pair(*debt)).collect::<Vec<_>>();
            let account = Address::repeat_byte(9);
            let mut parts = vec![serde_json::json!({ "account": account, "legs": legs })];
            for debt in debts {
                let mut old = pair(*debt);
                old["account"] = serde_json::json!(account);
                parts.push(old);
            }
            one.intent.as_mut().unwrap().detail = serde_json::json!({ "liquidations": parts });
            let line = lines(&[one], &Tokens::new()).unwrap().remove(0);
            (line.debt, line.collateral)
        };
        let [debt, collateral] = [2, 3].map(|byte| Address::repeat_byte(byte).to_string());
        assert_eq!(told(&[2, 2]), (debt.clone(), collateral.clone()));
        assert_eq!(told(&[2, 4]), ("several".into(), collateral.clone()));
        assert_eq!(told(&[]), (debt, collateral));
    }

    #[test]
    fn days_and_pairs_are_summed_with_their_losses_and_without_what_is_open() {
        let gain = |raw| Net::Gain(wei(raw));
        let signed = [
            entry(86_399, Some(10), Some((Outcome::Won, gain(12)))),
            entry(86_400, Some(100), Some((Outcome::Won, gain(90)))),
            entry(86_401, Some(200), Some((Outcome::Reverted, Net::Loss(wei(95))))),
            entry(86_402, Some(400), None),
            entry(86_403, None, Some((Outcome::Won, Net::Loss(wei(3))))),
        ];
        let lines = lines(&signed, &Tokens::new()).unwrap();
        let told = lines
            .iter()
            .map(|one| {
                let counts = [one.sent, one.won, one.reverted];
                (one.day.as_str(), one.kind, counts, one.promised_net_wei, one.realised_net_wei)
            })
            .collect::<Vec<_>>();
        assert_eq!(
            told,
            [
                ("1970-01-01", "liquidation", [1, 1, 0], gain(10), gain(12)),
                ("1970-01-02", "liquidation", [3, 1, 1], gain(300), Net::Loss(wei(5))),
                ("1970-01-02", "sweep", [1, 1, 0], NOTHING, Net::Loss(wei(3))),
            ]
        );
    }
}
