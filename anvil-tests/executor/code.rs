//! The code itself: one hash whatever the constructor is told, the same bytes from the same sources, and the same
//! behaviour where a dry run places it by state override.

use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    providers::Provider,
    sol_types::SolCall,
};
use backstop::domain::executor::{self as keeper, PLACEHOLDER, Role};
use eyre::{Result, bail, ensure};
use serde_json::{Value, json};

use super::{
    Executor, MARKETS, OPERATOR, OWNER, RECEIVER, STRANGER, SUCCESSOR, Stage, WETH_FOR_USDC,
    doubles::scripts_contracts,
    positions::{Form, Funding, USDC_FOR_WETH},
    stage::{Answer, words},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_deployment_has_the_same_code() -> Result<()> {
    let stage = Stage::new().await?;
    let mut short = stage.listing.clone();
    short.0.truncate(1);
    let other = short.init_code(STRANGER, SUCCESSOR, OWNER);
    let other = stage.fork.chain.create(stage.fork.manifest.deployer, other).await?;
    let mut hashes = vec![keccak256(keeper::code())];
    for deployed in [stage.executor, other] {
        let code = stage.fork.provider.get_code_at(deployed).await?;
        ensure!(code == *keeper::code(), "the code at {deployed} is not the artifact's");
        hashes.push(keccak256(&code));
    }
    hashes.dedup();
    ensure!(hashes.len() == 1, "{hashes:?}");
    eprintln!("runtime code: {} bytes, hash {}", keeper::code().len(), hashes[0]);
    ensure!(keeper::code().len() <= 24_576, "no chain takes more");
    Ok(())
}

/// T11: nothing runs in its name that is not in its code, nothing is made by it, and it does not go away.
#[tokio::test(flavor = "multi_thread")]
async fn the_code_cannot_be_handed_over() -> Result<()> {
    let code = keeper::code();
    let mut at = 0;
    let mut calls = 0;
    while let Some(opcode) = code.get(at) {
        match opcode {
            0xf0 | 0xf2 | 0xf4 | 0xf5 | 0xff => bail!("opcode {opcode:#x} at {at}"),
            0xf1 | 0xfa => calls += 1,
            _ => {}
        }
        // What a push carries is no opcode.
        at += if (0x60..=0x7f).contains(opcode) { usize::from(opcode - 0x5e) } else { 1 };
    }
    ensure!(calls > 3, "{calls} calls found: the search is wrong");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_artifact_is_what_the_sources_compile_to() -> Result<()> {
    let said = scripts_contracts(&["--check"], || false)?;
    ensure!(said.contains("is what contracts/Executor.sol compiles to"), "{said}");
    Ok(())
}

/// The keeper's list and the layout of docs/executor.md, slot by slot.
#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_has_the_storage_a_dry_run_places() -> Result<()> {
    let stage = Stage::new().await?;
    stage.send(OWNER, &Executor::transferOwnershipCall { newOwner: SUCCESSOR }).await?;
    let mut slots = stage.listing.storage(OPERATOR, RECEIVER);
    slots.push((B256::with_last_byte(1), OWNER.into_word()));
    slots.push((B256::with_last_byte(2), SUCCESSOR.into_word()));
    for (slot, expected) in slots {
        let found = stage.fork.provider.get_storage_at(stage.executor, slot.into()).await?;
        ensure!(B256::from(found) == expected, "slot {slot}: {found}, not {expected}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn placed_by_override_it_answers_as_deployed() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    let overrides = overrides(&stage);
    let mut allowed = 0;
    for market in MARKETS {
        for funding in [Funding::Loan, Funding::Flash] {
            for form in [Form::WithDeadline, Form::Without] {
                let plan = stage.plan(&WETH_FOR_USDC, market, funding, form)?;
                let mut dear = plan.clone();
                dear.minProfit = U256::MAX;
                let mut late = plan.clone();
                late.deadline = U256::ZERO;
                let mut poor = plan.clone();
                poor.legs[0].swaps.clear();
                let mut healthy = plan.clone();
                healthy.legs[0].borrower = super::positions::borrower(&USDC_FOR_WETH, 0);
                let mut foreign = plan.clone();
                foreign.legs[0].swaps[0].router = STRANGER;
                for plan in [plan, dear, late, poor, healthy, foreign] {
                    allowed += usize::from(same_answer(&stage, OPERATOR, plan.clone(), &overrides).await?);
                    ensure!(!same_answer(&stage, STRANGER, plan, &overrides).await?);
                }
            }
        }
    }
    ensure!(allowed == 8, "{allowed} of the plans succeeded");
    ensure!(stage.fork.provider.get_code_at(PLACEHOLDER).await?.is_empty(), "nothing was deployed");
    Ok(())
}

/// What the keeper's simulation places, as it places it.
fn overrides(stage: &Stage) -> Value {
    let slots: serde_json::Map<_, _> = stage
        .listing
        .storage(OPERATOR, RECEIVER)
        .into_iter()
        .map(|(slot, value)| (slot.to_string(), json!(value)))
        .collect();
    json!({ PLACEHOLDER.to_string(): { "code": keeper::code(), "stateDiff": slots } })
}

/// Asks both; whether they succeed.
async fn same_answer(stage: &Stage, from: Address, plan: Executor::Plan, overrides: &Value) -> Result<bool> {
    let data: Bytes = Executor::executeCall { plan }.abi_encode().into();
    let deployed = stage.ask(from, stage.executor, data.clone()).await?;
    let request = json!({ "from": from, "to": PLACEHOLDER, "data": data, "gas": "0x989680" });
    let answer =
        stage.fork.provider.raw_request::<_, Bytes>("eth_call".into(), (request, "pending", overrides)).await;
    let placed: Answer = match answer {
        Ok(answer) => Ok(answer),
        Err(error) => match error.as_error_resp() {
            Some(refusal) => Err(refusal.as_revert_data().unwrap_or_default()),
            None => return Err(error.into()),
        },
    };
    let text = |answer: &Answer| match answer {
        Ok(profit) => format!("profit {profit}"),
        Err(data) => words(data),
    };
    ensure!(placed == deployed, "placed: {}; deployed: {}", text(&placed), text(&deployed));
    Ok(placed.is_ok())
}

/// The keeper finds out by itself which calls a router takes; the list depends on it.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_routers_are_told_apart_by_their_code() -> Result<()> {
    let stage = Stage::new().await?;
    let uniswap = &stage.fork.manifest.uniswap;
    for (address, role) in [
        (uniswap.router, Some(Role::RouterV1)),
        (uniswap.router02, Some(Role::RouterV2)),
        (uniswap.factory, None),
        (uniswap.quoter, None),
    ] {
        let code = stage.fork.provider.get_code_at(address).await?;
        let found = Role::of_router(&code);
        ensure!(found == role, "{address}: {found:?}, not {role:?}");
        ensure!(!Role::is_pair_router(&code), "{address} is no router of pairs");
    }
    let code = stage.fork.provider.get_code_at(uniswap.v2_router).await?;
    ensure!(Role::is_pair_router(&code) && Role::of_router(&code).is_none());
    Ok(())
}
