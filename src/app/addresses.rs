//! The addresses of the configuration, looked at on the chain before anything is built upon them: all that are
//! wrong are told at once, each with its place.

use crate::config::{Config, Mistake, Mistakes, Need};
use crate::domain::chain::Head;
use crate::domain::executor::{self, Role};
use crate::exit::{Exit, ExitExt};
use crate::io::reader::block;
use crate::io::rpc::{Doing, Rpc};
use alloy::primitives::{Address, Bytes, keccak256};
use eyre::Result;
use serde_json::json;

/// What the look showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Which form of the swap calls the configured router takes.
    pub router: Option<Role>,
}

/// # Errors
/// `Mistakes` for every configured address this command needs that has no code, or code of another kind.
pub async fn check(config: &Config, need: Need, rpc: &Rpc, head: Head) -> Result<Standing> {
    let market = format!("markets.{}", config.market.name);
    let mut wanted =
        vec![(format!("{market}.addresses_provider"), config.market.addresses_provider, What::Any)];
    if need != Need::Read
        && let Some(route) = &config.market.route
    {
        let route_key = |key: &str| format!("{market}.route.{key}");
        wanted.push((route_key("uniswap_v3_factory"), route.factory, What::Any));
        wanted.push((route_key("uniswap_v3_quoter"), route.quoter, What::Any));
        wanted.push((route_key("uniswap_v3_router"), route.router, What::Router));
        wanted.push((route_key("wrapped_native"), route.wrapped_native, What::Any));
        if let Some(pairs) = route.pairs {
            wanted.push((route_key("uniswap_v2_factory"), pairs.factory, What::Any));
            wanted.push((route_key("uniswap_v2_router"), pairs.router, What::PairRouter));
        }
        if let Some(address) = config.executor.address {
            wanted.push(("executor.address".into(), address, What::Executor));
        }
    }
    let mut standing = Standing::default();
    let mut mistakes = Vec::new();
    for (key, address, what) in wanted {
        let code: Bytes = rpc
            .ask("eth_getCode", json!([address, block(head.block.hash)]))
            .await
            .doing("looking at the configured addresses")
            .exit(Exit::Network)?;
        let wrong = wrong(&code, what, address, head, config.market.chain_id);
        let other = || other_code(config, address, &code).filter(|_| what == What::Executor);
        if let Some(wrong) = wrong.or_else(|| other().map(|(what, remedy)| format!("{what}: {remedy}"))) {
            mistakes.push(Mistake::new(config.origins.places.get(&key).cloned(), key, wrong));
        } else if what == What::Router {
            standing.router = Role::of_router(&code);
        }
    }
    if mistakes.is_empty() { Ok(standing) } else { Err(Mistakes::new(mistakes).into()) }
}

/// What the code at an address has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Any,
    Router,
    PairRouter,
    Executor,
}

/// What is wrong with the code, and what to do; `None` when nothing is.
fn wrong(code: &[u8], what: What, address: Address, head: Head, chain: u64) -> Option<String> {
    if code.is_empty() {
        let remedy = match what {
            What::Executor => "run `backstop deploy`, or correct the address",
            What::Any | What::Router | What::PairRouter => "correct the address, or rpc.http",
        };
        let block = head.block.number;
        return Some(format!(
            "there is no contract at {address} in block {block} of chain {chain}: {remedy}"
        ));
    }
    match what {
        What::Router if Role::of_router(code).is_none() => Some(format!(
            "{address} is neither Uniswap's SwapRouter nor its SwapRouter02: set it to one of them"
        )),
        What::PairRouter if !Role::is_pair_router(code) => Some(format!(
            "{address} is not Uniswap's V2Router02: set it to that, or leave out uniswap_v2_factory and this"
        )),
        _ => None,
    }
}

/// Why the code found at the executor's address must not be called, and what to do; `None` when it is what the
/// configuration pins.
pub fn other_code(config: &Config, address: Address, code: &[u8]) -> Option<(String, &'static str)> {
    let (found, pinned) = (keccak256(code), config.executor.code_hash);
    let found_there = format!("the code at {address} has the hash {found}");
    if found == pinned {
        None
    } else if pinned == executor::code_hash() {
        Some((
            format!("{found_there}, and this version's executor {pinned}"),
            "correct the address, or run `backstop deploy` and set executor.address and executor.code_hash to what it \
             prints",
        ))
    } else {
        Some((
            format!("{found_there}, and executor.code_hash pins {pinned}"),
            "set both to what `backstop deploy` printed for this executor, or deploy another",
        ))
    }
}
