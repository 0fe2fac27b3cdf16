//! What a log may have changed: it is read again, pinned to the block. What a log proves is taken over in `mirror` before
//! that, and the reading confirms it.

use super::state::{Market, Stage};
use crate::abi::aave::{Configurator, Pool, PoolAddressesProvider, Token};
use crate::domain::chain::Log;
use alloy::primitives::{Address, B256};
use alloy::sol_types::SolEvent;

impl Market {
    pub(super) fn mark_log(&mut self, log: &Log) {
        if self.is_complete {
            return;
        }
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
            self.token_accounts(topic, log)
                .into_iter()
                .flatten()
                .for_each(|account| self.mark_known(account));
        }
    }

    /// The log's block is gone: whoever it concerned is to be read again, and nothing that it said is believed.
    pub(super) fn unmark_log(&mut self, log: &Log) {
        self.mark_log(log);
        self.marks.told.clear();
        let Some(topic) = log.data.topics().first().copied() else { return };
        let accounts =
            if log.address == self.addresses.pool { pool_account(topic, log) } else { None }.into_iter();
        let accounts = accounts.chain(self.token_accounts(topic, log).into_iter().flatten());
        accounts.collect::<Vec<_>>().into_iter().for_each(|account| self.doubt(account));
    }

    fn mark_pool(&mut self, topic: B256, log: &Log) {
        if topic == Pool::Borrow::SIGNATURE_HASH {
            // A borrower we may not know yet.
            if let Some(account) = indexed(log, 2)
                && !self.accounts.contains_key(&account)
            {
                self.marks.accounts.insert(account, Stage::Bitmap);
            }
        } else if topic == Pool::Upgraded::SIGNATURE_HASH {
            // Other rules hold from this log on: what later logs of the block mean is left to the reads.
            self.marks.pool = true;
            self.doubt_all();
        }
        if let Some(account) = pool_account(topic, log) {
            self.mark_known(account);
        }
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
            let known = indexed(log, 1).filter(|asset| self.reserves.contains_key(asset));
            self.marks.tokens.extend(known);
            self.doubt_all();
        } else if topic == Configurator::EModeCategoryAdded::SIGNATURE_HASH
            || topic == Configurator::AssetCollateralInEModeChanged::SIGNATURE_HASH
        {
            // The category that a bitmap change names is not indexed; all known ones are few.
            self.marks.emodes.extend(self.emodes.keys());
        }
    }

    /// Whom a log of a token concerns.
    fn token_accounts(&self, topic: B256, log: &Log) -> [Option<Address>; 2] {
        if topic == Token::Mint::SIGNATURE_HASH {
            [indexed(log, 2), None]
        } else if topic == Token::Burn::SIGNATURE_HASH {
            [indexed(log, 1), None]
        } else if topic == Token::BalanceTransfer::SIGNATURE_HASH {
            [indexed(log, 1), indexed(log, 2)]
        } else {
            [None, None]
        }
    }

    /// Accounts that never borrowed are nobody's concern.
    fn mark_known(&mut self, account: Address) {
        if !self.accounts.contains_key(&account) {
            return;
        }
        match self.marks.accounts.get(&account) {
            None => drop(self.marks.accounts.insert(account, Stage::Confirm)),
            Some(Stage::Confirm) => {}
            // What was read of it before this log is old.
            Some(Stage::Bitmap | Stage::Balances) => self.doubt(account),
        }
    }
}

/// Whom a log of the pool concerns.
fn pool_account(topic: B256, log: &Log) -> Option<Address> {
    if topic == Pool::Borrow::SIGNATURE_HASH
        || topic == Pool::Repay::SIGNATURE_HASH
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
    }
}

fn indexed(log: &Log, topic: usize) -> Option<Address> {
    log.data.topics().get(topic).map(|word| Address::from_word(*word))
}

/// The account a log of the pool introduces as a borrower.
pub fn borrower(log: &Log) -> Option<Address> {
    (log.data.topics().first() == Some(&Pool::Borrow::SIGNATURE_HASH)).then(|| indexed(log, 2)).flatten()
}
