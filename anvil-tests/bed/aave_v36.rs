//! Deploys Aave V3.6 (pool revision 10), compiled from the sources of its npm package.

use alloy::{
    primitives::{Address, Bytes},
    sol_types::SolValue,
};
use eyre::Result;

use super::{
    aave::{Core, Edition, TREASURY, reserves, token_name},
    abi::v36,
    artifacts::{Artifacts, Deployer, Libraries},
    assets::STABLECOINS,
    manifest::{Manifest, Market},
};

/// Basis points: the default of the present markets. The contract's own value is none.
const FLASH_LOAN_PREMIUM: u128 = 5;

pub async fn deploy(deployer: &Deployer, manifest: &Manifest) -> Result<Market> {
    let start_block = deployer.chain.block_number().await?;
    let mut edition = Edition { deployer, code: Artifacts::compiled, libraries: Libraries::new() };
    edition
        .deploy_libraries(&[
            "BorrowLogic",
            "FlashLoanLogic",
            "LiquidationLogic",
            "PoolLogic",
            "SupplyLogic",
            "ConfiguratorLogic",
        ])
        .await?;
    let provider = edition.registry("Test bed V3.6").await?;
    // One strategy serves all reserves; the configurator gives it each reserve's curve.
    let strategy =
        edition.deploy("DefaultReserveInterestRateStrategyV2", (provider,).abi_encode_params()).await?;
    let pool_implementation =
        edition.deploy("PoolInstance", (provider, strategy).abi_encode_params()).await?;
    let configurator_implementation = edition.deploy("PoolConfiguratorInstance", vec![]).await?;
    let core = edition.core(provider, pool_implementation, configurator_implementation, manifest).await?;
    list(&edition, &core, manifest).await?;
    edition.parameters(core.configurator, manifest, |asset| asset.flash_loans_v36).await?;
    efficiency_mode(&edition, &core, manifest).await?;
    let premium = v36::Configurator::updateFlashloanPremiumCall { premium: FLASH_LOAN_PREMIUM };
    deployer.invoke(core.configurator, &premium).await?;
    Ok(core.entry(start_block))
}

async fn list(edition: &Edition<'_>, core: &Core, manifest: &Manifest) -> Result<()> {
    let a_token = (core.pool, Address::ZERO, TREASURY).abi_encode_params();
    let a_token = edition.deploy("ATokenInstance", a_token).await?;
    let debt =
        edition.deploy("VariableDebtTokenInstance", (core.pool, Address::ZERO).abi_encode_params()).await?;
    let mut input = Vec::new();
    for (asset, token) in reserves(manifest)? {
        let rates = asset.rates;
        let rates = v36::RateData {
            optimal: rates.optimal,
            base: rates.base.into(),
            slope1: rates.slope1.into(),
            slope2: rates.slope2.into(),
        };
        input.push(v36::InitReserve {
            aTokenImpl: a_token,
            variableDebtTokenImpl: debt,
            underlyingAsset: token,
            aTokenName: format!("Aave V3.6 {}", asset.symbol),
            aTokenSymbol: token_name("a", "V36", asset),
            variableDebtTokenName: format!("Aave V3.6 variable debt {}", asset.symbol),
            variableDebtTokenSymbol: token_name("variableDebt", "V36", asset),
            params: Bytes::new(),
            interestRateData: rates.abi_encode().into(),
        });
    }
    edition.deployer.invoke(core.configurator, &v36::Configurator::initReservesCall { input }).await
}

/// A category with two bitmaps: what counts as collateral in it, and what can be borrowed.
async fn efficiency_mode(edition: &Edition<'_>, core: &Core, manifest: &Manifest) -> Result<()> {
    let mode = &STABLECOINS;
    let category = mode.category;
    let create = v36::Configurator::setEModeCategoryCall {
        category,
        ltv: mode.ltv,
        threshold: mode.threshold,
        bonus: mode.bonus,
        label: mode.label.into(),
    };
    edition.deployer.invoke(core.configurator, &create).await?;
    for symbol in mode.symbols {
        let asset = manifest.token(symbol)?.address;
        let collateral =
            v36::Configurator::setAssetCollateralInEModeCall { asset, category, collateral: true };
        edition.deployer.invoke(core.configurator, &collateral).await?;
        let borrowable =
            v36::Configurator::setAssetBorrowableInEModeCall { asset, category, borrowable: true };
        edition.deployer.invoke(core.configurator, &borrowable).await?;
    }
    Ok(())
}
