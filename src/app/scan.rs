//! `scan`: one look at one block. What could be liquidated in the next block, with the exact call and what it
//! would bring; and what is left alone, with the reason.

use super::hands::{Hands, drive};
use super::positions::factor;
use super::wire::{self, Wire};
use crate::cli::Scan;
use crate::config::{Config, Need};
use crate::domain::executor::{Listing, NOBODY, PLACEHOLDER};
use crate::domain::keeper::{Input, Terms};
use crate::domain::plan::{Plan, Skip};
use crate::domain::protocols::aave_v3::Market;
use crate::domain::route::Venue;
use crate::domain::units::{Amount, Gas, HealthFactor, Net, Wei, show};
use crate::exit::{Exit, ExitExt};
use crate::io::out;
use crate::io::simulate::{Simulator, Stage};
use alloy::primitives::{Address, Bytes};
use comfy_table::Table;
use eyre::{Result, eyre};
use serde::Serialize;

/// `scan --json`: one object. Integers beyond 2^53 are decimal strings.
#[derive(Debug, Serialize)]
struct Output<'a> {
    v: u8,
    market: &'a str,
    block: u64,
    borrowers: usize,
    indexed_to: u64,
    opportunities: Vec<Opportunity>,
    skipped: Vec<Skipped>,
}

/// One plan, as `scan` and a dry run print it.
#[derive(Debug, Serialize)]
pub struct Opportunity {
    account: String,
    health_factor: HealthFactor,
    legs: Vec<Leg>,
    gross_wei: Wei,
    gas: Gas,
    cost_wei: Wei,
    net_wei: Net,
    call: Call,
}

#[derive(Debug, Serialize)]
struct Leg {
    debt_asset: String,
    collateral_asset: String,
    repay: Amount,
    seize: Amount,
    route: Vec<String>,
    fees: Vec<u32>,
}

#[derive(Debug, Serialize)]
struct Call {
    to: String,
    data: Bytes,
}

/// One refusal, as `scan` and a dry run print it.
#[derive(Debug, Serialize)]
pub struct Skipped {
    account: String,
    reason: &'static str,
    debt_asset: Option<String>,
    collateral_asset: Option<String>,
    repay: Option<Amount>,
    net_wei: Option<Net>,
    why: String,
}

impl From<&Plan> for Opportunity {
    fn from(plan: &Plan) -> Self {
        let draft = &plan.proposal.draft;
        Self {
            account: draft.account.to_string(),
            health_factor: draft.health,
            legs: vec![Leg {
                debt_asset: draft.debt_asset.to_string(),
                collateral_asset: draft.collateral_asset.to_string(),
                repay: draft.outcome.repaid,
                seize: draft.outcome.seized,
                route: draft.route.iter().map(Address::to_string).collect(),
                fees: draft.tiers.clone(),
            }],
            gross_wei: plan.gross,
            gas: plan.gas,
            cost_wei: plan.cost,
            net_wei: plan.net,
            call: Call { to: plan.proposal.to.to_string(), data: plan.proposal.data.clone() },
        }
    }
}

impl From<&Skip> for Skipped {
    fn from(skip: &Skip) -> Self {
        Self {
            account: skip.account.to_string(),
            reason: skip.reason.word(),
            debt_asset: skip.debt_asset.map(|asset| asset.to_string()),
            collateral_asset: skip.collateral_asset.map(|asset| asset.to_string()),
            repay: skip.repay,
            net_wei: skip.net,
            why: skip.reason.to_string(),
        }
    }
}

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
    let venue = Venue {
        factory: route.factory,
        quoter: route.quoter,
        router: route.router,
        wrapped_native: route.wrapped_native,
    };
    let router = standing.router.ok_or_else(|| eyre!("no router")).exit(Exit::Configuration)?;
    let tokens = market.reserves.keys().copied().collect::<Vec<_>>();
    let listing = Listing::new(market.addresses.pool, &venue, router, &tokens);
    let executor = config.executor.address.unwrap_or(PLACEHOLDER);
    let stage = Stage {
        executor,
        sender: sender.unwrap_or(NOBODY),
        place: config.executor.address.is_none().then_some(&listing),
        promote: sender.is_none(),
    };
    let simulator =
        Simulator::new(wire.rpc.clone(), &stage, config.fees.gas_limit).await.exit(Exit::Network)?;
    if !simulator.is_exact() {
        tracing::warn!("the node has no eth_simulateV1: gas is the node's estimate, which is never too low");
    }
    let terms = Terms {
        venue,
        lender: market.addresses.pool,
        executor,
        partners: listing.tokens(),
        minimum: config.profit.minimum,
        slippage: config.profit.slippage,
        fees: config.fees,
        live: false,
    };
    Ok(Bench { terms, listing, simulator })
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

/// # Errors
/// Exit code 4 when asked for with `--exit-code` and nothing was found.
pub async fn scan(config: &Config, arguments: &Scan, json: bool) -> Result<()> {
    let mut wire = wire::market(config, Need::Route, None).await?;
    let bench = bench(config, &wire, None).await?;
    if let Some(account) = arguments.account {
        wire.keeper.market.accounts.retain(|known, _| *known == account);
    }
    wire.keeper.engage(bench.terms.clone(), None);
    let head = wire.head;
    // The earliest the next block can be: what is liquidatable then stays so, but for prices.
    let next_timestamp = head.block.timestamp.saturating_add(1);
    let input = Input::Head { dropped: vec![], added: vec![(head, vec![])], jumped: false, next_timestamp };
    let mut hands = Hands { reader: &wire.reader, simulator: Some(&bench.simulator), desk: None };
    drive(&mut wire.keeper, input, &mut hands).await?;
    if json {
        print_json(config, &wire)?
    } else {
        print_table(config, &wire)?
    }
    if arguments.exit_code && wire.keeper.report().plans.is_empty() {
        return Err(eyre!("no opportunity at block {}", head.block.number)).exit(Exit::NothingFound);
    }
    Ok(())
}

fn print_json(config: &Config, wire: &Wire) -> Result<()> {
    let report = wire.keeper.report();
    out::json(&Output {
        v: 1,
        market: &config.market.name,
        block: wire.head.block.number,
        borrowers: wire.keeper.market.accounts.len(),
        indexed_to: wire.head.block.number,
        opportunities: report.plans.iter().map(Opportunity::from).collect(),
        skipped: report.skips.iter().map(Skipped::from).collect(),
    })
}

fn print_table(config: &Config, wire: &Wire) -> Result<()> {
    let market = &wire.keeper.market;
    let report = wire.keeper.report();
    out::line(&format!(
        "{}  aave-v3 {}  block {}  {} borrowers  indexed to head",
        config.market.name,
        market.rules.map_or("?", |rules| rules.release),
        wire.head.block.number,
        market.accounts.len(),
    ))?;
    out::line("")?;
    if !report.plans.is_empty() {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["BORROWER", "HEALTH", "SEIZE", "REPAY", "GROSS", "GAS", "NET", "VIA"]);
        for plan in &report.plans {
            let told = tell(market, plan);
            table.add_row([
                plan.proposal.draft.account.to_string(),
                factor(plan.proposal.draft.health),
                told.seize,
                told.repay,
                native(Net::Gain(plan.gross)),
                plan.gas.0.to_string(),
                native(plan.net),
                told.via,
            ]);
        }
        out::line(&table.to_string())?;
        out::line("")?;
    }
    for skip in &report.skips {
        let health = skip.health.map_or("unknown".into(), factor);
        let net = skip.net.map_or(String::new(), |net| format!(", net {}", native(net)));
        out::line(&format!("skipped {}  health {health}{net}: {}", skip.account, skip.reason))?;
    }
    let total = report.plans.iter().filter_map(|plan| plan.net.gain()).try_fold(Wei::ZERO, Wei::plus);
    let total = total.map_or("?".into(), |total| native(Net::Gain(total)));
    out::line(&format!("{} opportunities, {total} net. Nothing was sent.", report.plans.len()))
}

/// A plan in people's words.
pub struct Told {
    pub seize: String,
    pub repay: String,
    pub via: String,
}

/// Amounts with their symbols, and the way between them.
pub fn tell(market: &Market, plan: &Plan) -> Told {
    let draft = &plan.proposal.draft;
    let amount = |asset: Address, units: Amount| {
        market.reserves.get(&asset).map_or_else(
            || format!("{units} of {asset}"),
            |reserve| format!("{} {}", show(units.0, reserve.decimals, 4), reserve.symbol),
        )
    };
    let tiers = draft.tiers.iter().map(|tier| format!("{} %", show_tier(*tier))).collect::<Vec<_>>();
    Told {
        seize: amount(draft.collateral_asset, draft.outcome.seized),
        repay: amount(draft.debt_asset, draft.outcome.repaid),
        via: if tiers.is_empty() { "no swap".into() } else { format!("univ3 {}", tiers.join(" + ")) },
    }
}

fn show_tier(tier: u32) -> String {
    let digits = show(alloy::primitives::U256::from(tier), 4, 4);
    digits.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Native coin with six places.
pub fn native(net: Net) -> String {
    match net {
        Net::Gain(wei) => show(wei.0, 18, 6),
        Net::Loss(wei) => format!("-{}", show(wei.0, 18, 6)),
    }
}
