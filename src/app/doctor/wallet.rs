//! The key: does it open, can it pay, and is it nobody else's.

use super::super::{desk, show::native};
use super::node::Node;
use super::report::Report;
use crate::config::{Config, Key, Mode};
use crate::domain::units::{FeePerGas, Gas, Net};
use crate::exit::{Exit, line};
use crate::io::signer::Policy;
use alloy::primitives::Address;

/// What a liquidation takes, about.
const USUAL_GAS: Gas = Gas(700_000);

/// The account of the key, where it opens.
pub async fn look(config: &Config, node: Option<&Node>, report: &mut Report) -> Option<Address> {
    let live = config.mode == Mode::Live;
    let held = match &config.wallet.key {
        Key::None => {
            let remedy =
                "set wallet.keystore and wallet.password_file (`cast wallet import` writes the file)";
            report.missing("wallet", live, "no key is configured", remedy);
            return None;
        }
        Key::Keystore { password_file: None, .. } => {
            let remedy = "set wallet.password_file: a daemon cannot ask for a password";
            report.fail("wallet", Exit::Configuration, "wallet.keystore has no password file", remedy);
            return None;
        }
        Key::Keystore { .. } => "keystore",
        Key::Environment(_) => "environment",
    };
    let policy = Policy::new(config.market.chain_id, None, config.fees.max_fee, config.fees.gas_limit);
    let address = match desk::signer(config, policy).await {
        Ok(signer) => signer.address(),
        Err(error) => {
            let remedy = "correct the file or variable that is named";
            report.fail("wallet", Exit::Configuration, line(&error), remedy);
            return None;
        }
    };
    let Some(node) = node else {
        report.ok("wallet", format!("{address} ({held})"));
        report.skip("wallet.balance", "the node cannot be asked");
        apart(config, address, report);
        return Some(address);
    };
    report.ok("wallet", format!("{address} ({held})"));
    apart(config, address, report);
    balance(config, node, address, live, report).await;
    code(node, address, report).await;
    Some(address)
}

fn apart(config: &Config, address: Address, report: &mut Report) {
    if config.executor.receiver == Some(address) {
        report.fail(
            "wallet.receiver",
            Exit::Configuration,
            "executor.receiver is the key's own account: profits would stay with the hot key",
            "set executor.receiver to a cold account",
        );
    }
    if config.executor.owner == Some(address) {
        report.warn(
            "wallet.owner",
            "executor.owner is the key's own account: whoever steals the key owns the executor too",
            "set executor.owner to a cold account",
        );
    }
}

async fn balance(config: &Config, node: &Node, address: Address, live: bool, report: &mut Report) {
    let balance = match node.rpc.balance(address).await {
        Ok(balance) => balance,
        Err(error) => {
            return report.fail("wallet.balance", Exit::Network, line(&error), "look at the node");
        }
    };
    let remedy = format!("send native coin to {address}: gas is paid with it, and nothing else");
    if balance.is_zero() {
        let what = "the key has no native coin to pay gas with";
        return match live {
            true => report.fail("wallet.balance", Exit::Configuration, what, remedy),
            false => report.warn("wallet.balance", what, remedy),
        };
    }
    let shown = native(Net::Gain(balance));
    let fee = FeePerGas(node.head.base_fee.0.max(1));
    let usual = USUAL_GAS.cost(fee);
    let most = config.fees.gas_limit.cost(config.fees.max_fee);
    let times = balance.0.checked_div(usual.0).unwrap_or_default();
    if balance < usual {
        return report.warn("wallet.balance", format!("{shown}: not enough for one liquidation now"), remedy);
    }
    let limits = if balance < most {
        format!("; one of fees.gas_limit at fees.max_fee would cost {}", native(Net::Gain(most)))
    } else {
        String::new()
    };
    report
        .ok("wallet.balance", format!("{shown}  about {times} liquidations at the present base fee{limits}"));
}

/// A plain account has no code. One that has delegated itself (EIP-7702) obeys somebody else's contract.
async fn code(node: &Node, address: Address, report: &mut Report) {
    let code = match node.reader.code(node.head.block.hash, address).await {
        Ok(code) => code,
        Err(fault) => {
            return report.fail("wallet.code", Exit::Network, fault.to_string(), "look at the node");
        }
    };
    if code.is_empty() {
        return;
    }
    let what = match code.strip_prefix(&[0xef, 0x01, 0x00]).filter(|rest| rest.len() == 20) {
        Some(target) => {
            let target = Address::from_slice(target);
            format!(
                "the key's account is delegated to {target} (EIP-7702): if you did not do that, the key is stolen"
            )
        }
        None => "the key's account has code: it is no plain account".to_owned(),
    };
    let remedy = "do not fund it again; make a new key, and have the executor's owner list that one instead";
    report.fail("wallet.code", Exit::Check, what, remedy);
}
