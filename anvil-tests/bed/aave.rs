//! What deploying a market has in common in both versions of Aave V3, one function a step. The versions' own modules
//! say in which order, and do what differs.

use std::path::PathBuf;

use alloy::{
    primitives::{Address, U256, address, uint},
    sol_types::SolValue,
};
use eyre::Result;

use super::{
    abi::{AclManager, AddressesProvider, Configurator},
    artifacts::{Artifacts, Deployer, Libraries},
    assets::{ASSETS, Asset},
    manifest::{Manifest, Token},
};

/// Where the reserve factor and the protocol's part of the bonus go.
pub const TREASURY: Address = address!("0x7ea5000000000000000000000000000000007ea5");

/// Dollars with 8 decimals.
const BASE_CURRENCY_UNIT: U256 = uint!(100000000_U256);

/// One version's contracts, by their bare names.
pub struct Edition<'a> {
    pub deployer: &'a Deployer,
    pub code: fn(&Artifacts, &str) -> PathBuf,
    pub libraries: Libraries,
}

/// The market's contracts.
#[derive(Debug, Clone, Copy)]
pub struct Core {
    pub provider: Address,
    pub pool: Address,
    pub configurator: Address,
    pub oracle: Address,
    pub data_provider: Address,
}

impl Edition<'_> {
    /// Deploys one contract with whatever libraries it links.
    pub async fn deploy(&self, name: &str, arguments: Vec<u8>) -> Result<Address> {
        self.deployer.create(&(self.code)(&self.deployer.artifacts, name), &self.libraries, arguments).await
    }

    /// Deploys libraries; those that link others come after them.
    pub async fn deploy_libraries(&mut self, names: &[&'static str]) -> Result<()> {
        for name in names {
            let library = self.deploy(name, vec![]).await?;
            self.libraries.insert(name, library);
        }
        Ok(())
    }

    /// The registry of the market, and the access list with the deployer as admin of everything.
    pub async fn registry(&self, market_id: &str) -> Result<Address> {
        let Deployer { from, .. } = *self.deployer;
        let provider = self.deploy("PoolAddressesProvider", (market_id, from).abi_encode_params()).await?;
        self.deployer.invoke(provider, &AddressesProvider::setACLAdminCall { admin: from }).await?;
        let manager = self.deploy("ACLManager", (provider,).abi_encode_params()).await?;
        self.deployer.invoke(provider, &AddressesProvider::setACLManagerCall { manager }).await?;
        self.deployer.invoke(manager, &AclManager::addPoolAdminCall { admin: from }).await?;
        self.deployer.invoke(manager, &AclManager::addEmergencyAdminCall { admin: from }).await?;
        Ok(provider)
    }

    /// Puts the two proxies in place, and the oracle and the data provider beside them.
    pub async fn core(
        &self,
        provider: Address,
        pool_implementation: Address,
        configurator_implementation: Address,
        manifest: &Manifest,
    ) -> Result<Core> {
        let deployer = self.deployer;
        let implementation = pool_implementation;
        deployer.invoke(provider, &AddressesProvider::setPoolImplCall { implementation }).await?;
        let implementation = configurator_implementation;
        deployer.invoke(provider, &AddressesProvider::setPoolConfiguratorImplCall { implementation }).await?;
        let pool = deployer.chain.read(provider, &AddressesProvider::getPoolCall {}).await?;
        let configurator =
            deployer.chain.read(provider, &AddressesProvider::getPoolConfiguratorCall {}).await?;

        let (assets, sources): (Vec<Address>, Vec<Address>) =
            manifest.tokens.values().map(|token| (token.address, token.feed)).unzip();
        let settings = (provider, assets, sources, Address::ZERO, Address::ZERO, BASE_CURRENCY_UNIT);
        let oracle = self.deploy("AaveOracle", settings.abi_encode_params()).await?;
        deployer.invoke(provider, &AddressesProvider::setPriceOracleCall { oracle }).await?;
        let data_provider = self.deploy("AaveProtocolDataProvider", (provider,).abi_encode_params()).await?;
        deployer
            .invoke(provider, &AddressesProvider::setPoolDataProviderCall { provider: data_provider })
            .await?;
        Ok(Core { provider, pool, configurator, oracle, data_provider })
    }

    /// The reserves' parameters, after they are listed. `flash_loans` says which can be flash-borrowed.
    pub async fn parameters(
        &self,
        configurator: Address,
        manifest: &Manifest,
        flash_loans: impl Fn(&Asset) -> bool,
    ) -> Result<()> {
        for asset in &ASSETS {
            let Token { address: token, .. } = *manifest.token(asset.symbol)?;
            let [ltv, threshold, bonus] = [asset.ltv, asset.threshold, asset.bonus].map(U256::from);
            let (factor, fee) = (U256::from(asset.reserve_factor), U256::from(asset.protocol_fee));
            let enabled = flash_loans(asset);
            let collateral =
                Configurator::configureReserveAsCollateralCall { asset: token, ltv, threshold, bonus };
            self.deployer.invoke(configurator, &collateral).await?;
            let borrowing = Configurator::setReserveBorrowingCall { asset: token, enabled: true };
            self.deployer.invoke(configurator, &borrowing).await?;
            let flash = Configurator::setReserveFlashLoaningCall { asset: token, enabled };
            self.deployer.invoke(configurator, &flash).await?;
            let factor = Configurator::setReserveFactorCall { asset: token, factor };
            self.deployer.invoke(configurator, &factor).await?;
            let fee = Configurator::setLiquidationProtocolFeeCall { asset: token, fee };
            self.deployer.invoke(configurator, &fee).await?;
        }
        Ok(())
    }
}

impl Core {
    /// The market's part of the manifest, without people yet.
    pub fn entry(&self, start_block: u64) -> super::manifest::Market {
        super::manifest::Market {
            addresses_provider: self.provider,
            pool: self.pool,
            oracle: self.oracle,
            data_provider: self.data_provider,
            start_block,
            lenders: vec![],
            borrowers: vec![],
        }
    }
}

/// Reserves in the order in which they are listed, with their tokens.
pub fn reserves(manifest: &Manifest) -> Result<Vec<(&'static Asset, Address)>> {
    ASSETS.iter().map(|asset| Ok((asset, manifest.token(asset.symbol)?.address))).collect()
}

/// Names of the three tokens of a reserve, e.g. `aV30WETH`.
pub fn token_name(kind: &str, market: &str, asset: &Asset) -> String {
    format!("{kind}{market}{}", asset.symbol)
}
