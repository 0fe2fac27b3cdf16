//! The thief with an editor: calls of the operator with words of their encoding overwritten, so that offsets point
//! backwards, arrays overlap and addresses change. Whatever runs must still leave nothing behind and pay only the
//! receiver.

use alloy::{primitives::U256, sol_types::SolCall};
use backstop::bed::Rng;
use eyre::{Result, WrapErr, ensure};

use crate::scenes::seed;

use super::{
    Executor, OPERATOR, Stage, WETH_FOR_USDC, pairs,
    positions::{Form, Funding},
};

const CALLS: u64 = 400;
const WORD: usize = 32;

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_call_pays_the_receiver_or_fails() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30", "v36"]).await?;
    // Something to steal.
    for symbol in ["WETH", "USDC", "DAI"] {
        stage.donate(symbol, stage.fork.amount(symbol, 1_000_000)?).await?;
    }
    let mut plans = Vec::new();
    for (market, funding) in [("v30", Funding::Loan), ("v36", Funding::Flash)] {
        let mut plan = stage.plan(&WETH_FOR_USDC, market, funding, Form::Without)?;
        plan.minProfit = U256::ZERO;
        plans.push(plan);
    }
    // One of them in two parts.
    pairs::pair(&stage).await?;
    pairs::in_two(&stage, &mut plans[0], stage.fork.amount("USDC", 2_000_000)?, true);
    let many = Executor::executeManyCall {
        plans: plans.clone(),
        most: vec![U256::from(3_000_000); 2],
        profitToken: plans[0].profitToken,
        minProfit: U256::ZERO,
    };
    let mut calls = vec![many.abi_encode()];
    calls.extend(plans.into_iter().map(|plan| Executor::executeCall { plan }.abi_encode()));
    let seed = seed("edited calls", 0x7e1e);
    let mut rng = Rng::new(seed);
    let mut ran = 0;
    for number in 0..CALLS {
        let mut data = rng.pick(&calls).clone();
        for _ in 0..rng.between(1, 4) {
            edit(&mut rng, &mut data);
        }
        if stage.ask(OPERATOR, stage.executor, data.clone()).await?.is_ok() {
            ran += 1;
            check(&stage, data).await.wrap_err_with(|| format!("SEED={seed} call {number}"))?;
        }
    }
    eprintln!("{ran} of {CALLS} edited calls ran");
    ensure!(ran > 10, "too few edited calls ran to say anything: {ran}");
    Ok(())
}

/// Overwrites one word with a small number, a small negative one, another word of the call, or noise; or adds a tail.
pub fn edit(rng: &mut Rng, data: &mut Vec<u8>) {
    let words = (data.len() - 4) / WORD;
    let at = |word: usize| 4 + word * WORD;
    let place = at(rng.below(words as u64) as usize);
    let value: [u8; WORD] = match rng.below(5) {
        0 => U256::from(rng.below(2_000)).to_be_bytes(),
        1 => U256::ZERO.wrapping_sub(U256::from(rng.below(2_000))).to_be_bytes(),
        2 => {
            let from = at(rng.below(words as u64) as usize);
            std::array::from_fn(|index| data[from + index])
        }
        3 => U256::from(rng.next_u64()).to_be_bytes(),
        _ => {
            data.extend([0; WORD]);
            return;
        }
    };
    data[place..place + WORD].copy_from_slice(&value);
}

/// Runs it for good, looks at everybody's money, and undoes it.
async fn check(stage: &Stage, data: Vec<u8>) -> Result<()> {
    let snapshot = stage.fork.snapshot().await?;
    let before = stage.money().await?;
    stage.fork.send(OPERATOR, stage.executor, data).await?;
    let after = stage.money().await?;
    for (before, after) in before.chunks(3).zip(after.chunks(3)) {
        // Executor, receiver, operator: what left the first reached the second.
        let left = before[0].saturating_sub(after[0]);
        ensure!(after[1] >= before[1] + left && after[2] == before[2], "{before:?} became {after:?}");
        ensure!(after[0].is_zero() || after[0] == before[0], "{before:?} became {after:?}");
    }
    stage.has_no_allowances().await?;
    stage.fork.revert(snapshot).await
}
