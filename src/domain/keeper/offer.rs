//! From drafts to what is sent: the exact calls are tried, what pays is weighed, several are rehearsed behind one
//! another and packed, and the best goes out.

use super::{DEADLINE, Effect, Halt, Keeper, Phase, Terms};
use crate::domain::chain::Head;
use crate::domain::cost::{fees, next_base_fee};
use crate::domain::executor::{Order as CallOrder, call_data};
use crate::domain::pack::{self, Rehearsed};
use crate::domain::plan::{Call, Draft, Plan, Proposal, Reason, Skip, Submission, Trial, least_profit};
use crate::domain::protocol::Protocol;
use crate::domain::units::{FeePerGas, Net};

impl<P: Protocol> Keeper<P> {
    /// Turns drafts into exact calls and has them tried.
    pub(super) fn propose(&mut self, drafts: Vec<Draft>, out: &mut Vec<Effect>) {
        let (Some(terms), Some(head)) = (&self.terms, self.head) else { return self.finish(out) };
        let base_fee = next_base_fee(&head);
        let deadline = head.block.number.saturating_add(DEADLINE);
        let mut proposals = Vec::new();
        for draft in drafts {
            let floor = draft.gas.cost(base_fee);
            let Ok(min_profit) = least_profit(draft.gross, terms.slippage, floor) else { continue };
            let order = CallOrder {
                lender: terms.lender,
                account: draft.account,
                debt_asset: draft.debt_asset,
                collateral_asset: draft.collateral_asset,
                outcome: &draft.outcome,
                funding: draft.funding,
                borrowed: draft.borrowed,
                swaps: &draft.swaps,
                venue: &terms.venue,
                min_profit,
                deadline,
            };
            let data = call_data(order.encode());
            proposals.push(Proposal {
                draft,
                at: head.block,
                to: terms.executor,
                data,
                min_profit,
                deadline,
            });
        }
        if proposals.is_empty() {
            return self.finish(out);
        }
        let calls = proposals.iter().map(|proposal| Call { to: proposal.to, data: proposal.data.clone() });
        let calls = calls.collect();
        self.phase = Phase::Trying(proposals);
        self.attempt(head, calls, false, out);
    }

    fn attempt(&self, at: Head, calls: Vec<Call>, in_sequence: bool, out: &mut Vec<Effect>) {
        // No block can be simulated at its parent's second.
        let timestamp = self.next_timestamp.max(at.block.timestamp.saturating_add(1));
        let base_fee = next_base_fee(&at);
        out.push(Effect::Try { at, timestamp, base_fee, calls, in_sequence });
    }

    pub(super) fn on_trials(&mut self, trials: Vec<Trial>, out: &mut Vec<Effect>) -> Result<(), Halt> {
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let (Some(terms), Some(head)) = (&self.terms, self.head) else { return Err(Halt::Unasked) };
        match phase {
            Phase::Trying(proposals) => {
                let base_fee = next_base_fee(&head);
                for (proposal, trial) in proposals.into_iter().zip(trials) {
                    match weigh(proposal, trial, terms, base_fee) {
                        Ok(plan) => self.report.plans.push(plan),
                        Err(skip) => self.report.skips.push(*skip),
                    }
                }
                self.report.plans.sort_by_key(|plan| std::cmp::Reverse(plan.net));
                self.finish(out);
            }
            Phase::Rehearsing(plans) => match pack::weigh(plans, &trials, &head, terms) {
                Rehearsed::Ready(plans, call) => {
                    self.phase = Phase::Proving(plans, call.clone());
                    self.attempt(head, vec![call], false, out);
                }
                Rehearsed::Again(plans) => self.rehearse(head, plans, out),
                Rehearsed::Alone => self.submit_best(out),
            },
            Phase::Proving(plans, call) => {
                let proven =
                    trials.first().and_then(|trial| pack::submission(plans, call, trial, &head, terms));
                match proven {
                    Some(submission) => self.submit(submission, out),
                    None => self.submit_best(out),
                }
            }
            _ => return Err(Halt::Unasked),
        }
        Ok(())
    }

    fn rehearse(&mut self, head: Head, plans: Vec<Plan>, out: &mut Vec<Effect>) {
        let Some(terms) = &self.terms else { return };
        let calls = pack::rehearsal(&plans, terms);
        self.phase = Phase::Rehearsing(plans);
        self.attempt(head, calls, true, out);
    }

    /// Closes the head: in live mode with a free lane the plans go on to be packed, or the only one to be sent.
    pub(super) fn finish(&mut self, out: &mut Vec<Effect>) {
        self.phase = Phase::Idle;
        let (Some(terms), Some(head)) = (&self.terms, self.head) else { return };
        if !terms.live || self.flight.is_some() {
            return;
        }
        let ready = self.ready();
        let chosen = if terms.bundles { pack::choose(ready, &head, &terms.fees) } else { vec![] };
        if chosen.len() > 1 { self.rehearse(head, chosen, out) } else { self.submit_best(out) }
    }

    /// The plans whose accounts are not left alone after a failure.
    fn ready(&self) -> Vec<Plan> {
        let cooling = |plan: &&Plan| !self.cooling.contains_key(&plan.proposal.draft.account);
        self.report.plans.iter().filter(cooling).cloned().collect()
    }

    fn submit_best(&mut self, out: &mut Vec<Effect>) {
        if let Some(plan) = self.ready().into_iter().next() {
            self.submit(plan.into(), out);
        }
    }

    fn submit(&mut self, submission: Submission, out: &mut Vec<Effect>) {
        self.phase = Phase::Idle;
        self.submitted = Some(submission.clone());
        out.push(Effect::Submit(Box::new(submission)));
    }
}

/// The plan a proposal becomes after its trial, or why not.
fn weigh(proposal: Proposal, trial: Trial, terms: &Terms, base_fee: FeePerGas) -> Result<Plan, Box<Skip>> {
    let draft = &proposal.draft;
    let estimated = Net::of(draft.gross, draft.gas.cost(base_fee));
    let skip = |reason: Reason, net: Net| Box::new(Skip::of(draft, reason, Some(net)));
    let (gross, gas) = match trial {
        Trial::Profit { gross, gas } => (gross, gas),
        Trial::Refused { why } => return Err(skip(Reason::Simulation(why), estimated)),
    };
    let net = Net::of(gross, gas.cost(base_fee));
    if gas > terms.fees.gas_limit {
        return Err(skip(Reason::GasLimit, net));
    }
    if net.gain().is_none() {
        return Err(skip(Reason::Unprofitable, net));
    }
    let fees = match fees(gross, gas, base_fee, &terms.fees) {
        Ok(Some(fees)) => fees,
        Ok(None) => return Err(skip(Reason::FeeCeiling, net)),
        Err(_) => return Err(skip(Reason::Overflow, net)),
    };
    let cost = gas.cost(fees.expected);
    let net = Net::of(gross, cost);
    if net < Net::Gain(terms.minimum) {
        return Err(skip(Reason::BelowMinimum, net));
    }
    Ok(Plan { proposal, gross, gas, fees, cost, net })
}
