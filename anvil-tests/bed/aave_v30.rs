//! Deploys Aave V3.0 (pool revision 1) from the artifacts of its npm package.

use alloy::{
    primitives::{Address, Bytes, U256, uint},
    sol_types::SolValue,
};
use eyre::Result;

use super::{
    aave::{Core, Edition, TREASURY, reserves, token_name},
    abi::{Pool, v30},
    artifacts::{AAVE_V30, Artifacts, Deployer, Libraries},
    assets::{Asset, STABLECOINS, ray},
    manifest::{Manifest, Market},
};

/// Used for the stable-rate parameters, which nobody uses: no reserve enables stable borrowing.
const TWENTY_PERCENT: U256 = uint!(200000000000000000000000000_U256);

/// Basis points: what the live markets began with. The contract's own value is none.
const FLASH_LOAN_PREMIUM: u128 = 9;

pub async fn deploy(deployer: &Deployer, manifest: &Manifest) -> Result<Market> {
    let start_block = deployer.chain.block_number().await?;
    let mut edition = Edition { deployer, code, libraries: Libraries::new() };
    edition
        .deploy_libraries(&[
            "BorrowLogic",
            "BridgeLogic",
            "EModeLogic",
            "FlashLoanLogic",
            "LiquidationLogic",
            "PoolLogic",
            "SupplyLogic",
            "ConfiguratorLogic",
        ])
        .await?;
    let provider = edition.registry("Test bed V3.0").await?;
    let pool_implementation = edition.deploy("Pool", (provider,).abi_encode_params()).await?;
    deployer.invoke(pool_implementation, &Pool::initializeCall { provider }).await?;
    let configurator_implementation = edition.deploy("PoolConfigurator", vec![]).await?;
    let core = edition.core(provider, pool_implementation, configurator_implementation, manifest).await?;
    list(&edition, &core, manifest).await?;
    edition.parameters(core.configurator, manifest, |_| true).await?;
    efficiency_mode(&edition, &core, manifest).await?;
    let premium = v30::Configurator::updateFlashloanPremiumTotalCall { premium: FLASH_LOAN_PREMIUM };
    deployer.invoke(core.configurator, &premium).await?;
    Ok(core.entry(start_block))
}

fn code(artifacts: &Artifacts, name: &str) -> std::path::PathBuf {
    let folder = match name {
        "Pool" | "PoolConfigurator" | "DefaultReserveInterestRateStrategy" => "protocol/pool",
        "PoolAddressesProvider" | "ACLManager" => "protocol/configuration",
        "AToken" | "StableDebtToken" | "VariableDebtToken" => "protocol/tokenization",
        "AaveOracle" | "AaveProtocolDataProvider" => "misc",
        _ => "protocol/libraries/logic",
    };
    artifacts.packaged(AAVE_V30, &format!("{folder}/{name}"))
}

async fn list(edition: &Edition<'_>, core: &Core, manifest: &Manifest) -> Result<()> {
    let pool = (core.pool,).abi_encode_params();
    let a_token = edition.deploy("AToken", pool.clone()).await?;
    let stable_debt = edition.deploy("StableDebtToken", pool.clone()).await?;
    let variable_debt = edition.deploy("VariableDebtToken", pool).await?;
    let mut input = Vec::new();
    for (asset, token) in reserves(manifest)? {
        input.push(v30::InitReserve {
            aTokenImpl: a_token,
            stableDebtTokenImpl: stable_debt,
            variableDebtTokenImpl: variable_debt,
            underlyingAssetDecimals: asset.decimals,
            interestRateStrategyAddress: strategy(edition, core.provider, asset).await?,
            underlyingAsset: token,
            treasury: TREASURY,
            incentivesController: Address::ZERO,
            aTokenName: format!("Aave V3.0 {}", asset.symbol),
            aTokenSymbol: token_name("a", "V30", asset),
            variableDebtTokenName: format!("Aave V3.0 variable debt {}", asset.symbol),
            variableDebtTokenSymbol: token_name("variableDebt", "V30", asset),
            stableDebtTokenName: format!("Aave V3.0 stable debt {}", asset.symbol),
            stableDebtTokenSymbol: token_name("stableDebt", "V30", asset),
            // An implementation takes anything but nothing: the package's own deployment gives one byte.
            params: Bytes::from_static(&[0x10]),
        });
    }
    edition.deployer.invoke(core.configurator, &v30::Configurator::initReservesCall { input }).await
}

async fn strategy(edition: &Edition<'_>, provider: Address, asset: &Asset) -> Result<Address> {
    let rates = asset.rates;
    let settings = (
        provider,
        ray(rates.optimal),
        ray(rates.base),
        ray(rates.slope1),
        ray(rates.slope2),
        ray(rates.slope1),
        ray(rates.slope2),
        ray(200),
        ray(500),
        TWENTY_PERCENT,
    );
    edition.deploy("DefaultReserveInterestRateStrategy", settings.abi_encode_params()).await
}

/// A category with its members marked one by one.
async fn efficiency_mode(edition: &Edition<'_>, core: &Core, manifest: &Manifest) -> Result<()> {
    let mode = &STABLECOINS;
    let category = v30::Configurator::setEModeCategoryCall {
        category: mode.category,
        ltv: mode.ltv,
        threshold: mode.threshold,
        bonus: mode.bonus,
        // One price for all of the category, as the release allows: that of its last asset.
        oracle: manifest.token("DAI")?.address,
        label: mode.label.into(),
    };
    edition.deployer.invoke(core.configurator, &category).await?;
    for symbol in mode.symbols {
        let asset = manifest.token(symbol)?.address;
        let member = v30::Configurator::setAssetEModeCategoryCall { asset, category: mode.category };
        edition.deployer.invoke(core.configurator, &member).await?;
    }
    Ok(())
}
