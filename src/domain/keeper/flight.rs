//! What is under way: followed at each head, and ended by its receipt.

use super::{COOLDOWN, Effect, Halt, Keeper};
use crate::domain::lane::{self, Attempt, Flight, Kind, News, Order};
use crate::domain::protocol::Protocol;
use crate::domain::units::{Net, Wei};
use crate::domain::verdict::{self, Outcome, Verdict};

impl<P: Protocol> Keeper<P> {
    pub(super) fn on_news(&mut self, news: &News, out: &mut Vec<Effect>) -> Result<(), Halt> {
        let (Some(flight), Some(head)) = (self.flight.clone(), self.head) else {
            return Err(Halt::Unasked);
        };
        let terms = self.terms.as_ref().ok_or(Halt::Unasked)?;
        let (policy, executor, native) = (terms.fees, terms.executor, terms.venue.wrapped_native);
        if let Some(ours) = &mut self.flight {
            // Counted from when it was first looked for: however long planning took, it gets its chance.
            ours.late_at.get_or_insert(head.block.number.saturating_add(lane::PATIENCE));
        }
        match lane::order(&flight, &head, news, &policy) {
            Some(Order::Settle(receipt)) => {
                let kind = flight.kind(receipt.hash).unwrap_or(Kind::Execute);
                let verdict = verdict::of(&receipt, kind, executor, native, &flight.places);
                // What was withdrawn did not fail: it is planned anew, at the fees of the day.
                let ran = verdict.outcome != Outcome::Withdrawn;
                let accounts = flight.places.iter().map(|place| place.account);
                let untaken = accounts.filter(|account| !verdict.taken.contains(account));
                let alone = verdict.failed.iter().filter_map(|(place, _)| flight.places.get(*place));
                let until = head.block.number.saturating_add(COOLDOWN);
                let failed = untaken.chain(alone.map(|place| place.account)).filter(|_| ran);
                self.cooling.extend(failed.map(|account| (account, until)));
                self.flight = None;
                out.push(Effect::Book {
                    flight: Box::new(flight),
                    verdict: Box::new(verdict),
                    receipt: Some(Box::new(receipt)),
                });
            }
            Some(Order::Resend(hash)) => out.push(Effect::Resend(hash)),
            Some(Order::Restore(nonce)) => out.push(Effect::Restore(nonce)),
            Some(Order::Withdraw(fees)) => {
                out.push(Effect::Withdraw { flight: Box::new(flight), fees });
            }
            Some(Order::Doubt) => {
                if let Some(flight) = &mut self.flight {
                    flight.doubted_at.get_or_insert(head.block.number);
                }
            }
            Some(Order::Foreign) => {
                self.flight = None;
                let nonce = flight.nonce;
                let verdict = Verdict {
                    outcome: Outcome::Foreign,
                    gross: Wei::ZERO,
                    cost: Wei::ZERO,
                    net: Net::Gain(Wei::ZERO),
                    taken: vec![],
                    shares: vec![],
                    failed: vec![],
                };
                out.push(Effect::Book {
                    flight: Box::new(flight),
                    verdict: Box::new(verdict),
                    receipt: None,
                });
                return Err(Halt::ForeignNonce(nonce));
            }
            None => {}
        }
        self.settle_more(out)
    }

    /// A transaction was signed, journaled and handed to the node.
    pub(super) fn on_flying(&mut self, intent: i64, nonce: u64, attempt: Attempt) -> Result<(), Halt> {
        if let Some(flight) = self.flight.as_mut().filter(|flight| flight.intent == intent) {
            flight.attempts.push(attempt);
            return Ok(());
        }
        // To forget it would be to sign its nonce a second time.
        let Some(submission) = self.submitted.take() else { return Err(Halt::Unasked) };
        self.flight = Some(Flight {
            intent,
            nonce,
            places: submission.places(),
            promised: submission.gross,
            late_at: None,
            attempts: vec![attempt],
            doubted_at: None,
        });
        Ok(())
    }
}
