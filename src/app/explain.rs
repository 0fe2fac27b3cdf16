//! `explain`: one account at one block. What it stands on, at which prices the contract's verdict turns, what would
//! keep it from that, and for each of its pairs what a liquidation would bring, or why there is none.

mod json;
mod pairs;
mod words;

use super::bench::bench;
use super::wire::{self, Wire};
use crate::abi::aave::Pool;
use crate::abi::erc20::Erc20;
use crate::cli::Explain as Arguments;
use crate::config::{Config, Need};
use crate::domain::chain::Read;
use crate::domain::explain::{Explain, Leg, LiquidationPrice, Remedy};
use crate::domain::plan::Proposal;
use crate::domain::prices::Moment;
use crate::domain::protocol::{Health, Protocol, Unknown};
use crate::domain::units::{Amount, Base, Bps, HealthFactor, Price, Round, mul_div};
use crate::exit::{Exit, ExitExt};
use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use eyre::Result;
use pairs::{Ending, Prospect};

/// Everything found out about the account.
struct Findings {
    account: Address,
    /// It is in the index of borrowers.
    is_indexed: bool,
    /// By our arithmetic.
    judged: Result<Judged, Unknown>,
    /// By the contract itself; `None` where it refuses to say.
    contract: Option<Health>,
    /// Supplied, but not as collateral.
    idle: Vec<Idle>,
    /// The configuration has a route, and the pool's rules are known.
    is_priced: bool,
    prospects: Vec<Prospect>,
    /// What would be sent, where that is calls of several pairs in one transaction.
    together: Option<(Proposal, Ending)>,
}

/// An asset that is supplied and does not count.
struct Idle {
    asset: Address,
    units: Amount,
    price: Option<Price>,
    value: Option<Base>,
    /// What it would count with, outside of any category.
    threshold: Bps,
}

struct Judged {
    health: Health,
    legs: Vec<Leg>,
    lines: Vec<LiquidationPrice>,
    remedies: Vec<Remedy>,
}

/// # Errors
/// Tagged with the exit code they mean.
pub async fn explain(config: &Config, arguments: &Arguments, json: bool) -> Result<()> {
    let need = if config.market.route.is_some() { Need::Route } else { Need::Read };
    let (wire, is_indexed) = wire::account(config, need, arguments.account).await?;
    let market = &wire.keeper.market;
    let bench = match need {
        Need::Route if market.rules.is_some() => Some(bench(config, &wire, None).await?),
        _ => None,
    };
    let together = match &bench {
        Some(bench) => pairs::together(&wire, bench, arguments.account).await?,
        None => None,
    };
    let findings = Findings {
        account: arguments.account,
        is_indexed,
        judged: judge(&wire, arguments),
        contract: contract(&wire, arguments.account).await.exit(Exit::Network)?,
        idle: idle(&wire, arguments.account).await.exit(Exit::Network)?,
        is_priced: bench.is_some(),
        prospects: pairs::prospects(&wire, bench.as_ref(), arguments.account).await?,
        together,
    };
    if json {
        json::print(&config.market.name, &wire, &findings)
    } else {
        words::print(&config.market.name, &wire, &findings)
    }
}

fn judge(wire: &Wire, arguments: &Arguments) -> Result<Judged, Unknown> {
    let market = &wire.keeper.market;
    let when = Moment { timestamp: wire.head.block.timestamp, prices: market.prices() };
    let account = arguments.account;
    let mut targets = vec![HealthFactor::ONE, arguments.target];
    targets.dedup();
    Ok(Judged {
        health: market.health(account, &when)?,
        legs: market.legs(account, &when)?,
        lines: market.liquidation_prices(account, &when)?,
        remedies: targets
            .into_iter()
            .map(|target| market.remedy(account, target, &when))
            .collect::<Result<_, _>>()?,
    })
}

async fn contract(wire: &Wire, user: Address) -> Result<Option<Health>> {
    let data = Pool::getUserAccountDataCall { user }.abi_encode().into();
    let read = Read { to: wire.keeper.market.addresses.pool, data };
    let answers = wire.reader.answers(wire.head.block.hash, &[read]).await?;
    let said = answers.first().and_then(|answer| answer.0.as_ref());
    Ok(said.and_then(|data| Pool::getUserAccountDataCall::abi_decode_returns(data).ok()).map(|data| Health {
        collateral: Base(data.totalCollateralBase),
        debt: Base(data.totalDebtBase),
        factor: HealthFactor(data.healthFactor),
    }))
}

/// What the account has supplied without using it as collateral: nothing the keeper needs to know otherwise.
async fn idle(wire: &Wire, owner: Address) -> Result<Vec<Idle>> {
    let market = &wire.keeper.market;
    let is_collateral =
        |id: u16| market.accounts.get(&owner).is_some_and(|account| account.collateralizes(id));
    let others = market.reserves.values().filter(|reserve| !is_collateral(reserve.id)).collect::<Vec<_>>();
    let reads = others
        .iter()
        .map(|reserve| Read { to: reserve.a_token, data: Erc20::balanceOfCall { owner }.abi_encode().into() })
        .collect::<Vec<_>>();
    let answers = wire.reader.answers(wire.head.block.hash, &reads).await?;
    let balance = |data: &[u8]| data.get(..32).map(U256::from_be_slice);
    let held = others.iter().zip(&answers).filter_map(|(reserve, answer)| {
        let units = balance(answer.0.as_ref()?).filter(|units| !units.is_zero())?;
        let price = market.prices.get(reserve.asset);
        let value = price.and_then(|price| mul_div(units, price.0, reserve.unit(), Round::Down).ok());
        Some(Idle {
            asset: reserve.asset,
            units: Amount(units),
            price,
            value: value.map(Base),
            threshold: Bps(reserve.configuration.threshold().saturating_to()),
        })
    });
    Ok(held.collect())
}
