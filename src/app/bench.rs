//! What judging needs beyond the market: the operator's terms, the venue, and an executor to try calls on.

use super::wire::Wire;
use crate::config::Config;
use crate::domain::executor::{Listing, NOBODY, PLACEHOLDER, Role, code_hash};
use crate::domain::keeper::Terms;
use crate::domain::protocols::aave_v3::Market;
use crate::domain::route::Venue;
use crate::domain::size::Holding;
use crate::exit::{Exit, ExitExt};
use crate::io::simulate::{Simulator, Stage};
use alloy::primitives::Address;
use eyre::{Result, eyre};

/// The operator's terms and the means to try calls under them.
pub struct Bench {
    pub terms: Terms,
    pub listing: Listing,
    pub simulator: Simulator,
}

/// Sets up what judging needs beyond the market: the venue, and an executor to try calls on: the configured
/// one, or where none is, one placed by state override. `sender`: the operator, when there is a wallet.
///
/// # Errors
/// Tagged with the exit code they mean.
pub async fn bench(config: &Config, wire: &Wire, sender: Option<Address>) -> Result<Bench> {
    let (market, standing) = (&wire.keeper.market, &wire.standing);
    refuse_unknown(market)?;
    let route = config.market.route.ok_or_else(|| eyre!("no route")).exit(Exit::Configuration)?;
    let venue = route.venue();
    let router = standing.router.ok_or_else(|| eyre!("no router")).exit(Exit::Configuration)?;
    let holding = config.market.holding.as_ref();
    if let Some(holding) = holding {
        may_be_held(config, market, holding, venue.wrapped_native).exit(Exit::Configuration)?;
    }
    let tokens = market.reserves.keys().copied().collect::<Vec<_>>();
    let listing = listing(market, &venue, router, holding);
    let executor = config.executor.address.unwrap_or(PLACEHOLDER);
    if config.executor.address.is_some() && config.executor.code_hash != code_hash() {
        tracing::warn!("executor.code_hash pins the executor of another version: what it refuses is skipped");
    }
    let stage = Stage {
        executor,
        sender: sender.unwrap_or(NOBODY),
        place: config.executor.address.is_none().then_some(&listing),
        promote: sender.is_none(),
    };
    let simulator =
        Simulator::new(wire.rpc.clone(), &stage, config.fees.gas_limit).await.exit(Exit::Network)?;
    if !simulator.simulates() {
        tracing::warn!("the node has no eth_simulateV1: gas is the node's estimate, which is never too low");
    }
    let terms = Terms {
        venue,
        lender: market.addresses.pool,
        executor,
        partners: partners(tokens, venue.wrapped_native),
        minimum: config.profit.minimum,
        slippage: config.profit.slippage,
        holding: holding.cloned(),
        fees: config.fees,
        bundles: simulator.simulates(),
        live: false,
    };
    Ok(Bench { terms, listing, simulator })
}

/// Everything the executor must list to serve this market.
pub fn listing(market: &Market, venue: &Venue, router: Role, holding: Option<&Holding>) -> Listing {
    let tokens = market.reserves.keys().copied().collect::<Vec<_>>();
    let shares = |holding: &Holding| {
        let reserves = holding.collaterals.iter().filter_map(|asset| market.reserves.get(asset));
        reserves.map(|reserve| reserve.a_token).collect::<Vec<_>>()
    };
    let held = holding.map(shares).unwrap_or_default();
    let purses = holding.map_or(&[][..], |holding| &holding.debts);
    Listing::new(market.addresses.pool, venue, router, &tokens, (purses, &held))
}

/// Assets whose pools with the debt may lend it.
fn partners(mut tokens: Vec<Address>, native: Address) -> Vec<Address> {
    tokens.push(native);
    tokens.sort_unstable();
    tokens.dedup();
    tokens
}

/// What the configuration names must be the market's, and what it is worth must be known.
///
/// # Errors
/// What is wrong, and what to do about it.
pub fn may_be_held(config: &Config, market: &Market, holding: &Holding, native: Address) -> Result<()> {
    let name = &config.market.name;
    for (field, assets) in [("collateral", &holding.collaterals), ("debt", &holding.debts)] {
        if let Some(asset) = assets.iter().find(|asset| !market.reserves.contains_key(*asset)) {
            return Err(eyre!(
                "markets.{name}.shares.{field} names {asset}, which is no asset of this market: correct or remove it"
            ));
        }
    }
    if !market.reserves.contains_key(&native) {
        return Err(eyre!(
            "markets.{name}.shares: the market's oracle does not know the wrapped native coin {native}, so that \
             nothing says what shares are worth in it: remove the table"
        ));
    }
    Ok(())
}

/// A pool whose rules we do not know is observed with `positions`, never acted on.
fn refuse_unknown(market: &Market) -> Result<()> {
    if market.rules.is_some() {
        return Ok(());
    }
    Err(eyre!(
        "the pool runs revision {}, which this version of backstop does not know: it can be observed with `backstop \
         positions`, but nothing is planned or sent",
        market.revision
    ))
    .exit(Exit::Refused)
}
