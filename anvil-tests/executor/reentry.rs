//! T3, T11: re-entry from wherever a run hands over control: a token that calls somebody when the executor sends or
//! receives, and a receiver that is a contract. Whoever comes back in is refused, and the run is as if nobody had tried.

use alloy::{
    primitives::{Address, B256, U256, utils::parse_ether},
    providers::Provider,
    sol_types::{SolCall, SolError},
};
use eyre::{Result, WrapErr, ensure};

use super::{
    Executor, OPERATOR, OWNER, Stage, WETH_FOR_USDC,
    doubles::{Meddler, Meddling},
    positions::{Form, Funding, USDC_FOR_USDC, USDC_FOR_WETH},
    roles::plan_data,
    stage::{events, words},
    zoo::{HOOKS, Zoo},
};

alloy::sol! {
    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16 referral) external;
    function transferFrom(address from, address to, uint256 amount) external;
}

/// Who the intruder is to the executor.
#[derive(Clone, Copy, Debug)]
pub enum Guise {
    Nobody,
    Operator,
    Owner,
}

pub const GUISES: [Guise; 3] = [Guise::Nobody, Guise::Operator, Guise::Owner];

/// Everything an intruder could want to do in the middle of `plan`. Each must be refused, with one of these.
pub struct Intrusion {
    calls: Vec<(Address, Vec<u8>)>,
    refusals: Vec<Vec<u8>>,
    /// How many of the calls go to the executor itself.
    direct: usize,
}

impl Intrusion {
    pub fn new(stage: &Stage, plan: &Executor::Plan, intruder: Address, guise: Guise) -> Result<Self> {
        let (debt, amount, data) = (plan.legs[0].debt, plan.amount, plan_data(plan));
        let execute = Executor::executeCall { plan: plan.clone() }.abi_encode();
        let many = Executor::executeManyCall {
            plans: vec![plan.clone()],
            most: vec![U256::MAX],
            profitToken: plan.profitToken,
            minProfit: U256::ZERO,
        };
        let loan = Executor::executeOperationCall {
            token: debt,
            amount,
            premium: U256::ZERO,
            initiator: stage.executor,
            data: data.clone(),
        };
        let flash =
            Executor::uniswapV3FlashCallbackCall { fee0: U256::ZERO, fee1: U256::ZERO, data: data.clone() };
        let salvages =
            [debt, plan.profitToken, Address::ZERO].map(|token| Executor::salvageCall { token }.abi_encode());
        let mut direct = vec![execute, many.abi_encode(), loan.abi_encode(), flash.abi_encode()];
        direct.extend(salvages);
        if !matches!(guise, Guise::Owner) {
            let list = Executor::setRolesCall { targets: vec![intruder], bits: vec![U256::from(32)] };
            direct.push(list.abi_encode());
            direct.push(Executor::transferOwnershipCall { newOwner: intruder }.abi_encode());
            direct.push(Executor::acceptOwnershipCall {}.abi_encode());
        }
        let count = direct.len();
        let mut calls: Vec<_> = direct.into_iter().map(|data| (stage.executor, data)).collect();
        // The lender, asked to lend to the executor in the middle of it, with the very data it waits for.
        let lender = plan.legs[0].lender;
        let lend =
            flashLoanSimpleCall { receiver: stage.executor, asset: debt, amount, params: data, referral: 0 };
        calls.push((lender, lend.abi_encode()));
        for token in [debt, plan.profitToken] {
            let take = transferFromCall { from: stage.executor, to: intruder, amount: U256::from(1) };
            calls.push((token, take.abi_encode()));
        }
        let mut refusals = vec![
            Executor::Reentered {}.abi_encode(),
            Executor::CallbackRefused { caller: intruder }.abi_encode(),
        ];
        if !matches!(guise, Guise::Operator) {
            refusals.push(Executor::NotListed { account: intruder, bit: U256::from(1) }.abi_encode());
        }
        if !matches!(guise, Guise::Owner) {
            refusals.push(Executor::NotOwner { account: intruder }.abi_encode());
            refusals.push(Executor::NotPendingOwner { account: intruder }.abi_encode());
        }
        Ok(Self { calls, refusals, direct: count })
    }

    pub fn refusals(&self) -> &[Vec<u8>] {
        &self.refusals
    }

    /// Makes the intruder what it is to be, and gives it its orders.
    pub async fn brief(&self, stage: &Stage, intruder: Meddler, guise: Guise) -> Result<()> {
        match guise {
            Guise::Nobody => {}
            Guise::Operator => stage.set_role(intruder.0, 1).await?,
            Guise::Owner => {
                stage.send(OWNER, &Executor::transferOwnershipCall { newOwner: intruder.0 }).await?;
                intruder.relay(stage, &Executor::acceptOwnershipCall {}).await?;
            }
        }
        intruder.forgets(stage).await?;
        for (target, data) in &self.calls {
            intruder.order(stage, *target, data.clone()).await?;
        }
        intruder.plots(stage, Meddling::Intrude).await
    }

    /// In a mined transaction: every try was refused for its own reason. How often all of it was tried.
    pub async fn was_refused(&self, stage: &Stage, transaction: B256, intruder: Address) -> Result<usize> {
        let tried = stage.were_refused(transaction, intruder, &self.refusals).await?;
        ensure!(tried % self.direct == 0, "{tried} tries of {} calls", self.direct);
        // What the lender passed on: it calls back for a stranger, too.
        let callbacks =
            [Executor::executeOperationCall::SELECTOR, Executor::uniswapV3FlashCallbackCall::SELECTOR];
        let mut taken = 0;
        for frame in stage.calls(transaction).await? {
            let is_callback = callbacks.iter().any(|selector| frame.selector() == selector[..]);
            if frame.to != Some(stage.executor) || !is_callback || frame.from == intruder {
                continue;
            }
            let refusals = [
                Executor::InitiatorRefused { initiator: intruder }.abi_encode(),
                Executor::CallbackRefused { caller: frame.from }.abi_encode(),
            ];
            match frame.error {
                None => taken += 1,
                Some(_) => ensure!(
                    refusals.iter().any(|refusal| *refusal == frame.output),
                    "a callback was refused with {}",
                    words(&frame.output)
                ),
            }
        }
        ensure!(taken <= 1, "{taken} callbacks were taken");
        Ok(tried / self.direct)
    }
}

/// The token calls the intruder before the executor sends and after it received.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_calls_back_in_is_refused_and_the_run_goes_on() -> Result<()> {
    for (shape, markets) in
        [(&WETH_FOR_USDC, ["v30", "v36"]), (&USDC_FOR_WETH, ["v36", "v30"]), (&USDC_FOR_USDC, ["v30", "v36"])]
    {
        let stage = Stage::new().await?;
        stage.liquidatable(shape, &markets).await?;
        let usdc = Zoo::in_place_of(&stage, "USDC").await?;
        let intruder = Meddler::before(&stage, Address::ZERO).await?;
        usdc.hook(&stage, intruder.0).await?;
        for (market, funding) in markets.into_iter().zip([Funding::Loan, Funding::Flash]) {
            let plan = stage.plan(shape, market, funding, Form::Without)?;
            let snapshot = stage.fork.snapshot().await?;
            let plain = stage.run(&plan).await?.profit;
            stage.fork.revert(snapshot).await?;
            for guise in GUISES {
                let row = format!("{} {market} {funding:?} {guise:?}", shape.name);
                let snapshot = stage.fork.snapshot().await?;
                let intrusion = Intrusion::new(&stage, &plan, intruder.0, guise)?;
                intrusion.brief(&stage, intruder, guise).await?;
                usdc.becomes(&stage, HOOKS, stage.executor).await?;
                let run = stage.run(&plan).await.wrap_err_with(|| row.clone())?;
                ensure!(run.profit == plain, "{row}: {} instead of {plain}", run.profit);
                let moments = intrusion
                    .was_refused(&stage, run.receipt.transaction_hash, intruder.0)
                    .await
                    .wrap_err_with(|| row.clone())?;
                eprintln!("{moments} moments  {row}");
                ensure!(moments > 1, "{row}: the hook was called {moments} times");
                for token in stage.listing.tokens() {
                    ensure!(
                        stage.balance(token, intruder.0).await?.is_zero(),
                        "{row}: the intruder has money"
                    );
                }
                stage.fork.revert(snapshot).await?;
            }
        }
    }
    Ok(())
}

/// A hook that fails fails the transfer, and the run with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_undoes_the_run() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let usdc = Zoo::in_place_of(&stage, "USDC").await?;
    let hook = Meddler::before(&stage, Address::ZERO).await?;
    usdc.hook(&stage, hook.0).await?;
    usdc.becomes(&stage, HOOKS, stage.executor).await?;
    let plan = stage.plain_plan()?;
    for meddling in [Meddling::Fail, Meddling::Bomb, Meddling::Burn] {
        hook.plots(&stage, meddling).await?;
        stage.fails_in_the_block(&plan).await.wrap_err_with(|| format!("{meddling:?}"))?;
    }
    hook.plots(&stage, Meddling::Honest).await?;
    stage.run(&plan).await?;
    Ok(())
}

/// T10, T11: from within a salvage, too: by the token's hook, and by a receiver that is a contract and gets native coin.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_back_in_from_a_salvage() -> Result<()> {
    let mut stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let intruder = Meddler::before(&stage, Address::ZERO).await?;
    let init = stage.listing.init_code(OWNER, OPERATOR, intruder.0);
    stage.executor = stage.fork.chain.create(stage.fork.manifest.deployer, init).await?;
    let usdc = Zoo::in_place_of(&stage, "USDC").await?;
    usdc.hook(&stage, intruder.0).await?;
    usdc.becomes(&stage, HOOKS, stage.executor).await?;
    let plan = stage.plain_plan()?;
    let gift = stage.fork.amount("USDC", 1_000)?;
    // The receiver can be no operator; an owner could, though he should not.
    for guise in [Guise::Nobody, Guise::Owner] {
        for token in [usdc.0, Address::ZERO] {
            let snapshot = stage.fork.snapshot().await?;
            usdc.mint(&stage, stage.executor, gift).await?;
            stage.fork.set_balance(stage.executor, parse_ether("1")?).await?;
            let intrusion = Intrusion::new(&stage, &plan, intruder.0, guise)?;
            intrusion.brief(&stage, intruder, guise).await?;
            let salvage = Executor::salvageCall { token };
            let owner = if matches!(guise, Guise::Owner) { intruder.0 } else { OWNER };
            stage.fork.set_balance(owner, parse_ether("10")?).await?;
            let before = stage.fork.provider.get_balance(intruder.0).await?;
            let receipt = stage.send(owner, &salvage).await?;
            let amount = events::<Executor::Salvaged>(&receipt)[0].amount;
            let moments = intrusion.was_refused(&stage, receipt.transaction_hash, intruder.0).await?;
            ensure!(moments == 1, "{guise:?} {token}: {moments} moments");
            if token == usdc.0 {
                ensure!(amount == gift && stage.balance(token, intruder.0).await? == gift);
                ensure!(stage.balance(token, stage.executor).await?.is_zero());
            } else {
                ensure!(amount == parse_ether("1")?);
                ensure!(stage.fork.provider.get_balance(stage.executor).await?.is_zero());
                let after = stage.fork.provider.get_balance(intruder.0).await?;
                // As the owner it pays for the gas itself.
                ensure!(after > before || matches!(guise, Guise::Owner), "{before} became {after}");
            }
            stage.fork.revert(snapshot).await?;
        }
    }
    // A receiver that takes no coin keeps the salvage from happening, and nothing else.
    intruder.plots(&stage, Meddling::Fail).await?;
    stage.fork.set_balance(stage.executor, parse_ether("1")?).await?;
    ensure!(stage.send(OWNER, &Executor::salvageCall { token: Address::ZERO }).await.is_err());
    ensure!(stage.fork.provider.get_balance(stage.executor).await? == parse_ether("1")?);
    Ok(())
}
