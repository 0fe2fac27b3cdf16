//! Whether one printed opportunity is worth what it says: it is sent as printed, measured, and undone.

use std::collections::BTreeSet;

use alloy::{
    eips::BlockId,
    primitives::{Address, I256, U256, address},
    rpc::types::TransactionReceipt,
    sol_types::{SolCall, SolEvent},
};
use backstop::{
    abi::{
        aave::Pool,
        multicall::{Call3, Multicall3},
    },
    bed::{AccountData, operator::RECEIVER},
};
use eyre::{Result, WrapErr, ensure};

use super::stand::{Opportunity, Stand};

pub const MULTICALL: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");

alloy::sol! {
    function balanceOf(address owner) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
}

/// How a plan is shaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    DebtIsNative,
    CollateralIsNative,
    /// One pool stands between the two.
    Neither,
    /// Through the native coin: a swap into it and one out of it.
    TwoSwapsOnTheWay,
    SameAsset,
    SeveralCollaterals,
    SeveralDebts,
}

impl Shape {
    pub fn of(plan: &Opportunity, native: Address) -> Result<Self> {
        let count = |assets: Vec<Address>| assets.into_iter().collect::<BTreeSet<_>>().len();
        if count(plan.legs.iter().map(|leg| leg.debt_asset).collect()) > 1 {
            return Ok(Self::SeveralDebts);
        }
        if count(plan.legs.iter().map(|leg| leg.collateral_asset).collect()) > 1 {
            return Ok(Self::SeveralCollaterals);
        }
        let leg = plan.leg()?;
        Ok(if leg.debt_asset == leg.collateral_asset {
            Self::SameAsset
        } else if leg.debt_asset == native {
            Self::DebtIsNative
        } else if leg.collateral_asset == native {
            Self::CollateralIsNative
        } else if plan.swaps.iter().any(|swap| swap.sold == native) {
            Self::TwoSwapsOnTheWay
        } else {
            Self::Neither
        })
    }
}

/// What came of it, in parts per million of what was promised.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub net_ppm: i64,
    pub gas_ppm: i64,
}

/// Sends the call `delay` seconds after the head and requires everything it promised; the chain is as before then.
pub async fn check(stand: &Stand, plan: &Opportunity, delay: u64) -> Result<Kept> {
    let snapshot = stand.fork.snapshot().await?;
    let kept = measure(stand, plan, delay).await;
    stand.fork.revert(snapshot).await?;
    kept.wrap_err_with(|| format!("{} {plan:#?} sent after {delay} s", stand.market))
}

async fn measure(stand: &Stand, plan: &Opportunity, delay: u64) -> Result<Kept> {
    let Stand { fork, market, .. } = stand;
    let before = fork.account_data(market, plan.account, BlockId::latest()).await?;
    let had = fork.balance(RECEIVER, "WETH").await?;
    let receipt = stand.carry_out(plan, delay).await?;
    let gained = fork.balance(RECEIVER, "WETH").await? - had;
    let paid = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);

    let promised = plan.net_wei;
    ensure!(promised == signed(plan.gross_wei)? - signed(plan.cost_wei)?, "net is not gross less cost");
    let net = signed(gained)? - signed(paid)?;
    keeps("gross", signed(gained)?, signed(plan.gross_wei)?)?;
    // In a block at the head's own second too: the amounts were judged to be legal there already.
    keeps("net", net, promised)?;
    let gas_ppm = ppm(signed(U256::from(receipt.gas_used))?, signed(U256::from(plan.gas))?)?;
    ensure!(gas_ppm.abs() <= 30_000, "promised {} gas, used {}", plan.gas, receipt.gas_used);

    moved_as_promised(stand, plan, &receipt)?;
    let after = fork.account_data(market, plan.account, BlockId::latest()).await?;
    healthier(stand, plan, &before, &after).await?;
    nothing_left(stand, plan.call.to).await?;
    Ok(Kept { net_ppm: ppm(net, promised)?, gas_ppm })
}

/// The pool's own events name the amounts of the legs, one each, but for a minute's interest.
fn moved_as_promised(stand: &Stand, plan: &Opportunity, receipt: &TransactionReceipt) -> Result<()> {
    let pool = stand.fork.manifest.market(stand.market)?.pool;
    let calls = receipt
        .logs()
        .iter()
        .filter(|log| log.address() == pool)
        .filter_map(|log| Pool::LiquidationCall::decode_log(&log.inner).ok());
    let calls = calls.collect::<Vec<_>>();
    ensure!(calls.len() == plan.legs.len(), "{} liquidations were reported", calls.len());
    for (call, leg) in calls.iter().zip(&plan.legs) {
        ensure!(call.user == plan.account && call.debtAsset == leg.debt_asset);
        ensure!(call.collateralAsset == leg.collateral_asset);
        same_but_for("repay", call.debtToCover, leg.repay, 1)?;
        same_but_for("seize", call.liquidatedCollateralAmount, leg.seize, 1)?;
    }
    Ok(())
}

/// The debt shrank by what was repaid, the collateral by what was seized and the protocol's fee, and whoever was not
/// beyond help is healthier.
async fn healthier(
    stand: &Stand,
    plan: &Opportunity,
    before: &AccountData,
    after: &AccountData,
) -> Result<()> {
    let value = async |token: Address, amount: U256| -> Result<U256> {
        let symbol = stand.symbol(token)?;
        let unit = U256::from(10).pow(U256::from(stand.fork.manifest.token(symbol)?.decimals));
        Ok(amount * U256::from(stand.fork.price(symbol).await?) / unit)
    };
    let (mut repaid, mut seized) = (U256::ZERO, U256::ZERO);
    for leg in &plan.legs {
        repaid += value(leg.debt_asset, leg.repay).await?;
        seized += value(leg.collateral_asset, leg.seize).await?;
    }
    let written_off = stand.market == "v36" && after.totalCollateralBase.is_zero();
    if written_off {
        ensure!(after.totalDebtBase.is_zero(), "what no collateral stands for is written off");
    } else {
        let left = before.totalDebtBase.saturating_sub(repaid);
        close("debt left", after.totalDebtBase, left, before.totalDebtBase)?;
    }
    let taken = before.totalCollateralBase.saturating_sub(after.totalCollateralBase);
    // What is left earns: a minute's interest, and in V3.0 a share of the flash loan's premium.
    let earned = before.totalCollateralBase / U256::from(20_000) + U256::from(3);
    let with_fee = seized + seized / U256::from(100);
    ensure!(taken + earned >= seized, "{taken} taken, {seized} seized");
    ensure!(taken <= with_fee + U256::from(3), "{taken} taken, {seized} seized with the protocol's fee");
    let near = U256::from(970_000_000_000_000_000_u64);
    if before.healthFactor > near {
        ensure!(
            after.healthFactor > before.healthFactor,
            "health from {} to {}",
            before.healthFactor,
            after.healthFactor
        );
    }
    Ok(())
}

/// No token, no aToken and no allowance stays in the executor, and the key received nothing.
pub async fn nothing_left(stand: &Stand, executor: Address) -> Result<()> {
    let manifest = &stand.fork.manifest;
    let pool = manifest.market(stand.market)?.pool;
    let mut calls = Vec::new();
    let mut ask = |target: Address, data: Vec<u8>| {
        calls.push(Call3 { target, allowFailure: false, callData: data.into() });
    };
    for (symbol, token) in &manifest.tokens {
        let a_token = stand.fork.a_token(stand.market, symbol).await?;
        for (token, owner) in
            [(token.address, executor), (a_token, executor), (token.address, stand.operator.address)]
        {
            ask(token, balanceOfCall { owner }.abi_encode());
        }
        let uniswap = &manifest.uniswap;
        for spender in [pool, uniswap.router, uniswap.router02, uniswap.v2_router] {
            ask(token.address, allowanceCall { owner: executor, spender }.abi_encode());
        }
    }
    let answers =
        stand.fork.chain.read(MULTICALL, &Multicall3::aggregate3Call { calls: calls.clone() }).await?;
    for (call, answer) in calls.iter().zip(answers) {
        ensure!(
            U256::from_be_slice(&answer.returnData).is_zero(),
            "{} left: {} of {}",
            answer.returnData,
            call.callData,
            call.target
        );
    }
    Ok(())
}

/// At least 999 of 1,000 promised.
fn keeps(what: &str, found: I256, promised: I256) -> Result<()> {
    let enough = found * I256::try_from(1_000)? >= promised * I256::try_from(999)?;
    ensure!(enough, "promised {promised} {what}, brought {found}");
    Ok(())
}

/// Equal to within `ppm` millionths and a few units.
fn same_but_for(what: &str, found: U256, expected: U256, ppm: u64) -> Result<()> {
    let slack = expected * U256::from(ppm) / U256::from(1_000_000) + U256::from(2);
    ensure!(found.abs_diff(expected) <= slack, "{what}: {found}, promised {expected}");
    Ok(())
}

/// Equal to within a millionth of `whole` and a few units.
fn close(what: &str, found: U256, expected: U256, whole: U256) -> Result<()> {
    let slack = whole / U256::from(1_000_000) + U256::from(3);
    ensure!(found.abs_diff(expected) <= slack, "{what}: {found}, expected {expected} of {whole}");
    Ok(())
}

pub fn signed(value: U256) -> Result<I256> {
    I256::try_from(value).wrap_err("an amount beyond all money")
}

/// How far `found` is above `expected`, in parts per million.
fn ppm(found: I256, expected: I256) -> Result<i64> {
    let million = I256::try_from(1_000_000)?;
    i64::try_from((found - expected) * million / expected).wrap_err("parts per million")
}
