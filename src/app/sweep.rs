//! `sweep`: moves what the executor holds to its receiver. Only its owner can, so this is the one command that uses
//! the owner's key, and that key signs salvages and nothing else. One transaction a token, journaled like anything
//! that is signed.

use super::show::native;
use super::{addresses, desk, errand, wire};
use crate::abi::erc20::Erc20;
use crate::abi::executor::Executor;
use crate::cli::{Sweep, Token};
use crate::config::{Config, Key};
use crate::domain::chain::{Head, Read, Receipt};
use crate::domain::cost::next_base_fee;
use crate::domain::keeper::Keeper;
use crate::domain::protocols::aave_v3::Market;
use crate::domain::units::{FeePerGas, Gas, Net, Wei, show};
use crate::exit::{Exit, ExitExt};
use crate::io::datadir::DataDir;
use crate::io::journal::{Attempt, Durable, Errand, Journal};
use crate::io::reader::Reader;
use crate::io::rpc::Rpc;
use crate::io::signer::{Password, Policy, Request, Signer, Source};
use crate::io::{out, person};
use alloy::primitives::{Address, U256};
use alloy::sol_types::{SolCall, SolEvent};
use eyre::{Result, WrapErr, eyre};
use serde_json::json;
use std::collections::BTreeMap;

/// Offered to the proposer of the block: a sweep is in no hurry.
const TIP: FeePerGas = FeePerGas(1_000_000_000);
/// Most gas one may carry: a token's transfer takes a tenth of it.
const MOST_GAS: Gas = Gas(1_500_000);
/// The native coin, as the contract names it.
const NATIVE: Address = Address::ZERO;

/// The executor on the chain.
struct Stand {
    rpc: Rpc,
    reader: Reader,
    head: Head,
    executor: Address,
    owner: Address,
    receiver: Address,
}

/// One token the executor holds, and what moving it takes.
struct Holding {
    token: Address,
    symbol: String,
    amount: U256,
    shown: String,
    gas: Gas,
}

/// # Errors
/// Tagged with the exit code they mean: 3 when the key is not the owner's, 7 when something could not be moved.
pub async fn sweep(config: &Config, arguments: &Sweep, json: bool) -> Result<()> {
    let stand = Stand::find(config).await?;
    let policy = Policy::sweep(config.market.chain_id, stand.executor, config.fees.max_fee, MOST_GAS);
    let signer = owner(config, policy).await?;
    if signer.address() != stand.owner {
        return Err(eyre!(
            "the key of {} is not that of the executor's owner {}: nothing was sent (where a contract owns it, that \
             contract calls salvage)",
            signer.address(),
            stand.owner
        ))
        .exit(Exit::Configuration);
    }
    let datadir = DataDir::open(&config.datadir, config.market.chain_id).exit(Exit::Configuration)?;
    let _lock = datadir.lock().exit(Exit::Configuration)?;
    let journal = errand::journal(datadir.journal(), config.market.chain_id, stand.owner).await?;
    if let Some(durable) = unfinished(&journal, stand.owner).await? {
        let receipt = errand::finish(&stand.rpc, &journal, &durable, stand.owner, Errand::Sweep).await?;
        tracing::info!(transaction = %receipt.hash, block = receipt.block, "the previous sweep is finished");
    }
    let (holdings, stuck) = stand.holdings(config, arguments.token).await?;
    for (token, why) in &stuck {
        tracing::error!(%token, why, "cannot be moved");
    }
    if holdings.is_empty() && stuck.is_empty() {
        out::aside(&format!("the executor {} holds nothing to move", stand.executor));
        return Ok(());
    }
    let mut failed = stuck.len();
    if !holdings.is_empty() {
        let order = stand.price(config, &holdings).await?;
        stand.confirm(&holdings, &order, arguments.yes)?;
        for holding in &holdings {
            let receipt = stand.carry_out(&journal, &signer, &order, holding).await?;
            failed = failed.saturating_add(usize::from(!stand.say(holding, &receipt, json)?));
        }
    }
    if failed > 0 {
        return Err(eyre!("{failed} holdings could not be moved")).exit(Exit::Refused);
    }
    Ok(())
}

/// The owner's key, as the configuration or the flags name it; the password is asked for where no file has it.
async fn owner(config: &Config, policy: Policy) -> Result<Signer> {
    let source = match &config.owner.key {
        Key::None => return Err(eyre!("no owner's key is configured")).exit(Exit::Configuration),
        Key::Environment(key) => Source::Environment(key.clone()),
        Key::Keystore { path, password_file: Some(file) } => {
            Source::Keystore { path: path.clone(), password: Password::File(file.clone()) }
        }
        Key::Keystore { .. } if !person::is_there() => {
            return Err(eyre!(
                "there is no terminal to ask for the owner's password on: use --password-file"
            ))
            .exit(Exit::Usage);
        }
        Key::Keystore { path, password_file: None } => {
            let password = Password::Typed(person::secret("Password of the owner's keystore")?);
            Source::Keystore { path: path.clone(), password }
        }
    };
    desk::load(source, policy).await.wrap_err("owner").exit(Exit::Configuration)
}

async fn unfinished(journal: &Journal, owner: Address) -> Result<Option<Durable>> {
    let open = journal.unfinished().await.exit(Exit::Configuration)?;
    let Some(open) = open.into_iter().find(|open| open.from == owner) else { return Ok(None) };
    if open.errand != Some(Errand::Sweep) {
        let command = open.errand.map_or("run", Errand::as_str);
        return Err(eyre!(
            "this key left something unfinished (nonce {}): let `backstop {command}` finish it",
            open.nonce
        ))
        .exit(Exit::Configuration);
    }
    tracing::warn!(nonce = open.nonce, "a previous sweep was not finished: sending it again");
    Ok(open.attempts.last().map(Attempt::again))
}

/// What every transaction of this sweep offers.
struct Order {
    max_fee: FeePerGas,
    tip: FeePerGas,
    expected: Wei,
}

impl Stand {
    async fn find(config: &Config) -> Result<Self> {
        let Some(executor) = config.executor.address else {
            return Err(eyre!("executor.address is needed")).exit(Exit::Configuration);
        };
        let rpc = wire::connect(config).await?;
        let reader = Reader::new(rpc.clone(), config.rpc.batch).await.exit(Exit::Network)?;
        let head = rpc.block("latest").await.exit(Exit::Network)?;
        let code = reader.code(head.block.hash, executor).await.exit(Exit::Network)?;
        if let Some((what, remedy)) = addresses::other_code(config, executor, &code) {
            return Err(eyre!("executor.address: {what}: {remedy}")).exit(Exit::Configuration);
        }
        let calls = [Executor::ownerCall {}.abi_encode(), Executor::receiverCall {}.abi_encode()];
        let reads = calls.map(|data| Read { to: executor, data: data.into() });
        let answers = reader.answers(head.block.hash, &reads).await.exit(Exit::Network)?;
        let mut words = answers.iter().map(|answer| {
            let data = answer.0.as_ref().ok_or_else(|| eyre!("the executor {executor} does not answer"))?;
            Ok::<_, eyre::Report>(Executor::ownerCall::abi_decode_returns(data)?)
        });
        let mut word = || words.next().unwrap_or_else(|| Err(eyre!("an answer is missing")));
        let (owner, receiver) = (word().exit(Exit::Network)?, word().exit(Exit::Network)?);
        if let Some(ours) = config.executor.receiver.filter(|ours| *ours != receiver) {
            return Err(eyre!(
                "the executor {executor} pays {receiver}, while executor.receiver is {ours}: correct one of the two \
                 before anything is moved"
            ))
            .exit(Exit::Configuration);
        }
        Ok(Self { rpc, reader, head, executor, owner, receiver })
    }

    /// What is there to be moved, and what refuses to be, with its reason.
    async fn holdings(
        &self,
        config: &Config,
        wanted: Token,
    ) -> Result<(Vec<Holding>, Vec<(Address, String)>)> {
        let known = self.known(config).await;
        let known = match (wanted, known) {
            (Token::All, known) => known?,
            // One token needs no market.
            (Token::One(token), known) => {
                let mut known = known.unwrap_or_default();
                known.retain(|other, _| *other == token);
                known.entry(token).or_insert_with(|| (String::new(), 0));
                known
            }
        };
        let data = Erc20::balanceOfCall { owner: self.executor }.abi_encode();
        let tokens = known.keys().copied().filter(|token| *token != NATIVE).collect::<Vec<_>>();
        let reads =
            tokens.iter().map(|token| Read { to: *token, data: data.clone().into() }).collect::<Vec<_>>();
        let answers = self.reader.answers(self.head.block.hash, &reads).await.exit(Exit::Network)?;
        let mut held: Vec<(Address, Option<U256>)> = tokens
            .into_iter()
            .zip(answers)
            .map(|(token, answer)| {
                let data = answer.0.filter(|data| data.len() >= 32);
                (token, data.and_then(|data| Erc20::balanceOfCall::abi_decode_returns(&data).ok()))
            })
            .collect();
        if known.contains_key(&NATIVE) {
            held.insert(0, (NATIVE, Some(self.rpc.balance(self.executor).await.exit(Exit::Network)?.0)));
        }
        let (mut holdings, mut stuck) = (Vec::new(), Vec::new());
        for (token, amount) in held {
            let Some(amount) = amount else {
                stuck.push((token, "it does not say how much of it there is: it is no token".to_owned()));
                continue;
            };
            if amount.is_zero() {
                continue;
            }
            let data = Executor::salvageCall { token }.abi_encode();
            match self.rpc.call_gas(self.owner, self.executor, &data).await {
                Ok(gas) => {
                    let (symbol, decimals) = known.get(&token).cloned().unwrap_or_default();
                    let shown = if symbol.is_empty() {
                        format!("{amount} units of {token}")
                    } else {
                        format!("{} {symbol}", show(amount, decimals, 6))
                    };
                    let gas = Gas(gas.0.saturating_add(gas.0 / 5));
                    holdings.push(Holding { token, symbol, amount, shown, gas });
                }
                Err(fault) if fault.revert().is_some() => stuck.push((token, fault.to_string())),
                Err(fault) => return Err(fault).exit(Exit::Network),
            }
        }
        Ok((holdings, stuck))
    }

    /// The native coin, and the market's tokens and their aTokens, with symbol and decimals.
    async fn known(&self, config: &Config) -> Result<BTreeMap<Address, (String, u8)>> {
        let mut keeper = Keeper::new(Market::new(config.market.addresses_provider));
        wire::look_around(&mut keeper, &self.reader, self.head).await.exit(Exit::Network)?;
        let mut known = BTreeMap::from([(NATIVE, ("native coin".to_owned(), 18))]);
        for reserve in keeper.market.reserves.values() {
            known.insert(reserve.asset, (reserve.symbol.clone(), reserve.decimals));
            known.insert(reserve.a_token, (format!("a{}", reserve.symbol), reserve.decimals));
        }
        Ok(known)
    }

    async fn price(&self, config: &Config, holdings: &[Holding]) -> Result<Order> {
        let base_fee = next_base_fee(&self.head);
        let tip = TIP.min(config.fees.max_tip);
        let max_fee = FeePerGas(base_fee.0.saturating_mul(2).saturating_add(tip.0)).min(config.fees.max_fee);
        let gas = holdings.iter().fold(Gas(0), |sum, one| Gas(sum.0.saturating_add(one.gas.0)));
        let (balance, most) = (self.rpc.balance(self.owner).await.exit(Exit::Network)?, gas.cost(max_fee));
        if balance < most {
            return Err(eyre!(
                "the owner {} holds {} of the up to {} native coin that moving this may take: fund it",
                self.owner,
                native(Net::Gain(balance)),
                native(Net::Gain(most))
            ))
            .exit(Exit::Configuration);
        }
        let expected = gas.cost(FeePerGas(base_fee.0.saturating_add(tip.0)).min(max_fee));
        Ok(Order { max_fee, tip, expected })
    }

    fn confirm(&self, holdings: &[Holding], order: &Order, yes: bool) -> Result<()> {
        for holding in holdings {
            out::aside(&format!("to be moved  {}  to {}", holding.shown, self.receiver));
        }
        let cost = native(Net::Gain(order.expected));
        let question = format!("Move this to {} for about {cost} native coin?", self.receiver);
        let instead = format!("this costs about {cost} native coin: say --yes to move it");
        errand::agreed(&question, &instead, yes)
    }

    async fn carry_out(
        &self,
        journal: &Journal,
        signer: &Signer,
        order: &Order,
        holding: &Holding,
    ) -> Result<Receipt> {
        let nonce = self.rpc.next_nonce(self.owner).await.exit(Exit::Network)?;
        let (token, gas_limit) = (holding.token, holding.gas);
        let request = Request::Salvage { token, nonce, gas_limit, max_fee: order.max_fee, tip: order.tip };
        let signed = signer.sign(request).exit(Exit::Refused)?;
        let detail = json!({
            "token": token,
            "symbol": holding.symbol,
            "amount": holding.amount.to_string(),
            "receiver": self.receiver,
        });
        let durable = journal.record_errand(Errand::Sweep, detail, signed).await.exit(Exit::Unexpected)?;
        errand::finish(&self.rpc, journal, &durable, self.owner, Errand::Sweep).await
    }

    /// Tells what became of a holding; false when it is still there.
    fn say(&self, holding: &Holding, receipt: &Receipt, json: bool) -> Result<bool> {
        let moved = receipt
            .logs
            .iter()
            .filter(|log| receipt.succeeded && log.address == self.executor)
            .filter_map(|log| Executor::Salvaged::decode_log_data(&log.data).ok())
            .find(|event| event.token == holding.token)
            .map(|event| event.amount);
        let Some(moved) = moved else {
            tracing::error!(token = %holding.token, transaction = %receipt.hash, "reverted: not moved");
            return Ok(false);
        };
        let cost = receipt.gas_used.cost(receipt.gas_price);
        if json {
            out::json(&json!({
                "v": 1,
                "token": holding.token,
                "symbol": holding.symbol,
                "amount": moved.to_string(),
                "receiver": self.receiver,
                "transaction": receipt.hash,
                "block": receipt.block,
                "gas": receipt.gas_used,
                "cost_wei": cost,
            }))?;
        } else {
            let (hash, cost) = (receipt.hash, native(Net::Gain(cost)));
            out::line(&format!("moved  {}  to {}  {hash}  cost {cost}", holding.shown, self.receiver))?;
        }
        Ok(true)
    }
}
