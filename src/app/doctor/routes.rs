//! The venue: are its contracts there, and can every asset that may be seized be sold.

use super::node::Node;
use super::report::Report;
use crate::config::{Config, Mode, Route};
use crate::domain::chain::Read;
use crate::domain::executor::Role;
use crate::domain::protocols::aave_v3::{Market, state::Reserve};
use crate::domain::route::{Pair, Question, TIERS, Venue, address_in};
use crate::domain::units::{Amount, Round, mul_div};
use crate::exit::{Exit, line};
use alloy::primitives::{Address, U256};
use eyre::Result;

/// What is sold for the trial, in units of the oracle's currency: dollars almost everywhere.
const TRIAL: u64 = 1_000;
/// Least share of the oracle's value, in percent, that a pool with depth gives for it.
const DEEP: u64 = 95;

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
    let venue = Venue {
        factory: route.factory,
        quoter: route.quoter,
        router: route.router,
        wrapped_native: route.wrapped_native,
    };
    if let Err(error) = pools(&venue, node, market, report).await {
        report.fail("routes", Exit::Network, line(&error), "look at the node");
    }
}

/// Whether all four have code, and the router code we know.
async fn contracts(name: &str, route: &Route, node: &Node, report: &mut Report) -> bool {
    let wanted = [
        ("routes.factory", "uniswap_v3_factory", route.factory),
        ("routes.quoter", "uniswap_v3_quoter", route.quoter),
        ("routes.router", "uniswap_v3_router", route.router),
        ("routes.native", "wrapped_native", route.wrapped_native),
    ];
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
            Ok(_) => continue,
        };
        sound = false;
        report.fail(part, exit, what, remedy);
    }
    sound
}

async fn pools(venue: &Venue, node: &Node, market: &Market, report: &mut Report) -> Result<()> {
    let native = venue.wrapped_native;
    let seizable =
        market.reserves.values().filter(|reserve| can_be_seized(market, reserve)).collect::<Vec<_>>();
    let mut bad = Vec::new();
    for reserve in &seizable {
        if reserve.asset == native {
            continue;
        }
        let others =
            market.reserves.keys().copied().filter(|asset| *asset != reserve.asset && *asset != native);
        let mut best = sold(venue, node, market, reserve, &[native]).await?;
        if !is_deep(best) {
            let others = others.collect::<Vec<_>>();
            best = best.max(sold(venue, node, market, reserve, &others).await?);
        }
        match best {
            None => bad.push((reserve, "has no pool with the wrapped native coin or any debt".to_owned())),
            Some(_) if is_deep(best) => {}
            Some(share) => {
                bad.push((
                    reserve,
                    format!("brings {share} % of its value when {TRIAL} units' worth are sold"),
                ));
            }
        }
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
    for (reserve, why) in bad {
        report.warn(
            "routes.pool",
            format!("{} {why}", reserve.symbol),
            "its borrowers are left alone where they cost more than they bring; nothing to do here",
        );
    }
    Ok(())
}

fn is_deep(share: Option<u64>) -> bool {
    share.is_some_and(|share| share >= DEEP)
}

fn can_be_seized(market: &Market, reserve: &Reserve) -> bool {
    let Some(rules) = market.rules else { return false };
    let in_emode = market.emodes.iter().any(|(id, mode)| mode.takes(reserve, *id, rules.emode));
    reserve.configuration.is_active() && (in_emode || !reserve.configuration.threshold().is_zero())
}

/// The best share of its oracle value, in percent, that the trial brings in any of `wanted`. `None`: no pool answers.
async fn sold(
    venue: &Venue,
    node: &Node,
    market: &Market,
    reserve: &Reserve,
    wanted: &[Address],
) -> Result<Option<u64>> {
    let worth = market.base_unit.saturating_mul(U256::from(TRIAL));
    let Some(amount) = of_worth(market, reserve.asset, worth) else { return Ok(None) };
    let at = node.head.block.hash;
    let mut ways = Vec::new();
    for bought in wanted {
        ways.extend(TIERS.map(|tier| (*bought, tier)));
    }
    let reads = |questions: Vec<Question>| questions.iter().map(|one| one.read(venue)).collect::<Vec<Read>>();
    let known = ways.iter().map(|(bought, tier)| Question::Pool(Pair::of(reserve.asset, *bought), *tier));
    let pools = node.reader.answers(at, &reads(known.collect())).await?;
    let ways =
        ways.iter().zip(&pools).filter(|(_, pool)| address_in(pool).is_some_and(|pool| !pool.is_zero()));
    let ways = ways.map(|(way, _)| *way).collect::<Vec<_>>();
    let quotes = ways.iter().map(|(bought, tier)| Question::Sell {
        sold: reserve.asset,
        bought: *bought,
        tier: *tier,
        amount,
    });
    let answers = node.reader.answers_apart(at, &reads(quotes.collect())).await?;
    let shares = ways.iter().zip(&answers).filter_map(|((bought, _), answer)| {
        let word = U256::from_be_slice(answer.0.as_ref()?.get(..32)?);
        let fair = of_worth(market, *bought, worth)?;
        let share = mul_div(word, U256::from(100), fair.0, Round::Down).ok()?;
        Some(share.saturating_to::<u64>())
    });
    Ok(shares.max())
}

/// How much of `asset` is worth this much to the oracle; `None` where it has no price for it.
fn of_worth(market: &Market, asset: Address, worth: U256) -> Option<Amount> {
    let (price, reserve) = (market.prices.get(asset)?, market.reserves.get(&asset)?);
    mul_div(worth, reserve.unit(), price.0, Round::Up).ok().map(Amount)
}
