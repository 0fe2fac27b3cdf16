//! What a log may have changed. Logs only mark: the values come from reads pinned to the block.

use super::state::{Market, Stage};
use crate::abi::aave::{Configurator, Pool, PoolAddressesProvider, Token};
use crate::domain::chain::Log;
use alloy::primitives::{Address, B256};
use alloy::sol_types::SolEvent;

impl Market {
    pub(super) fn mark_log(&mut self, log: &Log) {
        let Some(topic) = log.data.topics().first().copied() else { return };
        let found = self.addresses;
        if log.address == found.pool {
            self.mark_pool(topic, log);
        } else if log.address == found.configurator {
            self.mark_configurator(topic, log);
        } else if log.address == found.provider {
            let moved = [
                PoolAddressesProvider::PriceOracleUpdated::SIGNATURE_HASH,
                PoolAddressesProvider::PriceOracleSentinelUpdated::SIGNATURE_HASH,
                PoolAddressesProvider::PoolUpdated::SIGNATURE_HASH,
                PoolAddressesProvider::PoolConfiguratorUpdated::SIGNATURE_HASH,
            ];
            self.marks.addresses |= moved.contains(&topic);
        } else {
            self.mark_token(topic, log);
        }
    }

    fn mark_pool(&mut self, topic: B256, log: &Log) {
        let account = if topic == Pool::Borrow::SIGNATURE_HASH {
            // A borrower we may not know yet.
            if let Some(account) = indexed(log, 2) {
                self.marks.accounts.insert(account, Stage::Bitmap);
            }
            return;
        } else if topic == Pool::Repay::SIGNATURE_HASH
            // Stable-rate debt has a token of its own, which is not among the sources.
            || topic == Pool::ReserveUsedAsCollateralEnabled::SIGNATURE_HASH
            || topic == Pool::ReserveUsedAsCollateralDisabled::SIGNATURE_HASH
        {
            indexed(log, 2)
        } else if topic == Pool::UserEModeSet::SIGNATURE_HASH {
            indexed(log, 1)
        } else if topic == Pool::LiquidationCall::SIGNATURE_HASH {
            indexed(log, 3)
        } else {
            None
        };
        self.mark_known(account);
    }

    fn mark_configurator(&mut self, topic: B256, log: &Log) {
        if topic == Configurator::ReserveInitialized::SIGNATURE_HASH
            || topic == Configurator::ReserveDropped::SIGNATURE_HASH
            || topic == Configurator::FlashloanPremiumTotalUpdated::SIGNATURE_HASH
        {
            self.marks.reserve_list = true;
        } else if topic == Configurator::ATokenUpgraded::SIGNATURE_HASH
            || topic == Configurator::VariableDebtTokenUpgraded::SIGNATURE_HASH
        {
            self.marks.tokens.extend(indexed(log, 1).filter(|asset| self.reserves.contains_key(asset)));
        } else if topic == Configurator::EModeCategoryAdded::SIGNATURE_HASH
            || topic == Configurator::AssetCollateralInEModeChanged::SIGNATURE_HASH
        {
            // The category that a bitmap change names is not indexed; all known ones are few.
            self.marks.emodes.extend(self.emodes.keys());
        }
    }

    fn mark_token(&mut self, topic: B256, log: &Log) {
        if topic == Token::Mint::SIGNATURE_HASH {
            self.mark_known(indexed(log, 2));
        } else if topic == Token::Burn::SIGNATURE_HASH {
            self.mark_known(indexed(log, 1));
        } else if topic == Token::BalanceTransfer::SIGNATURE_HASH {
            self.mark_known(indexed(log, 1));
            self.mark_known(indexed(log, 2));
        }
    }

    /// Accounts that never borrowed are nobody's concern.
    fn mark_known(&mut self, account: Option<Address>) {
        if let Some(account) = account
            && self.accounts.contains_key(&account)
        {
            self.marks.accounts.insert(account, Stage::Bitmap);
        }
    }
}

fn indexed(log: &Log, topic: usize) -> Option<Address> {
    log.data.topics().get(topic).map(|word| Address::from_word(*word))
}

/// The account a log of the pool introduces as a borrower.
pub fn borrower(log: &Log) -> Option<Address> {
    (log.data.topics().first() == Some(&Pool::Borrow::SIGNATURE_HASH)).then(|| indexed(log, 2)).flatten()
}
