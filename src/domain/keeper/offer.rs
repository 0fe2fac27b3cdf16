//! From drafts to what is sent: the exact calls are tried, what pays is weighed, several are rehearsed behind one
//! another and packed, and the best goes out.

use super::weigh::{propose, weigh};
use super::{COOLDOWN, Effect, Halt, Keeper, Phase};
use crate::domain::chain::Head;
use crate::domain::cost::next_base_fee;
use crate::domain::pack::{self, Step};
use crate::domain::plan::{Call, Draft, Plan, Reason, Submission, Trial};
use crate::domain::protocol::Protocol;
use crate::domain::units::{Net, Wei};

impl<P: Protocol> Keeper<P> {
    /// Turns drafts into exact calls and has them tried.
    pub(super) fn propose(&mut self, drafts: Vec<Draft>, out: &mut Vec<Effect>) {
        let (Some(terms), Some(head)) = (&self.terms, self.head) else { return self.finish(out) };
        let proposals =
            drafts.into_iter().filter_map(|draft| propose(draft, terms, &head).ok()).collect::<Vec<_>>();
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
                let pairs = proposals.into_iter().zip(trials).collect::<Vec<_>>();
                // Where plain calls are refused as well the node has read and tried different states: no plan is to blame.
                let is_plain = |draft: &Draft| draft.calls().count() == 1 && draft.purse().is_none();
                let is_doubtful = pairs.iter().any(|(proposal, trial)| {
                    is_plain(&proposal.draft) && matches!(trial, Trial::Refused { .. })
                });
                for (proposal, trial) in pairs {
                    let is_simple = proposal.draft.calls().count() == 1;
                    let takes_shares = proposal.draft.purse().is_some();
                    match weigh(proposal, trial, terms, base_fee) {
                        Ok(plan) => self.report.plans.push(plan),
                        Err(skip) => {
                            let until = head.block.number.saturating_add(COOLDOWN);
                            let is_refused = match skip.reason {
                                Reason::Simulation(_) => !is_doubtful,
                                Reason::GasLimit => true,
                                _ => false,
                            };
                            // The next head tries it with one call, or with a loan.
                            if is_refused && takes_shares {
                                self.unheld.insert(skip.account, until);
                            } else if is_refused && !is_simple {
                                self.simple.insert(skip.account, until);
                            }
                            self.report.skips.push(*skip);
                        }
                    }
                }
                self.report.plans.sort_by_key(|plan| std::cmp::Reverse(plan.net));
                self.finish(out);
            }
            Phase::Rehearsing(plans) => {
                let step = pack::weigh(plans, &trials, &head, terms);
                self.pack(head, step, out);
            }
            Phase::Proving(plans, call) => {
                let trial = trials.first().ok_or(Halt::Unasked)?;
                let alone = self.ready().first().map_or(Net::Gain(Wei::ZERO), |plan| plan.net);
                let step = pack::prove(plans, call, trial, &head, terms, alone);
                self.pack(head, step, out);
            }
            _ => return Err(Halt::Unasked),
        }
        Ok(())
    }

    fn pack(&mut self, head: Head, step: Step, out: &mut Vec<Effect>) {
        let Some(terms) = &self.terms else { return };
        match step {
            Step::Rehearse(plans) => {
                let calls = pack::rehearsal(&plans, terms);
                self.phase = Phase::Rehearsing(plans);
                self.attempt(head, calls, true, out);
            }
            Step::Prove(plans, call) => {
                self.phase = Phase::Proving(plans, call.clone());
                self.attempt(head, vec![call], false, out);
            }
            Step::Send(submission) => self.submit(*submission, out),
            Step::Alone => self.submit_best(out),
        }
    }

    /// Closes the head: in live mode with a free lane the plans go on to be packed, or the only one to be sent.
    pub(super) fn finish(&mut self, out: &mut Vec<Effect>) {
        self.phase = Phase::Idle;
        let (Some(terms), Some(head)) = (&self.terms, self.head) else { return };
        if !terms.live || self.flight.is_some() {
            return;
        }
        let step = if terms.bundles { pack::choose(self.ready(), &head, &terms.fees) } else { Step::Alone };
        self.pack(head, step, out);
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
