//! The node: is it there, on the right chain and up to date, and what can it do.

use super::report::Report;
use crate::config::Config;
use crate::domain::chain::Head;
use crate::domain::executor::PLACEHOLDER;
use crate::exit::{Exit, line};
use crate::io::heads;
use crate::io::reader::Reader;
use crate::io::rpc::{Fault, Rpc};
use alloy::primitives::{Bytes, U64, U256};
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds after which a head is old, on the slowest chains too, and after which it is nobody's head any more.
const OLD: u64 = 90;
const STALLED: u64 = 900;
/// Seconds a head may be ahead of our clock before one of the two is wrong.
const AHEAD: u64 = 15;
/// With fewer blocks a query, the first scan takes for ever.
const SHORT_RANGE: u64 = 500;

/// Puts 1 into transient storage and answers what is there: TSTORE, TLOAD, MSTORE, RETURN.
const TRANSIENT: &str = "0x60015f5d5f5c5f5260205ff3";
/// Answers 1 without it.
const PLAIN: &str = "0x600160005260206000f3";

/// A node that answers and is on the right chain.
pub struct Node {
    pub rpc: Rpc,
    pub reader: Reader,
    pub head: Head,
}

pub async fn look(config: &Config, report: &mut Report) -> Option<Node> {
    let node = reach(config, report).await?;
    age(&node, report);
    archive(config, &node, report).await;
    logs(config, &node, report).await;
    socket(config, report).await;
    simulation(&node, report).await;
    overrides(config, &node, report).await;
    Some(node)
}

async fn reach(config: &Config, report: &mut Report) -> Option<Node> {
    let rpc = match Rpc::new(config.rpc.http.expose(), config.rpc.timeout) {
        Ok(rpc) => rpc,
        Err(error) => {
            report.fail("rpc", Exit::Configuration, line(&error), "correct rpc.http");
            return None;
        }
    };
    let remedy = "start the node, or set rpc.http to one that answers";
    let chain = match rpc.ask_once::<_, U64>("eth_chainId", ()).await {
        Ok(chain) => chain.to::<u64>(),
        Err(fault) => {
            report.fail("rpc", Exit::Network, fault.to_string(), remedy);
            return None;
        }
    };
    let (name, wanted) = (&config.market.name, config.market.chain_id);
    if chain != wanted {
        let what = format!("{} serves chain {chain}, but the market {name} is on chain {wanted}", rpc.node());
        let remedy = format!("set rpc.http to a node of that chain, or correct markets.{name}.chain_id");
        report.fail("rpc", Exit::Configuration, what, remedy);
        return None;
    }
    let head = match rpc.block("latest").await {
        Ok(head) => head,
        Err(error) => {
            report.fail("rpc", Exit::Network, line(&error), remedy);
            return None;
        }
    };
    let reader = match Reader::new(rpc.clone(), config.rpc.batch).await {
        Ok(reader) => reader,
        Err(error) => {
            report.fail("rpc", Exit::Network, line(&error), remedy);
            return None;
        }
    };
    let way = if reader.uses_multicall() { "multicall" } else { "batches (no Multicall3)" };
    report.ok("rpc", format!("{}  chain {chain}  head {}  reads by {way}", rpc.node(), head.block.number));
    Some(Node { rpc, reader, head })
}

fn age(node: &Node, report: &mut Report) {
    #[allow(clippy::disallowed_methods, reason = "the head's age is what is asked")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let head = node.head.block.timestamp;
    match (now.saturating_sub(head), head.saturating_sub(now)) {
        (_, ahead) if ahead > AHEAD => report.warn(
            "rpc.head",
            format!("{ahead} s ahead of this machine's clock"),
            "set the clock (NTP); ages and waits are wrong until then",
        ),
        (age, _) if age > STALLED => report.fail(
            "rpc.head",
            Exit::Network,
            format!("{age} s old: the node is not at the chain's head"),
            "wait until it has synchronised, or use another; or this machine's clock is wrong",
        ),
        (age, _) if age > OLD => report.warn(
            "rpc.head",
            format!("{age} s old"),
            "look whether the node is synchronised, and at this machine's clock",
        ),
        (age, _) => report.ok("rpc.head", format!("{age} s old")),
    }
}

async fn archive(config: &Config, node: &Node, report: &mut Report) {
    let (start, head) = (config.market.start_block, node.head.block.number);
    if start > head {
        let name = &config.market.name;
        return report.fail(
            "rpc.archive",
            Exit::Configuration,
            format!("markets.{name}.start_block is {start}, and the chain ends at {head}"),
            "set it to the market's first block, or to 0",
        );
    }
    let oldest = start.max(1).min(head);
    let old = |number: u64| json!([config.market.addresses_provider, "0x0", format!("{number:#x}")]);
    for number in [oldest, head.saturating_sub(10_000).max(oldest), head.saturating_sub(100).max(oldest)] {
        let answer = node.rpc.ask_once::<_, Value>("eth_getStorageAt", old(number)).await;
        match (answer, number == oldest) {
            (Ok(_), true) => return report.ok("rpc.archive", format!("state back to block {oldest}")),
            (Ok(_), false) => {
                return report.warn(
                    "rpc.archive",
                    format!("state back to block {number}, but not to {oldest}"),
                    "only `positions --block` needs an archive node: use one for that",
                );
            }
            (Err(_), _) => {}
        }
    }
    report.warn(
        "rpc.archive",
        "the state of no older block can be read",
        "only `positions --block` needs an archive node: use one for that",
    );
}

async fn logs(config: &Config, node: &Node, report: &mut Report) {
    let head = node.head.block.number;
    let wanted = config.rpc.log_range;
    let mut range = wanted;
    loop {
        let filter = json!([{
            "address": config.market.addresses_provider,
            "fromBlock": format!("{:#x}", head.saturating_sub(range.saturating_sub(1))),
            "toBlock": format!("{head:#x}"),
        }]);
        match node.rpc.ask_once::<_, Value>("eth_getLogs", filter).await {
            Ok(_) => break,
            Err(fault @ (Fault::Refused { .. } | Fault::Timeout { .. })) if range == 1 => {
                let remedy = "use a node that answers eth_getLogs: borrowers are found by it";
                return report.fail("rpc.logs", Exit::Network, fault.to_string(), remedy);
            }
            Err(Fault::Refused { .. } | Fault::Timeout { .. }) => range = (range / 2).max(1),
            Err(fault) => {
                return report.fail("rpc.logs", Exit::Network, fault.to_string(), "look at the node");
            }
        }
    }
    if range == wanted {
        return report.ok("rpc.logs", format!("{range} blocks a query are taken"));
    }
    let blocks = head.saturating_sub(config.market.start_block).saturating_add(1);
    let queries = blocks.div_ceil(range);
    let slow = if range < SHORT_RANGE { ", or use a node with longer ranges" } else { "" };
    report.warn(
        "rpc.logs",
        format!(
            "{wanted} blocks a query are refused, {range} are taken: the first scan takes {queries} queries"
        ),
        format!("set rpc.log_range = {range}{slow}"),
    );
}

async fn socket(config: &Config, report: &mut Report) {
    let Some(url) = &config.rpc.ws else {
        let poll = config.rpc.poll.as_millis();
        return report.warn(
            "rpc.ws",
            format!("not set: the head is polled every {poll} ms"),
            "set rpc.ws to hear of blocks at once",
        );
    };
    match heads::announces(url.expose().to_owned(), config.rpc.timeout).await {
        Ok(()) => report.ok("rpc.ws", format!("{} announces heads", url.alias())),
        Err(why) => report.fail(
            "rpc.ws",
            Exit::Network,
            format!("{} {why}", url.alias()),
            "correct rpc.ws, or leave it empty: the head is polled then",
        ),
    }
}

async fn simulation(node: &Node, report: &mut Report) {
    let probe = json!([{ "blockStateCalls": [{ "calls": [] }] }, "latest"]);
    match node.rpc.ask_once::<_, Value>("eth_simulateV1", probe).await {
        Ok(_) => report.ok("rpc.simulate", "eth_simulateV1 answers: gas is exact"),
        Err(_) => report.warn(
            "rpc.simulate",
            "no eth_simulateV1: gas is the node's estimate, which is never too low",
            "use a node that has it, so that narrow liquidations are not left out",
        ),
    }
}

/// Whether code can be placed for a call, and whether that code has transient storage.
async fn overrides(config: &Config, node: &Node, report: &mut Report) {
    if runs(node, TRANSIENT).await {
        return report.ok("rpc.override", "code can be placed for a call; transient storage works");
    }
    if runs(node, PLAIN).await {
        return report.fail(
            "rpc.override",
            Exit::Refused,
            "the chain has no transient storage, which the executor needs (EIP-1153)",
            "this chain can be observed with `backstop positions`; nothing can be sent there",
        );
    }
    let what = "the node does not take state overrides";
    let remedy = "use a node that does: a dry run places the executor by them";
    match config.executor.address {
        Some(_) => report.warn("rpc.override", what, remedy),
        None => report.fail("rpc.override", Exit::Network, what, remedy),
    }
}

async fn runs(node: &Node, code: &str) -> bool {
    let mut accounts = Map::new();
    accounts.insert(PLACEHOLDER.to_string(), json!({ "code": code }));
    let call = json!([{ "to": PLACEHOLDER }, "latest", accounts]);
    let answer: Result<Bytes, Fault> = node.rpc.ask_once("eth_call", call).await;
    answer.is_ok_and(|data| data.len() == 32 && U256::from_be_slice(&data) == U256::ONE)
}
