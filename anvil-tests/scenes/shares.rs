//! A reserve with nothing left to pay out: the keeper leaves its collateral alone, says why, and takes the market's own token for
//! it once the operator allows that and has filled the purse.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, U256},
    providers::Provider,
    rpc::types::{Filter, TransactionReceipt},
    sol_types::SolEvent,
};
use backstop::{
    abi::aave::Pool,
    bed::{assets::DOLLAR, operator::RECEIVER},
};
use eyre::{Result, WrapErr, ensure, eyre};

use super::{
    MARKETS,
    stand::{Opportunity, Scan, Stand},
};

/// Dollars of the fallen ether, and what an aToken counts less than it, in basis points.
const FALLEN: u64 = 1_600;
const DISCOUNT: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(180);

alloy::sol! {
    interface Token { function balanceOf(address owner) external view returns (uint256); }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_paid_out_is_taken_as_shares_where_that_is_allowed() -> Result<()> {
    for market in MARKETS {
        let mut stand = exhausted(market).await.wrap_err(market)?;
        refused(&stand).wrap_err(market)?;
        allow(&mut stand).await.wrap_err(market)?;
        without_a_purse(&stand).await.wrap_err(market)?;
        fill(&stand, 20_000).await.wrap_err(market)?;
        shared(&stand).await.wrap_err(market)?;
        fill(&stand, 1_000_000).await.wrap_err(market)?;
        promised(&stand).await.wrap_err(market)?;
        taken(&stand).await.wrap_err(market)?;
    }
    Ok(())
}

/// A market whose ether is all lent out, and whose borrowers against ether fall.
async fn exhausted(market: &'static str) -> Result<Stand> {
    let stand = Stand::new(market).await?;
    stand.fork.exhaust(market, "WETH").await?;
    stand.fork.set_price("WETH", FALLEN * DOLLAR).await?;
    stand.fork.move_pools_to_feeds().await?;
    stand.base_fee(10).await?;
    Ok(stand)
}

/// Nobody is paid in ether, and whose only collateral it is, is left alone for that reason.
fn refused(stand: &Stand) -> Result<()> {
    let weth = stand.fork.manifest.token("WETH")?.address;
    let scan = stand.scan()?;
    let seizes = |plan: &Opportunity| plan.legs.iter().any(|leg| leg.collateral_asset == weth);
    ensure!(!scan.opportunities.iter().any(seizes), "{:#?}", scan.opportunities);
    let left = scan.skipped.iter().filter(|skip| skip.reason == "collateral-illiquid").count();
    ensure!(left >= 2, "{:#?}", scan.skipped);
    Ok(())
}

/// The operator writes what may be held into the environment, and deploys an executor that lists it.
async fn allow(stand: &mut Stand) -> Result<()> {
    let name = stand.market.to_uppercase();
    let mut set = |field: &str, value: String| {
        stand.operator.environment.push((format!("BACKSTOP_MARKETS__{name}__SHARES__{field}"), value));
    };
    set("COLLATERAL", stand.fork.manifest.token("WETH")?.address.to_string());
    let [usdc, dai] = ["USDC", "DAI"].map(|symbol| stand.fork.manifest.token(symbol));
    set("DEBT", format!("{}, {}", usdc?.address, dai?.address));
    set("DISCOUNT_BPS", DISCOUNT.to_string());
    stand.operator.enlist(&stand.fork).await?;
    stand.operator.write("dry-run", "")
}

async fn without_a_purse(stand: &Stand) -> Result<()> {
    let reasons = stand.scan()?.skipped.into_iter().map(|skip| skip.reason).collect::<Vec<_>>();
    let empty = reasons.iter().filter(|reason| *reason == "empty-purse").count();
    ensure!(empty >= 2, "{reasons:?}");
    let doctor = stand.operator.run(&["doctor"])?;
    ensure!(doctor.stdout.contains("empty: 0.0000"), "{}", doctor.stdout);
    Ok(())
}

/// Anybody may send the executor what its owner wants spent.
async fn fill(stand: &Stand, dollars: u64) -> Result<()> {
    for symbol in ["USDC", "DAI"] {
        let amount = stand.fork.amount(symbol, 1_000 * dollars)?;
        stand.fork.fund(executor(stand)?, symbol, amount).await?;
    }
    let doctor = stand.operator.run(&["doctor"])?;
    ensure!(doctor.code == Some(0), "{}{}", doctor.stdout, doctor.stderr);
    ensure!(doctor.stdout.contains("USDC"), "{}", doctor.stdout);
    Ok(())
}

fn executor(stand: &Stand) -> Result<Address> {
    stand.operator.executor.ok_or_else(|| eyre!("no executor"))
}

async fn held(stand: &Stand, token: Address, owner: Address) -> Result<U256> {
    stand.fork.chain.read(token, &Token::balanceOfCall { owner }).await
}

/// Those of the plans that take shares.
async fn for_shares(stand: &Stand, scan: Scan) -> Result<Vec<Opportunity>> {
    let shares = stand.fork.a_token(stand.market, "WETH").await?;
    Ok(scan.opportunities.into_iter().filter(|plan| plan.shares == Some(shares)).collect())
}

/// Each plan for shares is worth what it says by the oracle's prices, less the discount, and sent as printed it does that.
async fn promised(stand: &Stand) -> Result<()> {
    let plans = for_shares(stand, stand.scan()?).await?;
    ensure!(plans.len() >= 2, "{} plans for shares", plans.len());
    for plan in &plans {
        let leg = plan.leg()?;
        ensure!(plan.swaps.is_empty(), "{plan:#?}");
        let expected = worth(stand, (leg.debt_asset, leg.repay), leg.seize).await?;
        let slack = U256::from(1_000_000_000_000_u64);
        ensure!(plan.gross_wei.abs_diff(expected) <= slack, "{expected}: {plan:#?}");

        let snapshot = stand.fork.snapshot().await?;
        let (executor, shares) = (executor(stand)?, stand.fork.a_token(stand.market, "WETH").await?);
        let purse = held(stand, leg.debt_asset, executor).await?;
        let receipt = stand.carry_out(plan, 1).await?;
        let [call] = &calls(stand, &receipt)?[..] else { eyre::bail!("not one liquidation") };
        ensure!(call.receiveAToken && call.user == plan.account, "{plan:#?}");
        let spent = purse - held(stand, leg.debt_asset, executor).await?;
        ensure!(spent == call.debtToCover && near(spent, leg.repay), "spent {spent}: {plan:#?}");
        let got = held(stand, shares, RECEIVER).await?;
        ensure!(near(got, leg.seize), "got {got}: {plan:#?}");
        ensure!(held(stand, shares, executor).await? <= U256::from(2), "shares stay in the executor");
        let gas = i128::from(plan.gas) - i128::from(receipt.gas_used);
        ensure!(gas.unsigned_abs() * 100 <= u128::from(receipt.gas_used) * 3, "{gas} of {} gas", plan.gas);
        stand.fork.revert(snapshot).await?;
    }
    let gas = plans.iter().map(|plan| plan.gas).collect::<Vec<_>>();
    eprintln!("{}: {} plans for shares do as they say, with {gas:?} gas", stand.market, plans.len());
    Ok(())
}

/// What all plans together take of each debt is in the purse: they are carried out one behind the other.
async fn shared(stand: &Stand) -> Result<()> {
    let plans = for_shares(stand, stand.scan()?).await?;
    ensure!(plans.len() >= 2, "{} plans for shares", plans.len());
    let executor = executor(stand)?;
    let mut wanted = BTreeMap::<Address, U256>::new();
    for plan in &plans {
        let leg = plan.leg()?;
        *wanted.entry(leg.debt_asset).or_default() += leg.repay;
    }
    let mut scarce = 0;
    for (debt, wanted) in wanted {
        let there = held(stand, debt, executor).await?;
        ensure!(wanted <= there, "{wanted} of {debt} wanted, {there} there");
        scarce += usize::from(wanted * U256::from(100) > there * U256::from(99));
    }
    ensure!(scarce > 0, "there is enough for all of {plans:#?}");
    let snapshot = stand.fork.snapshot().await?;
    for plan in &plans {
        stand.fork.chain.set_next_base_fee(U256::from(10_000_000_000_u64)).await?;
        stand.fork.send(stand.operator.address, plan.call.to, plan.call.data.clone()).await?;
    }
    stand.fork.revert(snapshot).await?;
    eprintln!("{}: {} plans share a purse of 20,000 dollars of each", stand.market, plans.len());
    Ok(())
}

/// But for the interest of a minute.
fn near(found: U256, expected: U256) -> bool {
    found.abs_diff(expected) <= expected / U256::from(1_000_000) + U256::from(2)
}

fn calls(stand: &Stand, receipt: &TransactionReceipt) -> Result<Vec<Pool::LiquidationCall>> {
    let pool = stand.fork.manifest.market(stand.market)?.pool;
    let logs = receipt.logs().iter().filter(|log| log.address() == pool);
    Ok(logs
        .filter_map(|log| Pool::LiquidationCall::decode_log(&log.inner).ok())
        .map(|log| log.data)
        .collect())
}

/// The daemon takes them, those for shares and the others, and books what came of it.
async fn taken(stand: &Stand) -> Result<()> {
    let scan = stand.scan()?;
    let all = scan.opportunities.iter().map(|plan| plan.account).collect::<BTreeSet<_>>();
    let kept = for_shares(stand, scan).await?.len();
    ensure!(all.len() > kept, "nothing else pays");
    let (executor, shares) = (executor(stand)?, stand.fork.a_token(stand.market, "WETH").await?);
    let weth = stand.fork.manifest.token("WETH")?.address;
    let before = held(stand, weth, RECEIVER).await?;
    let first = stand.fork.chain.block_number().await?;
    stand.operator.write("live", "")?;
    let mut daemon = stand.operator.start(&["run", "--json"])?;
    daemon.says("ready", PATIENCE).await?;
    let began = Instant::now();
    let won = loop {
        stand.fork.mine(1).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let won = events(&daemon.stdout(), "won")?;
        let taken = won.iter().flat_map(|event| event["accounts"].as_array().into_iter().flatten());
        if taken.map(ToString::to_string).collect::<BTreeSet<_>>().len() >= all.len() {
            break won;
        }
        ensure!(began.elapsed() < PATIENCE, "{won:#?} {}", daemon.stderr());
    };
    ensure!(daemon.stop()?.success(), "the keeper did not stop well");

    let told = won.iter().flat_map(|event| event["shares"].as_array().into_iter().flatten());
    let mut units = U256::ZERO;
    for one in told {
        let [token, more] = ["token", "units"].map(|key| one[key].as_str().unwrap_or_default());
        ensure!(token.parse::<Address>()? == shares, "{one}");
        units += more.parse::<U256>()?;
    }
    // They have earned since, but nobody took any.
    ensure!(
        held(stand, shares, RECEIVER).await? + U256::from(20) >= units && !units.is_zero(),
        "{units} told"
    );
    ensure!(held(stand, shares, executor).await? <= U256::from(2), "shares stay in the executor");
    let mut expected = held(stand, weth, RECEIVER).await? - before;
    let pool = stand.fork.manifest.market(stand.market)?.pool;
    let logs = stand.fork.provider.get_logs(&Filter::new().address(pool).from_block(first)).await?;
    let (mut taken, mut calls) = (U256::ZERO, 0);
    for log in logs.iter().filter_map(|log| Pool::LiquidationCall::decode_log(&log.inner).ok()) {
        if log.receiveAToken {
            taken += log.liquidatedCollateralAmount;
            calls += 1;
            expected +=
                worth(stand, (log.debtAsset, log.debtToCover), log.liquidatedCollateralAmount).await?;
        }
    }
    ensure!(units.abs_diff(taken) <= U256::from(2 * calls), "{units} told, the market gave {taken}");
    let booked = won.iter().try_fold(U256::ZERO, |sum, event| {
        Ok::<_, eyre::Report>(sum + event["gross_wei"].as_str().unwrap_or_default().parse::<U256>()?)
    })?;
    ensure!(booked.abs_diff(expected) * U256::from(1_000) <= expected, "booked {booked}, not {expected}");
    eprintln!(
        "{}: {} accounts in {} transactions, {kept} of them for {units} shares, booked {booked}",
        stand.market,
        all.len(),
        won.len(),
    );
    Ok(())
}

/// By how much these units of aWETH are worth more than what was paid for them, by the oracle and less the discount.
async fn worth(stand: &Stand, paid: (Address, U256), taken: U256) -> Result<U256> {
    let debt = stand.symbol(paid.0)?;
    let decimals = stand.fork.manifest.token(debt)?.decimals;
    let price = U256::from(stand.fork.price(debt).await?);
    let wei = U256::from(10).pow(U256::from(18));
    let given = price * paid.1 * wei / U256::from(10).pow(U256::from(decimals)) / U256::from(FALLEN * DOLLAR);
    Ok(taken * U256::from(10_000 - DISCOUNT) / U256::from(10_000) - given)
}

/// The events of one kind that a daemon printed.
fn events(printed: &str, kind: &str) -> Result<Vec<serde_json::Value>> {
    let lines = printed.lines().map(serde_json::from_str::<serde_json::Value>);
    let events = lines.collect::<Result<Vec<_>, _>>()?;
    Ok(events.into_iter().filter(|event| event["event"] == kind).collect())
}
