//! The market as it is found from its addresses provider.

use super::super::wire;
use super::node::Node;
use super::report::Report;
use crate::config::Config;
use crate::domain::keeper::Keeper;
use crate::domain::protocols::aave_v3::Market;
use crate::exit::{Exit, line};
use crate::io::rpc::Fault;
use alloy::primitives::Address;

/// `None` when it was not found.
pub async fn look(config: &Config, node: &Node, report: &mut Report) -> Option<Market> {
    let (name, provider) = (&config.market.name, config.market.addresses_provider);
    let remedy = format!("correct markets.{name}.addresses_provider, or rpc.http");
    match node.reader.code(node.head.block.hash, provider).await {
        Err(fault) => {
            report.fail("market", Exit::Network, fault.to_string(), "look at the node");
            return None;
        }
        Ok(code) if code.is_empty() => {
            let what = format!("there is no contract at the addresses provider {provider}");
            report.fail("market", Exit::Configuration, what, remedy);
            return None;
        }
        Ok(_) => {}
    }
    let mut keeper = Keeper::new(Market::new(provider));
    if let Err(error) = wire::look_around(&mut keeper, &node.reader, node.head).await {
        let network = error.chain().any(|cause| cause.is::<Fault>());
        let what = format!("{provider} does not lead to an Aave V3 market: {}", line(&error));
        let exit = if network { Exit::Network } else { Exit::Configuration };
        report.fail("market", exit, what, remedy);
        return None;
    }
    let market = keeper.market;
    found(config, &market, report);
    Some(market)
}

fn found(config: &Config, market: &Market, report: &mut Report) {
    let at = &market.addresses;
    let place = format!(
        "pool {}  oracle {}  data provider {}  {} reserves",
        at.pool,
        at.oracle,
        at.data_provider,
        market.reserves.len()
    );
    let name = &config.market.name;
    match market.rules {
        Some(rules) => report.ok(
            "market",
            format!("aave-v3/{name}  release {} (revision {})  {place}", rules.release, market.revision),
        ),
        None => report.fail(
            "market",
            Exit::Refused,
            format!(
                "the pool runs revision {}, which this version of backstop does not know; {place}",
                market.revision
            ),
            "look for a newer backstop; until then this market can be observed with `backstop positions`",
        ),
    }
    if let Some(why) = &config.market.observe_only {
        report.off("market.acts", format!("only observed: {why}"));
    }
    let unread = names(market, |reserve| market.prices.get(reserve).is_none());
    if !unread.is_empty() {
        let what = format!("the oracle gives no price for {unread}");
        report.warn("market.prices", what, "accounts that hold them are left alone; nothing to do here");
    }
    let kinds = market.feeds.kinds().into_iter().map(|(kind, count)| format!("{count} {kind}"));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    if !kinds.is_empty() {
        report.ok("market.feeds", format!("prices come from: {kinds}"));
    }
    let strange =
        names(market, |asset| market.reserves.get(&asset).is_some_and(|reserve| !reserve.tokens_known));
    if market.rules.is_some() && !strange.is_empty() {
        let what = format!("the token code of {strange} is of an unknown revision");
        report.warn(
            "market.tokens",
            what,
            "accounts that hold them are left alone; look for a newer backstop",
        );
    }
    if !market.liquidation_allowed {
        report.warn(
            "market.sentinel",
            "the market's sentinel forbids liquidations now",
            "nothing to do: it allows them again some time after the sequencer is back",
        );
    }
}

/// The symbols of the reserves that are so.
fn names(market: &Market, wanted: impl Fn(Address) -> bool) -> String {
    let found = market.reserves.values().filter(|reserve| wanted(reserve.asset));
    found.map(|reserve| reserve.symbol.as_str()).collect::<Vec<_>>().join(", ")
}
