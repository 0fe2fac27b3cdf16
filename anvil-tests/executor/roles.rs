//! T2, T12: who may do what. The table names every selector of the ABI; a new one fails here until it is named.

use std::collections::BTreeMap;

use alloy::{
    json_abi::{JsonAbi, StateMutability},
    primitives::{Address, Bytes, U256},
    rpc::types::TransactionRequest,
    sol_types::{SolCall, SolError},
};
use eyre::{Result, ensure, eyre};

use super::{
    Executor, OPERATOR, OWNER, RECEIVER, STRANGER, SUCCESSOR, Stage, WETH_FOR_USDC,
    stage::{is_refusal, words},
};

/// The people of a row, in this order. `SUCCESSOR` has been offered the ownership.
const PEOPLE: [(&str, Address); 5] = [
    ("stranger", STRANGER),
    ("operator", OPERATOR),
    ("owner", OWNER),
    ("receiver", RECEIVER),
    ("successor", SUCCESSOR),
];

/// One state-changing selector: a call that works for whom it is for, who that is, and what the others are told.
struct Row {
    signature: &'static str,
    call: Vec<u8>,
    allowed: &'static [&'static str],
    refusal: fn(Address) -> Vec<u8>,
}

/// Selectors that change nothing are for all.
const READING: [&str; 4] = ["owner()", "pendingOwner()", "receiver()", "roles(address)"];

fn table(stage: &Stage) -> Result<Vec<Row>> {
    let plan = stage.plain_plan()?;
    let data = plan_data(&plan);
    let not_listed = |account| Executor::NotListed { account, bit: U256::from(1) }.abi_encode();
    let not_owner = |account| Executor::NotOwner { account }.abi_encode();
    let no_callback = |caller| Executor::CallbackRefused { caller }.abi_encode();
    let row = |signature, call, allowed, refusal| Row { signature, call, allowed, refusal };
    let amount = plan.amount;
    Ok(vec![
        row(
            Executor::executeCall::SIGNATURE,
            Executor::executeCall { plan: plan.clone() }.abi_encode(),
            &["operator"][..],
            not_listed,
        ),
        row(
            Executor::executeOperationCall::SIGNATURE,
            Executor::executeOperationCall {
                token: plan.legs[0].debt,
                amount,
                premium: U256::ZERO,
                initiator: stage.executor,
                data: data.clone(),
            }
            .abi_encode(),
            &[],
            no_callback,
        ),
        row(
            Executor::executeManyCall::SIGNATURE,
            Executor::executeManyCall {
                plans: vec![plan.clone()],
                most: vec![U256::MAX],
                profitToken: plan.profitToken,
                minProfit: U256::ZERO,
            }
            .abi_encode(),
            &["operator"],
            |account| Executor::NotListed { account, bit: U256::from(1) }.abi_encode(),
        ),
        row(
            Executor::uniswapV3FlashCallbackCall::SIGNATURE,
            Executor::uniswapV3FlashCallbackCall { fee0: U256::ZERO, fee1: U256::ZERO, data }.abi_encode(),
            &[],
            no_callback,
        ),
        row(
            Executor::setRolesCall::SIGNATURE,
            Executor::setRolesCall { targets: vec![STRANGER], bits: vec![U256::from(1)] }.abi_encode(),
            &["owner"],
            not_owner,
        ),
        row(
            Executor::transferOwnershipCall::SIGNATURE,
            Executor::transferOwnershipCall { newOwner: STRANGER }.abi_encode(),
            &["owner"],
            not_owner,
        ),
        row(
            Executor::acceptOwnershipCall::SIGNATURE,
            Executor::acceptOwnershipCall {}.abi_encode(),
            &["successor"],
            |account| Executor::NotPendingOwner { account }.abi_encode(),
        ),
        row(
            Executor::salvageCall::SIGNATURE,
            Executor::salvageCall { token: plan.profitToken }.abi_encode(),
            &["owner"],
            not_owner,
        ),
    ])
}

/// What the executor sends along with a loan: the arguments of `execute`.
pub fn plan_data(plan: &Executor::Plan) -> Bytes {
    Executor::executeCall { plan: plan.clone() }.abi_encode()[4..].to_vec().into()
}

fn abi() -> Result<JsonAbi> {
    let text = std::fs::read_to_string(super::doubles::root().join("abi/Executor.json"))?;
    let artifact: serde_json::Value = serde_json::from_str(&text)?;
    Ok(serde_json::from_value(artifact["abi"].clone())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_selector_is_for_one_role() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    stage.send(OWNER, &Executor::transferOwnershipCall { newOwner: SUCCESSOR }).await?;
    let mut table: BTreeMap<_, _> = table(&stage)?.into_iter().map(|row| (row.signature, row)).collect();
    let mut lines = vec![format!("{:<50} stranger operator owner receiver successor", "selector")];
    for function in abi()?.functions() {
        let signature = function.signature();
        let reads = matches!(function.state_mutability, StateMutability::View | StateMutability::Pure);
        if reads {
            ensure!(READING.contains(&signature.as_str()), "{signature} is not in the list of readings");
            continue;
        }
        ensure!(
            function.state_mutability == StateMutability::NonPayable,
            "{signature} takes native coin, which nothing should"
        );
        let row = table
            .remove(signature.as_str())
            .ok_or_else(|| eyre!("{signature} changes state, and the table does not say who may call it"))?;
        ensure!(row.call[..4] == function.selector()[..], "{signature} has another selector");
        let mut verdicts = Vec::new();
        for (name, person) in PEOPLE {
            let what = format!("{signature} by the {name}");
            let answer = stage.ask(person, stage.executor, row.call.clone()).await?;
            if row.allowed.contains(&name) {
                ensure!(answer.is_ok(), "{what}: {}", words(&answer.err().unwrap_or_default()));
                verdicts.push("allow");
            } else {
                is_refusal(&what, &answer, &(row.refusal)(person))?;
                verdicts.push("deny");
            }
        }
        let short = signature.chars().take(49).collect::<String>();
        lines.push(format!(
            "{short:<50} {:<8} {:<8} {:<5} {:<8} {}",
            verdicts[0], verdicts[1], verdicts[2], verdicts[3], verdicts[4]
        ));
    }
    ensure!(table.is_empty(), "the ABI lacks {:?}", table.keys());
    eprintln!("{}", lines.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answers_outside_the_abi() -> Result<()> {
    let abi = abi()?;
    ensure!(abi.fallback.is_none() && abi.receive.is_none());
    let stage = Stage::new().await?;
    for (name, person) in PEOPLE {
        for data in [&[][..], &[0xde, 0xad, 0xbe, 0xef], &[0], &[0xff; 3]] {
            let answer = stage.ask(person, stage.executor, data.to_vec()).await?;
            ensure!(answer == Err(Bytes::new()), "{name} with {data:x?}: {answer:?}");
        }
    }
    let gift = TransactionRequest::default().from(STRANGER).to(stage.executor).value(U256::from(1));
    ensure!(stage.fork.chain.transact(gift).await.is_err(), "native coin was accepted");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ownership_passes_in_two_steps() -> Result<()> {
    let stage = Stage::new().await?;
    let offer = |new_owner| Executor::transferOwnershipCall { newOwner: new_owner };
    let accept = Executor::acceptOwnershipCall {};
    let owner = || stage.fork.chain.read(stage.executor, &Executor::ownerCall {});

    stage.send(OWNER, &offer(SUCCESSOR)).await?;
    ensure!(owner().await? == OWNER, "an offer changes nothing yet");
    stage.send(OWNER, &offer(Address::ZERO)).await?;
    let withdrawn = Executor::NotPendingOwner { account: SUCCESSOR };
    stage.refuses("a withdrawn offer", SUCCESSOR, &accept, withdrawn.clone()).await?;
    stage.send(OWNER, &offer(STRANGER)).await?;
    stage.send(OWNER, &offer(SUCCESSOR)).await?;
    let replaced = Executor::NotPendingOwner { account: STRANGER };
    stage.refuses("a replaced offer", STRANGER, &accept, replaced).await?;

    stage.send(SUCCESSOR, &accept).await?;
    ensure!(owner().await? == SUCCESSOR);
    stage.refuses("accepting twice", SUCCESSOR, &accept, withdrawn).await?;
    let token = stage.token("WETH")?;
    let gone = Executor::NotOwner { account: OWNER };
    stage.refuses("the former owner", OWNER, &Executor::salvageCall { token }, gone).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_operator_runs_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    stage.set_role(OPERATOR, 0).await?;
    let refusal = Executor::NotListed { account: OPERATOR, bit: U256::from(1) };
    stage.refuses_plan("a retired operator", &stage.plain_plan()?, refusal).await
}

/// T12: whoever has the operator's key has exactly `execute` and `executeMany`, and they send everything to the
/// receiver.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_operator_key_brings_the_thief_nothing() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    stage.donate("USDC", stage.fork.amount("USDC", 777_000)?).await?;
    let mut plan = stage.plain_plan()?;
    plan.minProfit = U256::ZERO;
    plan.legs[0].swaps[0].limit = U256::MAX;
    let before = stage.money().await?;
    let stray = stage.balance(stage.token("USDC")?, RECEIVER).await?;
    stage.run(&plan).await?;
    let after = stage.money().await?;
    // Executor, receiver, operator of each token in turn.
    for (before, after) in before.chunks(3).zip(after.chunks(3)) {
        ensure!(after[0].is_zero() && after[1] >= before[1] && after[2] == before[2], "{before:?} {after:?}");
    }
    let swept = stage.balance(stage.token("USDC")?, RECEIVER).await?.saturating_sub(stray);
    ensure!(swept >= stage.fork.amount("USDC", 777_000)?, "stray money goes to the receiver, too: {swept}");
    for call in [
        Executor::setRolesCall { targets: vec![OPERATOR], bits: vec![U256::from(32)] }.abi_encode(),
        Executor::transferOwnershipCall { newOwner: OPERATOR }.abi_encode(),
        Executor::salvageCall { token: Address::ZERO }.abi_encode(),
    ] {
        let answer = stage.ask(OPERATOR, stage.executor, call).await?;
        is_refusal("the thief", &answer, &Executor::NotOwner { account: OPERATOR }.abi_encode())?;
    }
    Ok(())
}
