//! `deploy`: puts the executor on the chain, listed for one market, and says what to write into the
//! configuration. The deployment is journaled like anything that is signed: interrupted, it is finished by
//! running it again.

use super::bench::bench;
use super::desk;
use super::errand;
use super::show::native;
use super::wire::{self, Wire};
use crate::cli::Deploy;
use crate::config::{Config, Need};
use crate::domain::chain::Receipt;
use crate::domain::cost::next_base_fee;
use crate::domain::executor;
use crate::domain::units::{FeePerGas, Gas, Net, Wei};
use crate::exit::{Exit, ExitExt};
use crate::io::journal::{self, Durable, Errand, Journal, Outcome};
use crate::io::out;
use crate::io::signer::{Policy, Request, Signer};
use alloy::primitives::Address;
use eyre::{Result, eyre};
use serde_json::json;
use std::path::Path;

/// Offered to the proposer of the block: a deployment is in no hurry.
const TIP: FeePerGas = FeePerGas(1_000_000_000);
/// Most gas a deployment may carry: four times what it takes with a long list.
const MOST_GAS: Gas = Gas(12_000_000);

/// # Errors
/// Tagged with the exit code they mean.
pub async fn deploy(config: &Config, arguments: &Deploy, json: bool) -> Result<()> {
    // The market is judged without an executor: it is what we are about to make.
    let mut unplaced = config.clone();
    unplaced.executor.address = None;
    if let Some(address) = config.executor.address {
        return Err(eyre!(
            "executor.address is already set to {address}: remove it to deploy another executor"
        ))
        .exit(Exit::Configuration);
    }
    let ours = executor::code_hash();
    if config.executor.code_hash != ours {
        return Err(eyre!(
            "executor.code_hash pins {}, and this version deploys {ours}: remove it, or set it to this",
            config.executor.code_hash
        ))
        .exit(Exit::Configuration);
    }
    let policy = Policy::deploy(config.market.chain_id, config.fees.max_fee, MOST_GAS);
    let signer = desk::signer(config, policy).await?;
    let operator = signer.address();
    let (owner, receiver) = roles(config, operator)?;
    let wire = wire::market(&unplaced, Need::Route, None).await?;
    let lock = wire.datadir.lock().exit(Exit::Configuration)?;
    let (path, chain) = (wire.datadir.journal(), config.market.chain_id);
    let journal = errand::journal(path, chain, operator).await?;
    let durable = match unfinished(&journal, operator).await? {
        Some(durable) => durable,
        None => {
            mention_earlier(&wire.datadir.journal(), operator)?;
            let listing = bench(&unplaced, &wire, Some(operator)).await?.listing;
            let init_code = listing.init_code(owner, operator, receiver);
            let order = price(config, &wire, operator, &init_code).await?;
            confirm(&order, operator, owner, receiver, arguments.yes)?;
            record(&journal, &signer, order, init_code, (owner, receiver)).await?
        }
    };
    let receipt = errand::finish(&wire.rpc, &journal, &durable, operator, Errand::Deploy).await?;
    drop(lock);
    let address = operator.create(durable.nonce());
    let code = wire.reader.code(receipt.block_hash, address).await.exit(Exit::Network)?;
    if !receipt.succeeded || code.as_ref() != executor::code().as_ref() {
        return Err(eyre!("the deployment {} did not leave our executor at {address}", receipt.hash))
            .exit(Exit::Refused);
    }
    say(&receipt, address, owner, operator, receiver, json)
}

fn roles(config: &Config, operator: Address) -> Result<(Address, Address)> {
    let (Some(owner), Some(receiver)) = (config.executor.owner, config.executor.receiver) else {
        return Err(eyre!("executor.owner and executor.receiver are needed")).exit(Exit::Configuration);
    };
    if receiver == operator {
        return Err(eyre!(
            "executor.receiver is the operator's own key {operator}: profit must go to a cold address"
        ))
        .exit(Exit::Configuration);
    }
    if owner == operator {
        tracing::warn!("executor.owner is the operator's own key: whoever steals it owns the executor too");
    }
    Ok((owner, receiver))
}

/// What the deployment will take.
struct Price {
    nonce: u64,
    gas_limit: Gas,
    max_fee: FeePerGas,
    tip: FeePerGas,
    expected: Wei,
}

async fn price(config: &Config, wire: &Wire, operator: Address, init_code: &[u8]) -> Result<Price> {
    let base_fee = next_base_fee(&wire.head);
    let tip = TIP.min(config.fees.max_tip);
    let max_fee = FeePerGas(base_fee.0.saturating_mul(2).saturating_add(tip.0)).min(config.fees.max_fee);
    let balance = wire.rpc.balance(operator).await.exit(Exit::Network)?;
    if balance.is_zero() {
        return Err(eyre!("the key {operator} has no native coin to pay for the deployment: fund it"))
            .exit(Exit::Configuration);
    }
    let gas = wire.rpc.creation_gas(operator, init_code).await.exit(Exit::Network)?;
    let gas_limit = Gas(gas.0.saturating_add(gas.0 / 5));
    let most = gas_limit.cost(max_fee);
    if balance < most {
        return Err(eyre!(
            "the key {operator} holds {} of the up to {} native coin the deployment may take: fund it",
            native(Net::Gain(balance)),
            native(Net::Gain(most))
        ))
        .exit(Exit::Configuration);
    }
    let nonce = wire.rpc.next_nonce(operator).await.exit(Exit::Network)?;
    let expected = gas.cost(FeePerGas(base_fee.0.saturating_add(tip.0)));
    Ok(Price { nonce, gas_limit, max_fee, tip, expected })
}

/// Asks on a terminal; elsewhere only `--yes` will do.
fn confirm(price: &Price, operator: Address, owner: Address, receiver: Address, yes: bool) -> Result<()> {
    let cost = native(Net::Gain(price.expected));
    tracing::info!(%operator, %owner, %receiver, gas_limit = price.gas_limit.0, about = cost, "to be deployed");
    let instead = format!("this costs about {cost} native coin: say --yes to deploy");
    errand::agreed(&format!("Deploy for about {cost} native coin?"), &instead, yes)
}

/// A deployment that a previous run left under way: the same bytes are sent again.
async fn unfinished(journal: &Journal, operator: Address) -> Result<Option<Durable>> {
    let Some(open) = journal.unfinished().await.exit(Exit::Configuration)?.into_iter().next() else {
        return Ok(None);
    };
    if open.from != operator {
        return Err(eyre!(
            "the journal holds an unfinished transaction of {} (nonce {}): run once with that key first",
            open.from,
            open.nonce
        ))
        .exit(Exit::Configuration);
    }
    let Some(Errand::Deploy) = open.errand else {
        let (what, who) = match open.errand {
            Some(_) => ("sweep", "sweep"),
            None => ("liquidation", "run"),
        };
        return Err(eyre!(
            "a {what} is still under way (nonce {}): let `backstop {who}` finish it",
            open.nonce
        ))
        .exit(Exit::Configuration);
    };
    tracing::warn!(nonce = open.nonce, "a previous deployment was not finished: sending it again");
    Ok(open.attempts.last().map(crate::io::journal::Attempt::again))
}

/// Another executor is rarely what somebody wants who has one.
fn mention_earlier(journal: &Path, operator: Address) -> Result<()> {
    let Some(reader) = journal::Reader::open(journal).exit(Exit::Configuration)? else { return Ok(()) };
    let entries = reader.history(usize::MAX).exit(Exit::Configuration)?;
    let earlier = entries.iter().find(|entry| {
        let won = entry.verdict.is_some_and(|verdict| verdict.outcome == Outcome::Won);
        won && entry.from == operator && matches!(entry.errand, Some((Errand::Deploy, _)))
    });
    if let Some(entry) = earlier {
        let executor = operator.create(entry.nonce);
        tracing::warn!(%executor, "this key has deployed one before: set executor.address to that, or deploy another");
    }
    Ok(())
}

async fn record(
    journal: &Journal,
    signer: &Signer,
    price: Price,
    init_code: alloy::primitives::Bytes,
    (owner, receiver): (Address, Address),
) -> Result<Durable> {
    let Price { nonce, gas_limit, max_fee, tip, .. } = price;
    let request = Request::Deploy { init_code, nonce, gas_limit, max_fee, tip };
    let signed = signer.sign(request).exit(Exit::Refused)?;
    let detail = json!({ "owner": owner, "receiver": receiver });
    journal.record_errand(Errand::Deploy, detail, signed).await.exit(Exit::Configuration)
}

fn say(
    receipt: &Receipt,
    address: Address,
    owner: Address,
    operator: Address,
    receiver: Address,
    json: bool,
) -> Result<()> {
    let code_hash = executor::code_hash();
    let cost = receipt.gas_used.cost(receipt.gas_price);
    if json {
        return out::json(&json!({
            "v": 1,
            "executor": address,
            "owner": owner,
            "operator": operator,
            "receiver": receiver,
            "transaction": receipt.hash,
            "block": receipt.block,
            "gas": receipt.gas_used,
            "cost_wei": cost,
            "code_hash": code_hash,
        }));
    }
    out::line(&format!("deployed   {address}"))?;
    out::line(&format!("owner      {owner}"))?;
    out::line(&format!("operator   {operator}"))?;
    out::line(&format!("receiver   {receiver}"))?;
    out::line(&format!(
        "transaction {}  gas {}  cost {}",
        receipt.hash,
        receipt.gas_used.0,
        native(Net::Gain(cost))
    ))?;
    out::line(&format!("code hash  {code_hash}"))?;
    out::line("")?;
    out::line(&format!(
        "Now set in the configuration:\n\n[executor]\naddress = \"{address}\"\ncode_hash = \"{code_hash}\""
    ))
}
