//! What the executor lists: everything the market needs, and the purse that shares are paid from.

use super::node::Node;
use super::report::Report;
use crate::abi::erc20::Erc20;
use crate::abi::executor::Executor;
use crate::app::bench::{listing, may_be_held};
use crate::config::Config;
use crate::domain::chain::{Answer, Read};
use crate::domain::executor::{Listing, Role};
use crate::domain::protocols::aave_v3::Market;
use crate::domain::units::show;
use crate::exit::{Exit, line};
use alloy::primitives::{Address, U256};
use alloy::sol_types::{SolCall, SolValue};

/// Looks at the list and at the purse.
pub async fn look(
    config: &Config,
    node: &Node,
    market: Option<&Market>,
    executor: Address,
    report: &mut Report,
) {
    let (Some(market), Some(route)) = (market, config.market.route) else {
        return report.skip("executor.lists", "the market or its route is not known");
    };
    let venue = route.venue();
    let router = node.reader.code(node.head.block.hash, route.router).await;
    let Some(form) = router.ok().and_then(|code| Role::of_router(&code)) else {
        return report.skip("executor.lists", "the router is not known");
    };
    if let Some(pairs) = route.pairs {
        let router = node.reader.code(node.head.block.hash, pairs.router).await;
        if !router.is_ok_and(|code| Role::is_pair_router(&code)) {
            return report.skip("executor.lists", "the router of pairs is not known");
        }
    }
    if let Some(holding) = &config.market.holding
        && let Err(error) = may_be_held(config, market, holding, venue.wrapped_native)
    {
        let remedy = "correct the table of shares, or remove it";
        return report.fail("executor.lists", Exit::Configuration, line(&error), remedy);
    }
    let listing = listing(market, &venue, form, config.market.holding.as_ref());
    let reads = listing.0.iter().map(|(target, _)| {
        let data = Executor::rolesCall { account: *target }.abi_encode().into();
        Read { to: executor, data }
    });
    let answers = match node.reader.answers(node.head.block.hash, &reads.collect::<Vec<_>>()).await {
        Ok(answers) => answers,
        Err(error) => return report.fail("executor.lists", Exit::Network, line(&error), "look at the node"),
    };
    let roles = answers.iter().map(word).collect::<Vec<_>>();
    if lists(&listing, &roles, market, report) {
        purse(config, node, market, executor, (&listing, &roles), report).await;
    }
}

fn word(answer: &Answer) -> Option<U256> {
    U256::abi_decode(answer.0.as_ref()?).ok()
}

/// Whether everything the market needs is on the executor's list. `roles`: the bits of each entry.
fn lists(listing: &Listing, roles: &[Option<U256>], market: &Market, report: &mut Report) -> bool {
    let served = |role: Role, bits: Option<U256>| bits.is_some_and(|bits| role.is_served_by(bits));
    let lacking = listing.0.iter().zip(roles).filter(|((_, role), bits)| !served(*role, **bits));
    let lacking = lacking.map(|(entry, _)| *entry).collect::<Vec<_>>();
    if lacking.is_empty() {
        report.ok("executor.lists", format!("all {} addresses of this market", listing.0.len()));
        return true;
    }
    let named = |(target, role): &(Address, Role)| {
        let symbol = market.reserves.get(target).map_or("", |reserve| &reserve.symbol);
        format!("{role:?} {symbol} {target}").replace("  ", " ")
    };
    let list =
        |each: &dyn Fn(&(Address, Role)) -> String| lacking.iter().map(each).collect::<Vec<_>>().join(", ");
    report.fail(
        "executor.lists",
        Exit::Configuration,
        format!("not on the executor's list: {}", list(&named)),
        format!(
            "its owner must call setRoles([{}], [{}])",
            list(&|entry| entry.0.to_string()),
            list(&|entry| entry.1.bit().to_string())
        ),
    );
    false
}

/// What is in the purse. Only where the list is right: money for a token in another role would be swept.
async fn purse(
    config: &Config,
    node: &Node,
    market: &Market,
    executor: Address,
    (listing, roles): (&Listing, &[Option<U256>]),
    report: &mut Report,
) {
    let purses = listing.0.iter().zip(roles).filter(|(_, bits)| **bits == Some(Role::Purse.bit()));
    let purses = purses.map(|((token, _), _)| *token).collect::<Vec<_>>();
    let reads = purses
        .iter()
        .map(|token| Read { to: *token, data: Erc20::balanceOfCall { owner: executor }.abi_encode().into() });
    let answers = match node.reader.answers(node.head.block.hash, &reads.collect::<Vec<_>>()).await {
        Ok(answers) => answers,
        Err(error) => return report.fail("executor.purse", Exit::Network, line(&error), "look at the node"),
    };
    let held = answers.iter().map(word).collect::<Vec<_>>();
    let named = purses.iter().zip(&held).map(|(token, units)| {
        let (symbol, decimals) = market
            .reserves
            .get(token)
            .map_or((token.to_string(), 0), |reserve| (reserve.symbol.clone(), reserve.decimals));
        format!("{} {symbol}", units.map_or("unreadable".into(), |units| show(units, decimals, 4)))
    });
    let named = named.collect::<Vec<_>>().join(", ");
    let is_empty = held.iter().all(|units| units.is_some_and(|units| units.is_zero()));
    match &config.market.holding {
        None if is_empty => {
            report.off("executor.purse", "no table of shares: none are taken, and no purse is needed");
        }
        None => report.warn(
            "executor.purse",
            format!("{named}, and no table of shares that would spend it"),
            "`backstop sweep` takes it back; or add the table again",
        ),
        Some(_) if held.iter().any(Option::is_none) => {
            report.fail("executor.purse", Exit::Network, named, "look at the node, and at the token");
        }
        Some(_) if is_empty => report.warn(
            "executor.purse",
            format!("empty: {named}"),
            format!("send {executor} what it may spend on shares, or remove the table of shares"),
        ),
        Some(_) => report.ok("executor.purse", named),
    }
}
