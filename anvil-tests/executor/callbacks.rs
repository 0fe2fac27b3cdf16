//! T3, T11: a callback counts only during a run, from the address this run called, with the data this run sent, with
//! this contract as initiator, and once. The leg is a real one; the money comes from a double that breaks its word.

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::{SolCall, SolError},
};
use eyre::{Result, WrapErr, ensure};

use super::{
    Executor, MARKETS, OPERATOR, OWNER, STRANGER, Stage, WETH_FOR_USDC,
    doubles::{Mode, Spoofer},
    positions::{Form, Funding},
    roles::plan_data,
    stage::is_refusal,
};

alloy::sol! {
    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16 referral) external;
}

/// Which of the two callbacks a run waits for.
#[derive(Clone, Copy, Debug)]
enum Door {
    Loan,
    Flash,
}

/// A run that is funded by a spoofer.
struct Trap {
    stage: Stage,
    spoofer: Spoofer,
    accomplice: Spoofer,
    plan: Executor::Plan,
}

impl Trap {
    async fn new(door: Door) -> Result<Self> {
        let stage = Stage::new().await?;
        stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
        let (spoofer, accomplice) = (Spoofer::deploy(&stage).await?, Spoofer::deploy(&stage).await?);
        stage.fork.fund(spoofer.0, "USDC", stage.fork.amount("USDC", 1_000_000_000)?).await?;
        spoofer.pair(&stage, stage.token("USDC")?, stage.token("WETH")?).await?;
        let funding = match door {
            Door::Loan => Funding::Loan,
            Door::Flash => Funding::Flash,
        };
        stage.set_role(spoofer.0, if funding == Funding::Loan { 2 } else { 16 }).await?;
        let mut plan = stage.plan(&WETH_FOR_USDC, "v30", funding, Form::WithDeadline)?;
        plan.source = spoofer.0;
        Ok(Self { stage, spoofer, accomplice, plan })
    }

    /// The callback as the run waits for it.
    fn callback(&self, door: Door) -> Vec<u8> {
        let data = plan_data(&self.plan);
        match door {
            Door::Loan => Executor::executeOperationCall {
                token: self.plan.legs[0].debt,
                amount: self.plan.amount,
                premium: U256::ZERO,
                initiator: self.stage.executor,
                data,
            }
            .abi_encode(),
            Door::Flash => {
                Executor::uniswapV3FlashCallbackCall { fee0: U256::ZERO, fee1: U256::ZERO, data }.abi_encode()
            }
        }
    }

    /// The run, with the spoofer in this mode, must fail with exactly this error.
    async fn check(&self, mode: Mode, payload: Vec<u8>, error: impl SolError) -> Result<()> {
        self.spoofer.set(&self.stage, mode, &self.accomplice, payload).await?;
        self.stage.refuses_plan(&format!("{mode:?}"), &self.plan, error).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lender_that_breaks_its_word_undoes_the_run() -> Result<()> {
    let trap = Trap::new(Door::Loan).await?;
    let caller = trap.spoofer.0;
    let cheat = trap.accomplice.0;
    trap.check(Mode::WrongInitiator, vec![], Executor::InitiatorRefused { initiator: caller }).await?;
    trap.check(Mode::OtherData, vec![], Executor::CallbackDataRefused {}).await?;
    trap.check(Mode::OtherAmount, vec![], Executor::CallbackDataRefused {}).await?;
    trap.check(Mode::Twice, vec![], Executor::CallbackRefused { caller }).await?;
    trap.check(Mode::NoCallback, vec![], Executor::CallbackMissing {}).await?;
    trap.check(Mode::OtherDoor, vec![], Executor::CallbackRefused { caller }).await?;
    trap.check(Mode::OtherCaller, vec![], Executor::CallbackRefused { caller: cheat }).await?;
    re_entries_are_refused(&trap, Door::Loan).await?;
    honest_afterwards(&trap).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_breaks_its_word_undoes_the_run() -> Result<()> {
    let trap = Trap::new(Door::Flash).await?;
    let caller = trap.spoofer.0;
    let cheat = trap.accomplice.0;
    trap.check(Mode::OtherData, vec![], Executor::CallbackDataRefused {}).await?;
    trap.check(Mode::Twice, vec![], Executor::CallbackRefused { caller }).await?;
    trap.check(Mode::NoCallback, vec![], Executor::CallbackMissing {}).await?;
    trap.check(Mode::OtherDoor, vec![], Executor::CallbackRefused { caller }).await?;
    trap.check(Mode::OtherCaller, vec![], Executor::CallbackRefused { caller: cheat }).await?;
    re_entries_are_refused(&trap, Door::Flash).await?;
    honest_afterwards(&trap).await
}

/// The accomplice enters between the loan and its callback: as a nobody, as an operator, as the owner.
async fn re_entries_are_refused(trap: &Trap, door: Door) -> Result<()> {
    let stage = &trap.stage;
    let cheat = trap.accomplice.0;
    let again = Executor::executeCall { plan: trap.plan.clone() }.abi_encode();
    let salvage = Executor::salvageCall { token: trap.plan.legs[0].debt }.abi_encode();

    let nobody = Executor::NotListed { account: cheat, bit: U256::from(1) };
    trap.check(Mode::Reenter, again.clone(), nobody).await?;
    trap.check(Mode::Reenter, salvage.clone(), Executor::NotOwner { account: cheat }).await?;
    for other in [Door::Loan, Door::Flash] {
        let refusal = Executor::CallbackRefused { caller: cheat };
        trap.check(Mode::Reenter, trap.callback(other), refusal)
            .await
            .wrap_err_with(|| format!("{door:?}"))?;
    }
    let snapshot = stage.fork.snapshot().await?;
    stage.set_role(cheat, 1).await?;
    trap.check(Mode::Reenter, again, Executor::Reentered {}).await?;
    stage.send(OWNER, &Executor::transferOwnershipCall { newOwner: cheat }).await?;
    trap.accomplice.relay(stage, &Executor::acceptOwnershipCall {}).await?;
    trap.check(Mode::Reenter, salvage, Executor::Reentered {}).await?;
    stage.fork.revert(snapshot).await?;
    Ok(())
}

/// The control: with the same scene and an honest spoofer the run succeeds, so each refusal above had its own reason.
async fn honest_afterwards(trap: &Trap) -> Result<()> {
    trap.spoofer.set(&trap.stage, Mode::Honest, &trap.accomplice, vec![]).await?;
    trap.stage.run(&trap.plan).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_a_run_no_callback_is_taken_from_anybody() -> Result<()> {
    let trap = Trap::new(Door::Loan).await?;
    let stage = &trap.stage;
    let mut callers = vec![STRANGER, OPERATOR, OWNER, stage.executor, Address::ZERO, trap.spoofer.0];
    callers.extend(stage.listing.0.iter().map(|(address, _)| *address));
    callers.extend(stage.fork.manifest.uniswap.pools.iter().map(|pool| pool.address));
    for caller in callers {
        for door in [Door::Loan, Door::Flash] {
            let answer = stage.ask(caller, stage.executor, trap.callback(door)).await?;
            let what = format!("{door:?} from {caller}");
            is_refusal(&what, &answer, &Executor::CallbackRefused { caller }.abi_encode())?;
        }
    }
    Ok(())
}

/// Aave lends to whomever the caller names: the executor must not work for him. (A Uniswap pool calls its caller back.)
#[tokio::test(flavor = "multi_thread")]
async fn a_real_loan_that_a_stranger_took_in_our_name_is_refused() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    let params: Bytes = plan_data(&stage.plain_plan()?);
    for market in MARKETS {
        let lender = stage.lender(market)?;
        let call = flashLoanSimpleCall {
            receiver: stage.executor,
            asset: stage.token("USDC")?,
            amount: U256::from(1_000_000),
            params: params.clone(),
            referral: 0,
        };
        let answer = stage.ask(STRANGER, lender, call.abi_encode()).await?;
        is_refusal(market, &answer, &Executor::CallbackRefused { caller: lender }.abi_encode())?;
    }
    ensure!(stage.money().await?.chunks(3).all(|held| held[0].is_zero()));
    Ok(())
}

/// T5: what a lender does not collect it may not collect later.
#[tokio::test(flavor = "multi_thread")]
async fn a_lender_that_does_not_collect_keeps_no_allowance() -> Result<()> {
    let trap = Trap::new(Door::Loan).await?;
    trap.spoofer.set(&trap.stage, Mode::Forgive, &trap.accomplice, vec![]).await?;
    trap.stage.run(&trap.plan).await?;
    let left = trap.stage.allowance(trap.plan.legs[0].debt, trap.spoofer.0).await?;
    ensure!(left.is_zero(), "{left} left");
    Ok(())
}

/// T11: a reason of 200,000 bytes comes out as 1,024, whoever gives it.
#[tokio::test(flavor = "multi_thread")]
async fn a_huge_reason_is_cut() -> Result<()> {
    for door in [Door::Loan, Door::Flash] {
        let trap = Trap::new(door).await?;
        trap.spoofer.set(&trap.stage, Mode::Bomb, &trap.accomplice, vec![]).await?;
        let call = Executor::executeCall { plan: trap.plan.clone() };
        let answer = trap.stage.ask(OPERATOR, trap.stage.executor, call.abi_encode()).await?;
        let cut = answer.as_ref().err().map(|data| data.len());
        ensure!(cut == Some(1024), "{door:?}: {cut:?} bytes");
    }
    // And from within a leg, where the executor's own failure is handed on by a real lender.
    let trap = Trap::new(Door::Loan).await?;
    trap.spoofer.set(&trap.stage, Mode::Bomb, &trap.accomplice, vec![]).await?;
    let mut plan = trap.stage.plain_plan()?;
    plan.legs[0].lender = trap.spoofer.0;
    let call = Executor::executeCall { plan };
    let answer = trap.stage.ask(OPERATOR, trap.stage.executor, call.abi_encode()).await?;
    ensure!(answer.is_err_and(|data| data.len() == 1024));
    Ok(())
}
