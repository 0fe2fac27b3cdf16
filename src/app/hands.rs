//! Does what the keeper asks for, in order, and brings it the answers until nothing is left to do.

use super::desk::Desk;
use crate::domain::keeper::{Effect, Input, Keeper};
use crate::domain::protocol::Protocol;
use crate::exit::{Exit, ExitExt};
use crate::io::reader::Reader;
use crate::io::simulate::{Moment, Simulator};
use eyre::{Result, bail, eyre};
use std::collections::VecDeque;

/// What the hands can reach. Commands that only look have no simulator, dry runs no lane.
pub struct Hands<'a> {
    pub reader: &'a Reader,
    pub simulator: Option<&'a Simulator>,
    pub desk: Option<&'a mut Desk>,
}

impl<'a> Hands<'a> {
    /// Hands that only read.
    pub fn reading(reader: &'a Reader) -> Self {
        Self { reader, simulator: None, desk: None }
    }
}

/// Gives the keeper one fact and carries out everything that follows from it.
///
/// # Errors
/// When an effect fails (the fact may be given again), or the keeper halts: what has ended is booked before.
pub async fn drive<P: Protocol>(keeper: &mut Keeper<P>, input: Input, hands: &mut Hands<'_>) -> Result<()> {
    let mut next = Some(input);
    let mut effects = Vec::new();
    let mut queue = VecDeque::new();
    loop {
        if let Some(input) = next.take() {
            let step = keeper.step(input, &mut effects);
            queue.extend(effects.drain(..));
            if let Err(halt) = step {
                for effect in queue.into_iter().filter(|effect| matches!(effect, Effect::Book { .. })) {
                    hands.perform(effect).await?;
                }
                return Err(halt).exit(Exit::Refused);
            }
        }
        let Some(effect) = queue.pop_front() else { return Ok(()) };
        next = hands.perform(effect).await?;
    }
}

impl Hands<'_> {
    async fn perform(&mut self, effect: Effect) -> Result<Option<Input>> {
        match effect {
            Effect::Read { at, reads } => {
                let answers = self.reader.answers(at.hash, &reads).await;
                Ok(Some(Input::Answers(answers.exit(Exit::Network)?)))
            }
            Effect::Try { at, timestamp, base_fee, calls, in_sequence } => {
                let Some(simulator) = self.simulator else { bail!("nothing was set up to simulate with") };
                let moment = Moment { at, timestamp, base_fee };
                let trials = if in_sequence {
                    simulator.attempt_in_sequence(&moment, &calls).await
                } else {
                    simulator.attempt_all(&moment, &calls).await
                };
                Ok(Some(Input::Trials(trials.exit(Exit::Network)?)))
            }
            Effect::Submit(plan) => self.desk()?.submit(&plan).await.map(Some),
            Effect::Withdraw { flight, fees } => self.desk()?.withdraw(&flight, fees).await,
            Effect::Resend(hash) => self.desk()?.resend(hash).await.map(|()| None),
            Effect::Restore(nonce) => self.desk()?.restore(nonce).await.map(|()| None),
            Effect::Follow(flight) => Ok(Some(Input::News(self.desk()?.follow(&flight).await?))),
            Effect::Book { flight, verdict, receipt } => {
                self.desk()?.book(&flight, &verdict, receipt.as_deref()).await.map(|()| None)
            }
        }
    }

    fn desk(&mut self) -> Result<&mut Desk> {
        self.desk.as_deref_mut().ok_or_else(|| eyre!("nothing was set up to sign and send with"))
    }
}
