//! The venue: are its contracts there, and can every asset that may be seized be sold.

use super::node::Node;
use super::report::Report;
use crate::abi::uniswap::PairRouter;
use crate::app::inquiry::answered;
use crate::config::{Config, Mode, Route};
use crate::domain::chain::Read;
use crate::domain::executor::Role;
use crate::domain::protocols::aave_v3::{Market, state::Reserve};
use crate::domain::route::{Knowledge, Known, PoolKind, Venue, address_in};
use crate::domain::units::{Amount, Round, mul_div};
use crate::exit::{Exit, line};
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use eyre::Result;

/// What is sold for the trial, in units of the oracle's currency: dollars almost everywhere.
const TRIAL: u64 = 1_000;
/// Least share of the oracle's value, in percent, that a pool with depth gives for it.
const DEEP: u64 = 95;

/// The part of the report that is about the router of Uniswap V2.
const PAIR_ROUTER: &str = "routes.pair_router";

pub async fn look(config: &Config, node: Option<&Node>, market: Option<&Market>, report: &mut Report) {
    let name = &config.market.name;
    let Some(route) = config.market.route else {
        let what = "no route: `scan` and `run` need one, `positions` does not";
        return match config.mode {
            Mode::Live => {
                report.fail("routes", Exit::Configuration, what, format!("add [markets.{name}.route]"));
            }
            Mode::DryRun => report.off("routes", what),
        };
    };
    let Some(node) = node else { return report.skip("routes", "the node cannot be asked") };
    if !contracts(name, &route, node, report).await {
        return;
    }
    let Some(market) = market.filter(|market| market.rules.is_some()) else {
        return report.skip("routes", "the market is not known");
    };
    let venue = route.venue();
    if let Err(error) = pools(&venue, node, market, report).await {
        report.fail("routes", Exit::Network, line(&error), "look at the node");
    }
}

/// Whether all have code, the routers code we know, and that of pairs this factory's.
async fn contracts(name: &str, route: &Route, node: &Node, report: &mut Report) -> bool {
    let mut wanted = vec![
        ("routes.factory", "uniswap_v3_factory", route.factory),
        ("routes.quoter", "uniswap_v3_quoter", route.quoter),
        ("routes.router", "uniswap_v3_router", route.router),
        ("routes.native", "wrapped_native", route.wrapped_native),
    ];
    if let Some(pairs) = route.pairs {
        wanted.push(("routes.pair_factory", "uniswap_v2_factory", pairs.factory));
        wanted.push((PAIR_ROUTER, "uniswap_v2_router", pairs.router));
    }
    let mut sound = true;
    for (part, key, address) in wanted {
        let remedy = format!("correct markets.{name}.route.{key}");
        let (exit, what) = match node.reader.code(node.head.block.hash, address).await {
            Err(fault) => (Exit::Network, fault.to_string()),
            Ok(code) if code.is_empty() => {
                (Exit::Configuration, format!("there is no contract at {address}"))
            }
            Ok(code) if part == "routes.router" && Role::of_router(&code).is_none() => (
                Exit::Configuration,
                format!("{address} is neither Uniswap's SwapRouter nor its SwapRouter02"),
            ),
            Ok(code) if part == PAIR_ROUTER && !Role::is_pair_router(&code) => {
                (Exit::Configuration, format!("{address} is not Uniswap's V2Router02"))
            }
            Ok(_) if part == PAIR_ROUTER && sound => match other_factory(route, node).await {
                Ok(None) => continue,
                Ok(Some(what)) => (Exit::Configuration, what),
                Err(error) => (Exit::Network, line(&error)),
            },
            Ok(_) => continue,
        };
        sound = false;
        report.fail(part, exit, what, remedy);
    }
    sound
}

/// Why the router of pairs does not go with their factory.
async fn other_factory(route: &Route, node: &Node) -> Result<Option<String>> {
    let Some(pairs) = route.pairs else { return Ok(None) };
    let read = Read { to: pairs.router, data: PairRouter::factoryCall {}.abi_encode().into() };
    let answers = node.reader.answers(node.head.block.hash, &[read]).await?;
    let factory = answers.first().and_then(address_in);
    Ok((factory != Some(pairs.factory)).then(|| {
        let other = factory.map_or("no factory".to_owned(), |factory| factory.to_string());
        format!("{} trades pairs of {other}, and uniswap_v2_factory is {}", pairs.router, pairs.factory)
    }))
}

async fn pools(venue: &Venue, node: &Node, market: &Market, report: &mut Report) -> Result<()> {
    let native = venue.wrapped_native;
    let seizable =
        market.reserves.values().filter(|reserve| can_be_seized(market, reserve)).collect::<Vec<_>>();
    let mut bad = Vec::new();
    let mut odd = None;
    let (mut asked, mut pairs) = (0_usize, 0_usize);
    for reserve in &seizable {
        if reserve.asset == native {
            continue;
        }
        let others =
            market.reserves.keys().copied().filter(|asset| *asset != reserve.asset && *asset != native);
        let mut best = sold(venue, node, market, reserve, &[native]).await?;
        if !best.as_ref().is_some_and(Sale::is_deep) {
            let others = others.collect::<Vec<_>>();
            let other = sold(venue, node, market, reserve, &others).await?;
            best = [best, other].into_iter().flatten().max_by_key(|sale| sale.share);
        }
        match &best {
            None => bad.push((reserve, "has no pool with the wrapped native coin or any debt".to_owned())),
            Some(sale) if sale.is_deep() => {}
            Some(sale) => {
                let share = sale.share;
                let why = format!("brings {share} % of its value when {TRIAL} units' worth are sold");
                bad.push((reserve, why));
            }
        }
        let pair = paired(venue, node, market, reserve).await?;
        for sale in best.into_iter().filter(|best| best.pool != PoolKind::V2).chain(pair) {
            let count = if sale.pool == PoolKind::V2 { &mut pairs } else { &mut asked };
            *count = count.saturating_add(1);
            odd = odd.or(disagreement(venue, node, reserve, &sale).await?);
        }
    }
    if let Some((part, what)) = odd {
        let remedy = match part {
            PAIR_ROUTER => "set uniswap_v2_factory and uniswap_v2_router to Uniswap's own, or leave out both",
            _ => "set the route to a venue that runs Uniswap's own V3 contracts",
        };
        report.fail(part, Exit::Configuration, what, remedy);
        return Ok(());
    }
    let (count, good) = (seizable.len(), seizable.len().saturating_sub(bad.len()));
    if good == 0 && count > 0 {
        report.fail(
            "routes",
            Exit::Configuration,
            "nothing that can be seized has a pool with depth",
            "look whether the route is that of the venue this chain trades on",
        );
        return Ok(());
    }
    report.ok("routes", format!("{good} of {count} assets that can be seized have a pool with depth"));
    report.ok("routes.quoter", format!("says what our arithmetic says of {asked} sales"));
    match venue.pairs {
        None => report.off(PAIR_ROUTER, "no uniswap_v2_factory and uniswap_v2_router: pairs do not serve"),
        Some(_) if pairs == 0 => {
            report.off(PAIR_ROUTER, "no asset that can be seized has a pair with the native coin")
        }
        Some(_) => report.ok(PAIR_ROUTER, format!("says what our arithmetic says of {pairs} sales")),
    }
    for (reserve, why) in bad {
        report.warn(
            "routes.pool",
            format!("{} {why}", reserve.symbol),
            "its borrowers are left alone where they cost more than they bring; nothing to do here",
        );
    }
    Ok(())
}

fn can_be_seized(market: &Market, reserve: &Reserve) -> bool {
    let Some(rules) = market.rules else { return false };
    let in_emode = market.emodes.iter().any(|(id, mode)| mode.takes(reserve, *id, rules.emode));
    reserve.configuration.is_active() && (in_emode || !reserve.configuration.threshold().is_zero())
}

/// The best way to sell the trial's amount of an asset.
struct Sale {
    bought: Address,
    pool: PoolKind,
    amount: Amount,
    proceeds: Amount,
    /// Of what the oracle says the amount is worth, in percent.
    share: u64,
}

impl Sale {
    fn is_deep(&self) -> bool {
        self.share >= DEEP
    }
}

/// The best sale for any of `wanted`. `None`: no pool serves.
async fn sold(
    venue: &Venue,
    node: &Node,
    market: &Market,
    reserve: &Reserve,
    wanted: &[Address],
) -> Result<Option<Sale>> {
    let worth = market.base_unit.saturating_mul(U256::from(TRIAL));
    let Some(amount) = of_worth(market, reserve.asset, worth) else { return Ok(None) };
    let search = |knowledge: &mut Knowledge| {
        let sales = wanted.iter().map(|bought| {
            let sale = knowledge.best_sale(reserve.asset, *bought, amount, None, None);
            sale.map(|division| (*bought, division))
        });
        let sales = sales.collect::<Vec<_>>();
        if sales.contains(&Known::NotYet) { Known::NotYet } else { Known::Yes(sales) }
    };
    let Known::Yes(sales) = answered(&node.reader, node.head.block, venue, search).await? else {
        return Ok(None);
    };
    let sales = sales.into_iter().filter_map(|sale| {
        let Known::Yes((bought, division)) = sale else { return None };
        let (pool, proceeds) = (division.shares.first()?.pool, division.total);
        let fair = of_worth(market, bought, worth)?;
        let share = mul_div(proceeds.0, U256::from(100), fair.0, Round::Down).ok()?.saturating_to::<u64>();
        Some(Sale { bought, pool, amount, proceeds, share })
    });
    Ok(sales.max_by_key(|sale| sale.share))
}

/// The trial's amount of an asset through its pair with the native coin. `None`: there is none that serves.
async fn paired(venue: &Venue, node: &Node, market: &Market, reserve: &Reserve) -> Result<Option<Sale>> {
    let bought = venue.wrapped_native;
    let worth = market.base_unit.saturating_mul(U256::from(TRIAL));
    let Some(amount) = of_worth(market, reserve.asset, worth) else { return Ok(None) };
    let search = |knowledge: &mut Knowledge| knowledge.pair_sale(reserve.asset, bought, amount);
    Ok(match answered(&node.reader, node.head.block, venue, search).await? {
        Known::Yes(proceeds) => Some(Sale { bought, pool: PoolKind::V2, amount, proceeds, share: 0 }),
        Known::No | Known::NotYet => None,
    })
}

/// What the venue's own quoter says otherwise of a sale, or the router of pairs, and which of them. Our arithmetic is
/// that of Uniswap's pools; a venue may have pools of its own kind.
async fn disagreement(
    venue: &Venue,
    node: &Node,
    reserve: &Reserve,
    sale: &Sale,
) -> Result<Option<(&'static str, String)>> {
    let (part, who, name, quote) = match (sale.pool, venue.pairs) {
        (PoolKind::V3(tier), _) => (
            "routes.quoter",
            "quoter",
            "QuoterV2",
            venue.quote(reserve.asset, sale.bought, tier, sale.amount),
        ),
        (PoolKind::V2, Some(pairs)) => (
            PAIR_ROUTER,
            "router of pairs",
            "V2Router02",
            pairs.quote(reserve.asset, sale.bought, sale.amount),
        ),
        (PoolKind::V2, None) => return Ok(None),
    };
    let asked = quote.to;
    let answers = node.reader.answers_apart(node.head.block.hash, &[quote]).await?;
    let said = answers.first().and_then(|answer| said(sale.pool, answer.0.as_ref()?));
    let what = match said {
        Some(said) if said == sale.proceeds.0 => return Ok(None),
        Some(said) => format!(
            "the {who} says {said} of a sale of {} for which our arithmetic says {}: these pools are not Uniswap's",
            reserve.symbol, sale.proceeds
        ),
        None => format!("{asked} does not answer as Uniswap's {name}"),
    };
    Ok(Some((part, what)))
}

/// What a sale brings: the quoter's first word, the last of the router's amounts.
fn said(pool: PoolKind, data: &[u8]) -> Option<U256> {
    match pool {
        PoolKind::V3(_) => data.get(..32).map(U256::from_be_slice),
        PoolKind::V2 => PairRouter::getAmountsOutCall::abi_decode_returns(data).ok()?.last().copied(),
    }
}

/// How much of `asset` is worth this much to the oracle; `None` where it has no price for it.
fn of_worth(market: &Market, asset: Address, worth: U256) -> Option<Amount> {
    let (price, reserve) = (market.prices.get(asset)?, market.reserves.get(&asset)?);
    mul_div(worth, reserve.unit(), price.0, Round::Up).ok().map(Amount)
}
