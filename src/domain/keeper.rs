//! The whole of the deciding in one place: facts in, effects out. One owner, no waiting, no clock. Live, dry
//! run, `scan` and the tests drive this same function with different hands.
//!
//! A head arrives with its logs; reads make the market true at that block; accounts are judged at the next
//! block's time; each opportunity is sized against the pools as they are at that block; what pays is tried; what
//! passed is submitted when the lane is free.

mod facts;
mod flight;
mod offer;
mod purse;
mod weigh;

pub use facts::{Effect, Halt, Input, Report, Terms};
pub use weigh::{least_of, orders, propose, weigh};

use super::chain::{Answer, BlockRef, Head, Log};
use super::cost::next_base_fee;
use super::lane::Flight;
use super::plan::{Call, Draft, Plan, Proposal, Reason, Skip, Submission};
use super::prices::Moment;
use super::protocol::{Opportunity, Protocol};
use super::route::{Knowledge, Known, Question};
use super::size::{MOST_CALLS, Refusal, Scope, best};
use alloy::primitives::{Address, B256};
use std::collections::{BTreeMap, VecDeque};

/// Rounds of questions after which something is wrong.
const MOST_ROUNDS: u32 = 64;
/// Heads whose logs are kept, to mark again what a replaced block had changed.
const REMEMBERED: usize = 256;
/// Heads after which it is asked again which pools exist.
const POOLS_AGE: u64 = 300;
/// Blocks an account is left alone after a transaction of ours for it failed.
const COOLDOWN: u64 = 10;

/// Where in a head's life we are.
enum Phase {
    Idle,
    Settling,
    Searching(Searching),
    Trying(Vec<Proposal>),
    /// Several plans one after another, as they would run in one transaction.
    Rehearsing(Vec<Plan>),
    /// The transaction of several plans as a whole.
    Proving(Vec<Plan>, Call),
}

/// What the search has come to so far. What it knows of an account only grows: one that is done with stays so.
#[derive(Default)]
struct Searching {
    /// Accounts that wait for answers, each with its pairs.
    waiting: Vec<Vec<Opportunity>>,
    asked: Vec<Question>,
    drafts: Vec<Draft>,
    refused: Vec<(Opportunity, Refusal)>,
}

/// The keeper of one market.
pub struct Keeper<P> {
    pub market: P,
    terms: Option<Terms>,
    knowledge: Knowledge,
    phase: Phase,
    rounds: u32,
    head: Option<Head>,
    next_timestamp: u64,
    flight: Option<Flight>,
    /// Handed out to be sent, until it is known to fly or not to.
    submitted: Option<Submission>,
    cooling: BTreeMap<Address, u64>,
    /// Accounts that are taken with one call until a block, as their plan of several was refused when it was tried.
    simple: BTreeMap<Address, u64>,
    /// Accounts that are taken without shares until a block, for the same reason.
    unheld: BTreeMap<Address, u64>,
    recent: VecDeque<(B256, Vec<Log>)>,
    report: Report,
}

impl<P: Protocol> Keeper<P> {
    /// A keeper that only keeps the market true.
    pub fn new(market: P) -> Self {
        Self {
            market,
            terms: None,
            knowledge: Knowledge::default(),
            phase: Phase::Idle,
            rounds: 0,
            head: None,
            next_timestamp: 0,
            flight: None,
            submitted: None,
            cooling: BTreeMap::new(),
            simple: BTreeMap::new(),
            unheld: BTreeMap::new(),
            recent: VecDeque::new(),
            report: Report::default(),
        }
    }

    /// From now on liquidatable accounts are planned for. `flight` is what a previous run left under way.
    pub fn engage(&mut self, terms: Terms, flight: Option<Flight>) {
        self.knowledge = Knowledge::of(&terms.venue);
        self.terms = Some(terms);
        self.flight = flight;
    }

    pub fn report(&self) -> &Report {
        &self.report
    }

    pub fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref()
    }

    /// Takes one fact and says what is to be done.
    ///
    /// # Errors
    /// `Halt` when going on would mean acting on something we do not understand.
    pub fn step(&mut self, input: Input, out: &mut Vec<Effect>) -> Result<(), Halt> {
        match input {
            Input::Head { dropped, added, jumped, next_timestamp } => {
                self.on_head(&dropped, added, jumped, next_timestamp, out)
            }
            Input::Answers(answers) => self.on_answers(&answers, out),
            Input::Trials(trials) => self.on_trials(trials, out),
            Input::News(news) => self.on_news(&news, out),
            Input::Flying { intent, nonce, attempt } => self.on_flying(intent, nonce, attempt),
            Input::Grounded => Ok(()),
        }
    }

    fn on_head(
        &mut self,
        dropped: &[BlockRef],
        added: Vec<(Head, Vec<Log>)>,
        jumped: bool,
        next_timestamp: u64,
        out: &mut Vec<Effect>,
    ) -> Result<(), Halt> {
        for block in dropped {
            match self.recent.iter().find(|(hash, _)| *hash == block.hash) {
                Some((_, logs)) => logs.iter().for_each(|log| self.market.on_dropped_log(log)),
                // What it had changed is not known.
                None => self.market.mark_all(),
            }
        }
        self.recent.retain(|(hash, _)| !dropped.iter().any(|block| block.hash == *hash));
        // The first head, given once or again, stands for all before it, and a jump has no logs: neither can be
        // taken back by them.
        let known = self.head.map(|head| head.block.hash);
        let has_logs = known.is_some() && !jumped;
        for (head, logs) in added {
            logs.iter().for_each(|log| self.market.on_log(log, head.block.timestamp));
            self.head = Some(head);
            if has_logs && known != Some(head.block.hash) {
                self.recent.push_back((head.block.hash, logs));
            }
        }
        while self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        if jumped {
            self.market.mark_all();
        }
        let head = self.head.ok_or(Halt::Unasked)?;
        self.next_timestamp = next_timestamp;
        self.knowledge.expire(head.block.number.is_multiple_of(POOLS_AGE));
        self.report = Report { head: Some(head), moved: self.market.moved(), ..Report::default() };
        self.rounds = 0;
        self.cooling.retain(|_, until| *until > head.block.number);
        self.simple.retain(|_, until| *until > head.block.number);
        self.unheld.retain(|_, until| *until > head.block.number);
        self.market.on_head();
        // Not engaged yet, there is nobody to follow it with: the market is only being looked at.
        if let Some(flight) = self.flight.as_ref().filter(|_| self.terms.is_some()) {
            out.push(Effect::Follow(Box::new(flight.clone())));
        } else {
            self.settle_more(out)?;
        }
        Ok(())
    }

    /// Asks for what is not true yet, or goes on to judge.
    fn settle_more(&mut self, out: &mut Vec<Effect>) -> Result<(), Halt> {
        let head = self.head.ok_or(Halt::Unasked)?;
        let reads = self.market.reads();
        if reads.is_empty() {
            if self.flight.is_some() {
                // Nothing could be sent while one transaction is under way: judging waits for its end.
                self.phase = Phase::Idle;
                return Ok(());
            }
            self.judge();
            return self.search_more(out);
        }
        self.count_round(head)?;
        self.phase = Phase::Settling;
        out.push(Effect::Read { at: head.block, reads });
        Ok(())
    }

    fn count_round(&mut self, head: Head) -> Result<(), Halt> {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > MOST_ROUNDS { Err(Halt::Endless(head.block.number)) } else { Ok(()) }
    }

    fn on_answers(&mut self, answers: &[Answer], out: &mut Vec<Effect>) -> Result<(), Halt> {
        let head = self.head.ok_or(Halt::Unasked)?;
        match &self.phase {
            Phase::Settling => {
                let settled = self.market.settle(head.block, answers)?;
                self.report.drift = self.report.drift.saturating_add(settled.drift);
                if let Some(revision) = settled.unknown_revision
                    && self.terms.is_some()
                {
                    return Err(Halt::UnknownRevision(revision));
                }
                self.settle_more(out)
            }
            Phase::Searching(searching) => {
                self.knowledge.learn(&searching.asked, answers);
                self.search_more(out)
            }
            Phase::Idle | Phase::Trying(_) | Phase::Rehearsing(_) | Phase::Proving(..) => Err(Halt::Unasked),
        }
    }

    /// Who may be liquidated at the next block's time.
    fn judge(&mut self) {
        self.report.judged = true;
        let when = Moment { timestamp: self.next_timestamp, prices: self.market.prices() };
        let mut found = Vec::new();
        for account in self.market.accounts() {
            let judged = self.market.health(account, &when).and_then(|health| {
                if self.terms.is_none() || !health.factor.is_liquidatable() {
                    return Ok(None);
                }
                Ok(Some((health.factor, self.market.opportunities(account, &[], &when)?)))
            });
            match judged {
                Ok(None) => {}
                Ok(Some((_, Ok(opportunities)))) => found.push(opportunities),
                Ok(Some((factor, Err(revert)))) => {
                    let reason = Reason::Refused(revert);
                    self.report.skips.push(Skip::bare(account, Some(factor), reason));
                }
                Err(unknown) => {
                    self.report.unknown = self.report.unknown.saturating_add(1);
                    self.report.skips.push(Skip::bare(account, None, Reason::Unknown(unknown)));
                }
            }
        }
        self.phase = Phase::Searching(Searching { waiting: found, ..Searching::default() });
    }

    /// Sizes every opportunity as far as what is known allows; asks for the rest.
    fn search_more(&mut self, out: &mut Vec<Effect>) -> Result<(), Halt> {
        let head = self.head.ok_or(Halt::Unasked)?;
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let (Some(terms), Phase::Searching(mut searching)) = (&self.terms, phase) else {
            self.finish(out);
            return Ok(());
        };
        let unspent = BTreeMap::new();
        let scope = Scope {
            protocol: &self.market,
            when: Moment { timestamp: self.next_timestamp, prices: self.market.prices() },
            venue: &terms.venue,
            partners: &terms.partners,
            base_fee: next_base_fee(&head),
            slippage: terms.slippage,
            most_calls: MOST_CALLS,
            most_loans: terms.most_loans(),
            gas_limit: terms.fees.gas_limit,
            purse: terms.purse(&unspent),
        };
        let suited = |account: &Address| {
            let is_simple = self.simple.contains_key(account);
            Scope {
                most_calls: if is_simple { 1 } else { scope.most_calls },
                most_loans: if is_simple { 1 } else { scope.most_loans },
                purse: scope.purse.filter(|_| !self.unheld.contains_key(account)),
                ..scope
            }
        };
        for pairs in std::mem::take(&mut searching.waiting) {
            let Some(pair) = pairs.first() else { continue };
            match best(&suited(&pair.account), &pairs, &mut self.knowledge) {
                Known::Yes(Ok(draft)) => searching.drafts.push(draft),
                Known::Yes(Err(refusal)) => searching.refused.push(refusal),
                Known::NotYet => searching.waiting.push(pairs),
                Known::No => {}
            }
        }
        let missing = self.knowledge.missing();
        if !missing.is_empty() && self.rounds < MOST_ROUNDS {
            let reads = missing.iter().map(|question| question.read(&terms.venue)).collect();
            searching.asked = missing;
            self.phase = Phase::Searching(searching);
            self.count_round(head)?;
            out.push(Effect::Read { at: head.block, reads });
            return Ok(());
        }
        let (drafts, unpaid) =
            purse::share_out(suited, std::mem::take(&mut searching.drafts), &mut self.knowledge);
        searching.refused.extend(unpaid);
        // One account must not keep the others waiting.
        let unanswered = searching.waiting.into_iter().filter_map(|pairs| pairs.into_iter().next());
        let unanswered = unanswered.map(|pair| (pair, Refusal::bare(Reason::Questions)));
        let refused = searching.refused.into_iter().chain(unanswered);
        self.report.skips.extend(refused.map(|(pair, refusal)| refusal.skip(&pair)));
        self.propose(drafts, out);
        Ok(())
    }
}
