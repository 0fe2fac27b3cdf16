//! The addresses of the configuration, looked at on the chain before anything is built upon them: all that are
//! wrong are told at once, each with its place.

use crate::config::{Config, Mistake, Mistakes, Need};
use crate::domain::chain::Head;
use crate::domain::executor::{self, Role};
use crate::exit::{Exit, ExitExt};
use crate::io::reader::block;
use crate::io::rpc::{Doing, Rpc};
use alloy::primitives::{Address, Bytes};
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
        if let Some(wrong) = wrong(&code, what, address, config.market.chain_id) {
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
    Executor,
}

/// What is wrong with the code, and what to do; `None` when nothing is.
fn wrong(code: &[u8], what: What, address: Address, chain: u64) -> Option<String> {
    if code.is_empty() {
        let remedy = match what {
            What::Executor => "run `backstop deploy`, or correct the address",
            What::Any | What::Router => "correct the address, or rpc.http",
        };
        return Some(format!("there is no contract at {address} on chain {chain}: {remedy}"));
    }
    match what {
        What::Router if Role::of_router(code).is_none() => Some(format!(
            "{address} is neither Uniswap's SwapRouter nor its SwapRouter02: set it to one of them"
        )),
        What::Executor if code != executor::code().as_ref() => Some(format!(
            "the contract at {address} is not this version's executor: run `backstop deploy`, or correct the address"
        )),
        _ => None,
    }
}
