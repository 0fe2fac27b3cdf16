//! T8, T11: a market that turns against us. The real pools of Aave with a price feed, an oracle, an interest model or an
//! observer of transfers that fails, lies or comes back in, put there by the market's admin.

use alloy::{
    primitives::{Address, U256, uint},
    providers::Provider,
    sol_types::SolCall,
};
use backstop::bed::{abi::AddressesProvider, assets::DOLLAR};
use eyre::{Result, WrapErr, ensure};

use super::{
    Executor, MARKETS, OPERATOR, Stage, WETH_FOR_USDC,
    doubles::{Meddler, Meddling, Plot},
    positions::{Form, Funding},
    reentry::{GUISES, Intrusion},
    stage::words,
};

alloy::sol! {
    interface IAdmin {
        function setAssetSources(address[] assets, address[] sources) external;
        function setReserveInterestRateStrategyAddress(address asset, address strategy) external;
        function setIncentivesController(address controller) external;
        function getInterestRateStrategyAddress(address asset) external view returns (address);
    }
}

/// Where EIP-1967 keeps a proxy's implementation.
const IMPLEMENTATION: U256 = uint!(0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc_U256);

/// Whose place is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Oracle,
    /// The price feed of each token.
    Feeds,
    /// The interest model of each reserve.
    Rates,
    /// What the aTokens tell of each movement: a call that may change things, unlike the others. V3.0 only: in V3.6 it is
    /// fixed in the code, and no market of the bed has one.
    Observer,
}

const PLACES: [Place; 4] = [Place::Oracle, Place::Feeds, Place::Rates, Place::Observer];

/// The two tokens of the plan.
const SYMBOLS: [&str; 2] = ["WETH", "USDC"];

/// Has the market's admin put meddlers there.
async fn take(stage: &Stage, market: &str, place: Place) -> Result<Vec<Meddler>> {
    let scene = &stage.fork;
    let (admin, core) = (scene.manifest.deployer, scene.manifest.market(market)?.clone());
    let mut meddlers = Vec::new();
    if place == Place::Oracle {
        let meddler = Meddler::before(stage, core.oracle).await?;
        let set = AddressesProvider::setPriceOracleCall { oracle: meddler.0 };
        scene.chain.invoke(admin, core.addresses_provider, &set).await?;
        return Ok(vec![meddler]);
    }
    for symbol in SYMBOLS {
        let asset = stage.token(symbol)?;
        let behind = match place {
            Place::Oracle | Place::Observer => Address::ZERO,
            Place::Feeds => scene.manifest.token(symbol)?.feed,
            Place::Rates => {
                let ask = IAdmin::getInterestRateStrategyAddressCall { asset };
                scene.chain.read(core.data_provider, &ask).await?
            }
        };
        let meddler = Meddler::before(stage, behind).await?;
        meddlers.push(meddler);
        match place {
            Place::Oracle => {}
            Place::Feeds => {
                let set = IAdmin::setAssetSourcesCall { assets: vec![asset], sources: vec![meddler.0] };
                scene.chain.invoke(admin, core.oracle, &set).await?;
            }
            Place::Rates if market == "v30" => {
                let ask = AddressesProvider::getPoolConfiguratorCall {};
                let configurator = scene.chain.read(core.addresses_provider, &ask).await?;
                let set = IAdmin::setReserveInterestRateStrategyAddressCall { asset, strategy: meddler.0 };
                scene.chain.invoke(admin, configurator, &set).await?;
            }
            Place::Rates => {
                upgrade(stage, core.pool, behind, meddler.0).await?;
                return Ok(meddlers);
            }
            Place::Observer => {
                let a_token = scene.a_token(market, symbol).await?;
                let set = IAdmin::setIncentivesControllerCall { controller: meddler.0 };
                scene.chain.invoke(admin, a_token, &set).await?;
            }
        }
    }
    Ok(meddlers)
}

/// What an upgrade by the admin comes to: the pool's own code with another address in the place of its interest model,
/// which V3.6 keeps in the code.
async fn upgrade(stage: &Stage, pool: Address, old: Address, new: Address) -> Result<()> {
    let provider = &stage.fork.provider;
    let slot = provider.get_storage_at(pool, IMPLEMENTATION).await?;
    let implementation = Address::from_word(slot.into());
    let mut code = provider.get_code_at(implementation).await?.to_vec();
    let mut replaced = 0;
    for at in 0..code.len().saturating_sub(20) {
        if code[at..at + 20] == old[..] {
            code[at..at + 20].copy_from_slice(&new[..]);
            replaced += 1;
        }
    }
    ensure!(replaced > 0, "the code of {implementation} does not name {old}");
    stage.fork.chain.set_code(implementation, code.into()).await
}

/// The plan that each market is tried with, and what it brings while all is well.
async fn honest(stage: &Stage, market: &str) -> Result<(Executor::Plan, U256)> {
    let plan = stage.plan(&WETH_FOR_USDC, market, Funding::Loan, Form::Without)?;
    let snapshot = stage.fork.snapshot().await?;
    let profit = stage.run(&plan).await?.profit;
    stage.fork.revert(snapshot).await?;
    Ok((plan, profit))
}

/// Every place that can be taken in each market, from the same state.
async fn everywhere(
    stage: &Stage,
    mut check: impl AsyncFnMut(&Executor::Plan, U256, Vec<Meddler>, String) -> Result<()>,
) -> Result<()> {
    for market in MARKETS {
        let (plan, profit) = honest(stage, market).await?;
        for place in PLACES {
            if market == "v36" && place == Place::Observer {
                continue;
            }
            let snapshot = stage.fork.snapshot().await?;
            let meddlers =
                take(stage, market, place).await.wrap_err_with(|| format!("{place:?} of {market}"))?;
            check(&plan, profit, meddlers, format!("{place:?} of {market}")).await?;
            stage.fork.revert(snapshot).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_fails_undoes_the_run() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    everywhere(&stage, async |plan, profit, meddlers, place| {
        for meddling in [Meddling::Fail, Meddling::Bomb, Meddling::Burn] {
            let row = || format!("{place}: {meddling:?}");
            for meddler in &meddlers {
                meddler.plots(&stage, meddling).await?;
            }
            let call = Executor::executeCall { plan: plan.clone() }.abi_encode();
            let said = stage.ask(OPERATOR, stage.executor, call).await?;
            ensure!(said.as_ref().is_err_and(|data| data.len() <= 1024), "{}: {said:?}", row());
            stage.fails_in_the_block(plan).await.wrap_err_with(row)?;
            stage.has_no_allowances().await?;
        }
        // The control: with honest ones in the same place all is as before.
        for meddler in &meddlers {
            meddler.plots(&stage, Meddling::Honest).await?;
        }
        let run = stage.run(plan).await.wrap_err_with(|| place.clone())?;
        ensure!(run.profit == profit, "{place}: {}, not {profit}", run.profit);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_calls_back_in_is_refused_and_the_run_goes_on() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    everywhere(&stage, async |plan, profit, meddlers, place| {
        let intruder = meddlers[0];
        for guise in GUISES {
            let row = || format!("{place}: {guise:?}");
            let snapshot = stage.fork.snapshot().await?;
            let intrusion = Intrusion::new(&stage, plan, intruder.0, guise)?;
            intrusion.brief(&stage, intruder, guise).await?;
            let run = stage.run(plan).await.wrap_err_with(row)?;
            ensure!(run.profit == profit, "{}: {}, not {profit}", row(), run.profit);
            let transaction = run.receipt.transaction_hash;
            let moments = intrusion.was_refused(&stage, transaction, intruder.0).await.wrap_err_with(row)?;
            eprintln!("{moments} moments  {}", row());
            ensure!(moments > 0, "{}: it was not asked", row());
            stage.fork.revert(snapshot).await?;
        }
        Ok(())
    })
    .await
}

/// What a lie about a price brings about. WETH stands at 1,500, and the borrower is far under water.
#[tokio::test(flavor = "multi_thread")]
async fn an_oracle_that_lies_in_the_block_undoes_the_run_or_pays_for_it() -> Result<()> {
    let stage = Stage::new().await?;
    for market in MARKETS {
        stage.open(&WETH_FOR_USDC, market, 0).await?;
    }
    stage.fork.set_price("WETH", 1_500 * DOLLAR).await?;
    stage.fork.move_pools_to_feeds().await?;
    let (weth, usdc) = (stage.token("WETH")?, stage.token("USDC")?);
    // What is lied about, basis points of the truth, and whether the run can still be carried out.
    let rows = [
        ("the collateral is worth nothing", weth, 0, false),
        // Still under water, but for five hundredths of bonus a fifth less is seized.
        ("the collateral is worth a fifth more", weth, 12_000, false),
        ("the collateral is worth twice as much: healthy", weth, 20_000, false),
        ("the collateral is worth half: twice as much is seized", weth, 5_000, true),
        ("the debt is worth nothing: healthy", usdc, 0, false),
        ("the debt is worth half: healthy", usdc, 5_000, false),
        ("the debt is worth a fifth more: more is seized", usdc, 12_000, true),
    ];
    for market in MARKETS {
        let mut plan = stage.plan(&WETH_FOR_USDC, market, Funding::Flash, Form::Without)?;
        plan.legs[0].swaps[0].limit = stage.fork.amount("WETH", 3_450)?;
        let snapshot = stage.fork.snapshot().await?;
        let honest = stage.run(&plan).await?.profit;
        stage.fork.revert(snapshot).await?;
        plan.minProfit = honest;
        for place in [Place::Oracle, Place::Feeds] {
            for (what, about, lie, can_run) in rows {
                let row = || format!("{market} {place:?}: {what}");
                let snapshot = stage.fork.snapshot().await?;
                let meddlers = take(&stage, market, place).await?;
                for (meddler, symbol) in meddlers.iter().zip(SYMBOLS) {
                    // A feed is asked without an argument: it is its token's own.
                    let liar = if place == Place::Oracle { about } else { Address::ZERO };
                    let meddling = if place == Place::Oracle || stage.token(symbol)? == about {
                        Meddling::Lie
                    } else {
                        Meddling::Honest
                    };
                    meddler.plots(&stage, Plot { meddling, lie, about: liar, hides: true }).await?;
                }
                let call = Executor::executeCall { plan: plan.clone() }.abi_encode();
                let simulated = stage.ask(OPERATOR, stage.executor, call).await?;
                ensure!(simulated.is_ok(), "{}: {}", row(), words(&simulated.err().unwrap_or_default()));
                if can_run {
                    let profit = stage.run(&plan).await.wrap_err_with(row)?.profit;
                    ensure!(profit > honest, "{}: {profit} after {honest}", row());
                } else {
                    stage.fails_in_the_block(&plan).await.wrap_err_with(row)?;
                    stage.has_no_allowances().await?;
                }
                stage.fork.revert(snapshot).await?;
            }
        }
    }
    Ok(())
}

/// An interest model moves what is owed from the next second on, not what this run repays.
#[tokio::test(flavor = "multi_thread")]
async fn an_interest_model_that_lies_does_not_touch_the_run() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    for market in MARKETS {
        let (plan, profit) = honest(&stage, market).await?;
        for lie in [0, 10_000_000] {
            let snapshot = stage.fork.snapshot().await?;
            for meddler in take(&stage, market, Place::Rates).await? {
                let plot = Plot { lie, ..Meddling::Lie.into() };
                meddler.plots(&stage, plot).await?;
            }
            let run = stage.run(&plan).await.wrap_err_with(|| format!("{market}: rates times {lie}"))?;
            ensure!(run.profit == profit, "{market}: {}, not {profit}", run.profit);
            stage.fork.revert(snapshot).await?;
        }
    }
    Ok(())
}
