//! The desk that signs, journals and sends, in that order, and books what became of it.

use super::errand;
use super::observe::{self, Voice};
use super::show::{legs, swap_lines};
use crate::config::{Config, Key};
use crate::domain::chain::Receipt;
use crate::domain::cost::{Fees, gas_limit};
use crate::domain::keeper::Input;
use crate::domain::lane::{Attempt, Flight, Kind, News};
use crate::domain::plan::{Loan, Plan, Submission};
use crate::domain::units::{Gas, Wei};
use crate::domain::verdict;
use crate::exit::{Exit, ExitExt};
use crate::io::datadir::DataDir;
use crate::io::journal::{Durable, Errand, Intent, IntentId, Journal, NotDurable, Open, Outcome, Verdict};
use crate::io::pause::Pause;
use crate::io::rpc::Rpc;
use crate::io::signer::{self, Password, Policy, Request, Signer, Source};
use alloy::primitives::{Address, B256};
use eyre::{Result, WrapErr, bail, eyre};
use serde_json::json;
use std::collections::BTreeMap;

/// One key, its journal and the node it sends to.
pub struct Desk {
    rpc: Rpc,
    signer: Signer,
    journal: Journal,
    voice: Voice,
    pause: Pause,
    /// What may be sent again, by hash.
    durable: BTreeMap<B256, Durable>,
    most_gas: Gas,
}

/// Loads the key that the configuration names, bound to `policy`.
///
/// # Errors
/// Exit code 3, with what is wrong with the file or variable.
pub async fn signer(config: &Config, policy: Policy) -> Result<Signer> {
    let source = match &config.wallet.key {
        Key::None => bail!("no wallet is configured"),
        Key::Keystore { path, password_file } => Source::Keystore {
            path: path.clone(),
            password: password_file
                .clone()
                .map(Password::File)
                .ok_or_else(|| eyre!("wallet.password_file is missing: a daemon cannot ask for a password"))
                .exit(Exit::Configuration)?,
        },
        Key::Environment(key) => Source::Environment(key.clone()),
    };
    load(source, policy).await.wrap_err("wallet").exit(Exit::Configuration)
}

/// Loads a key, on a thread that may take its time, in a process that is closed to debuggers first.
///
/// # Errors
/// As `Signer::load`.
pub async fn load(source: Source, policy: Policy) -> Result<Signer> {
    signer::harden().wrap_err("closing the process to core dumps")?;
    tokio::task::spawn_blocking(move || Signer::load(source, policy))
        .await
        .wrap_err("loading the key was interrupted")?
}

impl Desk {
    /// Opens the journal and says what a previous run left under way.
    ///
    /// # Errors
    /// A journal that cannot be trusted, or one that holds an unfinished transaction of another key.
    pub async fn open(
        config: &Config,
        rpc: Rpc,
        datadir: &DataDir,
        signer: Signer,
        voice: Voice,
    ) -> Result<(Self, Option<Flight>)> {
        let (path, chain, address) = (datadir.journal(), config.market.chain_id, signer.address());
        let journal = errand::journal(path, chain, address).await?;
        let mut desk = Self {
            rpc,
            signer,
            journal,
            voice,
            pause: Pause::at(datadir.pause()),
            durable: BTreeMap::new(),
            most_gas: config.fees.gas_limit,
        };
        let mut flight = None;
        for open in desk.journal.unfinished().await.exit(Exit::Configuration)? {
            flight = Some(desk.take_up(&open)?);
        }
        Ok((desk, flight))
    }

    pub fn address(&self) -> Address {
        self.signer.address()
    }

    fn take_up(&mut self, open: &Open) -> Result<Flight> {
        let nonce = open.nonce;
        let (None, Some(intent)) = (open.errand, &open.intent) else {
            let command = open.errand.map_or("run", Errand::as_str);
            return Err(eyre!(
                "the journal holds what `backstop {command}` left unfinished (nonce {nonce}): run that again first"
            ))
            .exit(Exit::Configuration);
        };
        if open.from != self.address() {
            return Err(eyre!(
                "the journal holds an unfinished transaction of {} (nonce {nonce}): run once with that key first",
                open.from
            ))
            .exit(Exit::Configuration);
        }
        let mut attempts = Vec::with_capacity(open.attempts.len());
        for attempt in &open.attempts {
            let durable = attempt.again();
            let kind = match durable.kind() {
                signer::Kind::Cancel => Kind::Cancel,
                signer::Kind::Execute | signer::Kind::Deploy | signer::Kind::Salvage => Kind::Execute,
            };
            let fees = Fees { max_fee: attempt.max_fee, tip: attempt.tip, expected: attempt.max_fee };
            attempts.push(Attempt { hash: durable.hash(), kind, fees });
            self.durable.insert(durable.hash(), durable);
        }
        tracing::warn!(nonce = open.nonce, account = %intent.account, "a previous run left this under way");
        Ok(Flight {
            intent: open.id.0,
            nonce: open.nonce,
            places: intent.places(),
            promised: intent.promised_gross,
            late_at: None,
            attempts,
            doubted_at: None,
        })
    }

    /// Signs a submission, commits it to the journal, sends it. What cannot be signed or written is let go, and so is
    /// everything while the keeper is paused: this is the last moment to look.
    ///
    /// # Errors
    /// When the node fails before anything was signed, or the journal has failed for good.
    pub async fn submit(&mut self, submission: &Submission) -> Result<Input> {
        let address = self.address();
        let nonce = self.rpc.next_nonce(address).await.exit(Exit::Network)?;
        let gas_limit = gas_limit(submission.gas, self.most_gas);
        let balance = self.rpc.balance(address).await.exit(Exit::Network)?;
        let needed = gas_limit.cost(submission.fees.max_fee);
        if balance < needed {
            observe::no_funds(address, balance, needed);
            return Ok(Input::Grounded);
        }
        if self.pause.reason().is_some() {
            observe::held_back(submission.plans.len());
            return Ok(Input::Grounded);
        }
        let request = Request::Execute {
            data: submission.data.clone(),
            nonce,
            gas_limit,
            max_fee: submission.fees.max_fee,
            tip: submission.fees.tip,
        };
        let signed = match self.signer.sign(request) {
            Ok(signed) => signed,
            Err(refused) => {
                observe::not_signed(&refused);
                return Ok(Input::Grounded);
            }
        };
        match self.journal.record(self.intent(submission)?, signed).await {
            Ok(durable) => {
                self.voice.sending(submission, &durable);
                self.dispatch(durable, submission.fees).await
            }
            Err(fault) if fault.is_fatal() => Err(fault).exit(Exit::Unexpected),
            Err(NotDurable::NonceTaken { nonce }) => self.restore(nonce).await.map(|()| Input::Grounded),
            Err(fault) => {
                observe::not_written(&fault);
                Ok(Input::Grounded)
            }
        }
    }

    /// The chain took back what it had mined of this nonce: the same bytes go out again, and nothing else until
    /// they are mined.
    ///
    /// # Errors
    /// When there are no such bytes: this journal is not of this chain.
    pub async fn restore(&self, nonce: u64) -> Result<()> {
        let mined = self.journal.mined_at(nonce).await.exit(Exit::Unexpected)?;
        if mined.is_empty() {
            return Err(NotDurable::NonceTaken { nonce }).exit(Exit::Configuration);
        }
        for durable in mined {
            let said = self.rpc.send(&durable).await;
            observe::restored(nonce, durable.hash(), &said);
            self.note(durable.hash(), said).await?;
        }
        Ok(())
    }

    /// The first plan stands for all in the journal's columns; the detail has every one.
    fn intent(&self, submission: &Submission) -> Result<Intent> {
        let first = submission.plans.first().ok_or_else(|| eyre!("a submission of nothing"))?;
        let (draft, proposal) = (&first.proposal.draft, &first.proposal);
        let (debt_asset, collateral_asset, repay) =
            draft.first().ok_or_else(|| eyre!("a draft of nothing"))?;
        Ok(Intent {
            market: self.voice.market.clone(),
            account: draft.account,
            debt_asset,
            collateral_asset,
            repay,
            block: proposal.at.number,
            deadline_block: proposal.deadline,
            promised_gross: submission.gross,
            promised_gas: submission.gas,
            promised_net: submission.net.gain().unwrap_or(Wei::ZERO),
            detail: json!({ "liquidations": submission.plans.iter().flat_map(detail).collect::<Vec<_>>() }),
        })
    }

    /// Signs and journals a transaction to ourselves with the flight's nonce, and sends it.
    ///
    /// # Errors
    /// When the journal has failed for good.
    pub async fn withdraw(&mut self, flight: &Flight, fees: Fees) -> Result<Option<Input>> {
        let request = Request::Cancel { nonce: flight.nonce, max_fee: fees.max_fee, tip: fees.tip };
        let signed = match self.signer.sign(request) {
            Ok(signed) => signed,
            Err(refused) => {
                observe::not_signed(&refused);
                return Ok(None);
            }
        };
        match self.journal.record_cancel(IntentId(flight.intent), signed).await {
            Ok(durable) => {
                self.voice.withdrawing(flight, &durable);
                Ok(Some(self.dispatch(durable, fees).await?))
            }
            Err(fault) if fault.is_fatal() => Err(fault).exit(Exit::Unexpected),
            Err(fault) => {
                observe::not_written(&fault);
                Ok(None)
            }
        }
    }

    async fn dispatch(&mut self, durable: Durable, fees: Fees) -> Result<Input> {
        let said = self.rpc.send(&durable).await;
        self.note(durable.hash(), said).await?;
        let kind = match durable.kind() {
            signer::Kind::Cancel => Kind::Cancel,
            signer::Kind::Execute | signer::Kind::Deploy | signer::Kind::Salvage => Kind::Execute,
        };
        let flying = Input::Flying {
            intent: durable.intent().0,
            nonce: durable.nonce(),
            attempt: Attempt { hash: durable.hash(), kind, fees },
        };
        self.durable.insert(durable.hash(), durable);
        Ok(flying)
    }

    /// Sends journaled bytes once more, unchanged.
    ///
    /// # Errors
    /// When the journal has failed for good.
    pub async fn resend(&mut self, hash: B256) -> Result<()> {
        let Some(durable) = self.durable.get(&hash) else {
            bail!("{hash} is not in the journal and cannot be sent again");
        };
        let said = self.rpc.send(durable).await;
        observe::resent(hash, &said);
        self.note(hash, said).await
    }

    async fn note(&self, hash: B256, said: String) -> Result<()> {
        match self.journal.sent(hash, said).await {
            Err(fault) if fault.is_fatal() => Err(fault).exit(Exit::Unexpected),
            // What a node said is advice; not having it written loses nothing.
            _ => Ok(()),
        }
    }

    /// What the chain says of a flight. The nonce is asked first: a receipt that comes in between is then still
    /// found.
    ///
    /// # Errors
    /// When the node fails.
    pub async fn follow(&self, flight: &Flight) -> Result<News> {
        let next_nonce = self.rpc.next_nonce(self.address()).await.exit(Exit::Network)?;
        let receipt = self.rpc.receipt_of(&flight.hashes()).await.exit(Exit::Network)?;
        Ok(News { receipt, next_nonce })
    }

    /// Books the end of a flight.
    ///
    /// # Errors
    /// When the journal does not take it.
    pub async fn book(
        &mut self,
        flight: &Flight,
        verdict: &verdict::Verdict,
        receipt: Option<&Receipt>,
    ) -> Result<()> {
        self.voice.booked(flight, verdict, receipt);
        let write = async {
            if let Some(receipt) = receipt {
                self.journal.mined(receipt).await?;
            }
            let settled = Verdict {
                outcome: match verdict.outcome {
                    verdict::Outcome::Won => Outcome::Won,
                    verdict::Outcome::Reverted => Outcome::Reverted,
                    verdict::Outcome::Withdrawn => Outcome::Cancelled,
                    verdict::Outcome::Foreign => Outcome::ForeignNonce,
                },
                realised_gross: verdict.gross,
                realised_net: verdict.net,
                gas_used: receipt.map_or(Gas(0), |receipt| receipt.gas_used),
            };
            self.journal.settle(IntentId(flight.intent), settled).await
        };
        write
            .await
            .map_err(|fault: NotDurable| eyre!(fault))
            .wrap_err("booking a result")
            .exit(Exit::Unexpected)?;
        self.durable.clear();
        Ok(())
    }
}

/// What explains one plan to people, and to a later run: a part for each loan, in their order.
fn detail(plan: &Plan) -> Vec<serde_json::Value> {
    let draft = &plan.proposal.draft;
    let part = |loan: &Loan| {
        json!({
            "account": draft.account,
            "legs": legs(&loan.calls),
            "health_factor": draft.health,
            "swaps": swap_lines(&loan.swaps),
            "shares": loan.shares().map(|shares| json!({
                "token": shares.token,
                "units": shares.units,
                "least": shares.least,
                "worth_wei": shares.worth,
                "paid": shares.paid,
                "cost_wei": shares.cost,
            })),
            "gross_wei": if draft.loans.len() == 1 { plan.gross } else { loan.gross },
            "min_profit_wei": loan.shares().is_none().then_some(plan.proposal.min_profit),
        })
    };
    draft.loans.iter().map(part).collect()
}
