//! What changed among the decisions since the head before: each is told once, and goes into the history once.

use super::observe;
use crate::domain::keeper::Report;
use crate::domain::plan::{Plan, Skip};
use crate::domain::protocols::aave_v3::Market;
use crate::exit::{Exit, ExitExt};
use crate::io::datadir::DataDir;
use crate::io::history::{Asset, Decision, History};
use alloy::primitives::Address;
use eyre::{Result, WrapErr};
use std::collections::{BTreeMap, BTreeSet};

/// What became of a plan at the head it was made at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A dry run sends nothing.
    WouldSend,
    /// Signed, journaled and sent; the journal has the rest.
    Send,
    /// Nothing is sent until somebody says `resume`.
    Paused,
    /// Another one goes first, its account is left alone for some blocks, or nothing could be signed.
    Waits,
}

impl Fate {
    /// The verdict and its reason, as they are stored and shown.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::WouldSend => ("would-send", ""),
            Self::Send => ("send", ""),
            Self::Paused => ("held", "paused"),
            Self::Waits => ("held", "waits"),
        }
    }
}

/// How the daemon stands when its report is read.
#[derive(Clone, Debug)]
pub struct Standing {
    pub live: bool,
    pub paused: bool,
    /// The accounts whose liquidation is under way. Judging waits for the end of a flight, so where there were plans
    /// they are of this head's.
    pub flying: Vec<Address>,
}

impl Standing {
    fn fate(&self, account: Address) -> Fate {
        if !self.live {
            Fate::WouldSend
        } else if self.flying.contains(&account) {
            Fate::Send
        } else if self.paused {
            Fate::Paused
        } else {
            Fate::Waits
        }
    }
}

/// A decision that is not the one its account had before.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Plan(&'a Plan, Fate),
    Skip(&'a Skip),
}

/// What was told of each account last.
#[derive(Default)]
struct Told(BTreeMap<Address, String>);

impl Told {
    fn changes<'a>(&mut self, report: &'a Report, standing: &Standing) -> Vec<Change<'a>> {
        let mut now = BTreeMap::new();
        let mut changes = Vec::new();
        let mut tell = |account: Address, key: String, change| {
            if self.0.get(&account) != Some(&key) {
                changes.push(change);
            }
            now.insert(account, key);
        };
        for plan in &report.plans {
            let account = plan.proposal.draft.account;
            let fate = standing.fate(account);
            tell(account, format!("{:?} {}", fate, plan_key(plan)), Change::Plan(plan, fate));
        }
        for skip in &report.skips {
            tell(skip.account, skip_key(skip), Change::Skip(skip));
        }
        self.0 = now;
        changes
    }
}

/// A daemon's books.
pub struct Books {
    history: History,
    told: Told,
    /// Tokens that the history knows from this run.
    named: BTreeSet<Address>,
}

impl Books {
    /// # Errors
    /// Exit code 3 when the file cannot be written.
    pub fn open(datadir: &DataDir) -> Result<Self> {
        let history = History::open(&datadir.history()).wrap_err("books").exit(Exit::Configuration)?;
        Ok(Self { history, told: Told::default(), named: BTreeSet::new() })
    }

    /// Prints and records what is new in `report`. Books that cannot be written are told of and hold nothing up.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn report(
        &mut self,
        name: &str,
        market: &Market,
        report: &Report,
        standing: &Standing,
        json: bool,
    ) -> Result<()> {
        if !report.judged {
            return Ok(());
        }
        let block = report.head.map_or(0, |head| head.block.number);
        let changes = self.told.changes(report, standing);
        if changes.is_empty() {
            return Ok(());
        }
        let decisions = changes.iter().map(|change| decision(name, block, change)).collect::<Vec<Decision>>();
        let tokens =
            decisions.iter().flat_map(|one| [one.debt_asset, one.collateral_asset]).flatten().collect();
        let assets = self.unnamed(market, &tokens);
        if let Err(missed) = self.history.record(decisions, assets) {
            observe::not_in_the_books(&missed, changes.len());
            // Asked for again with the next decision that names them.
            self.named.retain(|known| !tokens.contains(known));
        }
        changes.iter().try_for_each(|change| observe::decided(name, market, block, change, json))
    }

    fn unnamed(&mut self, market: &Market, tokens: &BTreeSet<Address>) -> Vec<Asset> {
        let new = tokens.iter().filter(|token| !self.named.contains(*token));
        let assets = new
            .filter_map(|token| market.reserves.get(token))
            .map(|reserve| Asset {
                address: reserve.asset,
                symbol: reserve.symbol.clone(),
                decimals: reserve.decimals,
            })
            .collect::<Vec<_>>();
        self.named.extend(assets.iter().map(|asset| asset.address));
        assets
    }
}

fn decision(market: &str, block: u64, change: &Change<'_>) -> Decision {
    let market = market.to_owned();
    match change {
        Change::Plan(plan, fate) => {
            let draft = &plan.proposal.draft;
            let (verdict, reason) = fate.words();
            let first = draft.first();
            Decision {
                market,
                block,
                account: draft.account,
                verdict: verdict.into(),
                reason: reason.into(),
                why: String::new(),
                debt_asset: first.map(|(debt, ..)| debt),
                collateral_asset: first.map(|(_, collateral, _)| collateral),
                repay: first.map(|(.., repaid)| repaid),
                net: Some(plan.net),
            }
        }
        Change::Skip(skip) => Decision {
            market,
            block,
            account: skip.account,
            verdict: "skip".into(),
            reason: skip.reason.word().into(),
            why: skip.reason.to_string(),
            debt_asset: skip.debt_asset,
            collateral_asset: skip.collateral_asset,
            repay: skip.repay,
            net: skip.net,
        },
    }
}

/// Interest moves every amount a little at every block: a change is one in the first three digits.
fn plan_key(plan: &Plan) -> String {
    let draft = &plan.proposal.draft;
    let net = plan.net.gain().map_or_else(String::new, |net| coarse(&net.0.to_string()));
    let assets = draft.calls().map(|call| format!("{} {} ", call.debt_asset, call.collateral_asset));
    let repaid = draft.repaid().into_iter().map(|(_, repaid)| coarse(&repaid.0.to_string()) + " ");
    format!("{}{}{net}", assets.collect::<String>(), repaid.collect::<String>())
}

fn skip_key(skip: &Skip) -> String {
    format!("{} {:?} {:?}", skip.reason.word(), skip.debt_asset, skip.collateral_asset)
}

fn coarse(digits: &str) -> String {
    format!("{}e{}", digits.get(..3).unwrap_or(digits), digits.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::Reason;

    const LIVE: Standing = Standing { live: true, paused: false, flying: vec![] };

    fn skips(reasons: &[Reason]) -> Report {
        let skip = |(at, reason): (usize, &Reason)| {
            Skip::bare(Address::repeat_byte(u8::try_from(at).unwrap()), None, reason.clone())
        };
        let skips = reasons.iter().enumerate().map(skip).collect();
        Report { judged: true, skips, ..Report::default() }
    }

    #[test]
    fn a_decision_is_told_once_and_again_when_it_changes_or_comes_back() {
        let mut told = Told::default();
        let mut check = |report: Report, new: usize| {
            assert_eq!(told.changes(&report, &LIVE).len(), new, "{report:?}");
        };
        check(skips(&[Reason::NoRoute, Reason::NoRoute]), 2);
        check(skips(&[Reason::NoRoute, Reason::NoRoute]), 0);
        check(skips(&[Reason::NoRoute, Reason::GasLimit]), 1);
        check(skips(&[Reason::NoRoute]), 0);
        check(skips(&[Reason::NoRoute, Reason::GasLimit]), 1);
    }

    #[test]
    fn a_plan_is_sent_or_held_for_a_reason() {
        let (ours, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let check = |standing: Standing, fate: Fate| assert_eq!(standing.fate(ours), fate);
        check(Standing { live: false, paused: true, flying: vec![] }, Fate::WouldSend);
        check(LIVE, Fate::Waits);
        check(Standing { flying: vec![ours], ..LIVE }, Fate::Send);
        check(Standing { flying: vec![other], ..LIVE }, Fate::Waits);
        check(Standing { paused: true, ..LIVE }, Fate::Paused);
        // What was handed over before the pause was seen is under way all the same.
        check(Standing { paused: true, flying: vec![ours], live: true }, Fate::Send);
    }
}
