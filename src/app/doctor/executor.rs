//! The executor: is it ours, whose is it, whom does it pay, and what does it list.

use super::lists;
use super::node::Node;
use super::report::Report;
use crate::abi::executor::Executor;
use crate::app::addresses;
use crate::config::{Config, Mode};
use crate::domain::chain::Read;
use crate::domain::executor::{Role, code_hash};
use crate::domain::protocols::aave_v3::Market;
use crate::exit::{Exit, line};
use alloy::primitives::{Address, U256};
use alloy::sol_types::{SolCall, SolValue};

pub async fn look(
    config: &Config,
    node: Option<&Node>,
    market: Option<&Market>,
    key: Option<Address>,
    report: &mut Report,
) {
    let Some(address) = config.executor.address else {
        let what = "executor.address is not set";
        return report.missing(
            "executor",
            config.mode == Mode::Live,
            what,
            "run `backstop deploy`, which prints it",
        );
    };
    if key == Some(address) {
        let what = "executor.address is the key's own account";
        return report.fail(
            "executor",
            Exit::Configuration,
            what,
            "set it to what `backstop deploy` printed",
        );
    }
    let Some(node) = node else { return report.skip("executor", "the node cannot be asked") };
    let remedy = "run `backstop deploy`, or correct executor.address";
    match node.reader.code(node.head.block.hash, address).await {
        Err(fault) => return report.fail("executor", Exit::Network, fault.to_string(), "look at the node"),
        Ok(found) if found.is_empty() => {
            return report.fail("executor", Exit::Configuration, format!("no code at {address}"), remedy);
        }
        Ok(found) => {
            if let Some((what, remedy)) = addresses::other_code(config, address, &found) {
                return report.fail("executor", Exit::Configuration, what, remedy);
            }
        }
    }
    let pinned = config.executor.code_hash;
    if pinned == code_hash() {
        report.ok("executor", format!("{address}  code {pinned}"));
    } else {
        let what = format!("{address}  code {pinned}, as pinned, and not this version's {}", code_hash());
        report.warn(
            "executor",
            what,
            "deploy this version's, unless you know that this one takes the same calls",
        );
    }
    people(config, node, address, key, report).await;
    lists::look(config, node, market, address, report).await;
}

/// Owner, receiver and operator.
async fn people(config: &Config, node: &Node, executor: Address, key: Option<Address>, report: &mut Report) {
    let asked = key.unwrap_or(Address::ZERO);
    let calls = [
        Executor::ownerCall {}.abi_encode(),
        Executor::receiverCall {}.abi_encode(),
        Executor::rolesCall { account: asked }.abi_encode(),
    ];
    let reads = calls.map(|data| Read { to: executor, data: data.into() });
    let answers = match node.reader.answers(node.head.block.hash, &reads).await {
        Ok(answers) => answers,
        Err(error) => return report.fail("executor", Exit::Network, line(&error), "look at the node"),
    };
    let word = |index: usize| {
        answers.get(index).and_then(|answer| U256::abi_decode(answer.0.as_ref()?).ok()).unwrap_or_default()
    };
    let [owner, receiver] = [0, 1].map(|index| Address::from_word(word(index).into()));
    person("executor.owner", "owner", owner, config.executor.owner, key, report);
    person("executor.receiver", "receiver", receiver, config.executor.receiver, key, report);
    match key {
        None => report.off("executor.operator", "no key to look for"),
        Some(key) if word(2) == Role::Operator.bit() => {
            report.ok("executor.operator", format!("{key}, our key"));
        }
        Some(key) => report.fail(
            "executor.operator",
            Exit::Configuration,
            format!("{executor} does not list our key {key} as operator"),
            format!("its owner must call setRoles([{key}], [1]), or wallet must name the operator's key"),
        ),
    }
}

fn person(
    part: &'static str,
    name: &str,
    found: Address,
    wanted: Option<Address>,
    key: Option<Address>,
    report: &mut Report,
) {
    // That the configuration names the key itself is said of the wallet.
    if Some(found) == key {
        let what = format!("the {name} is our own hot key {found}: whoever steals it takes everything");
        report.fail(part, Exit::Configuration, what, format!("deploy again with a cold executor.{name}"));
    } else if let Some(wanted) = wanted.filter(|wanted| *wanted != found && Some(*wanted) != key) {
        let what = format!("the {name} is {found}, and executor.{name} says {wanted}");
        report.fail(part, Exit::Configuration, what, "deploy again, or correct the configuration");
    } else {
        report.ok(part, found.to_string());
    }
}
