//! Takes over what a round of answers says. Nothing is taken over unless every answer of the round could be
//! understood; what an answer makes unknown stays marked for the next round.

use super::reads::{Fact, Subject, plain, understand};
use super::rules::Rules;
use super::state::{Account, Configuration, EMode, Market, Reserve, Stage};
use crate::abi::aave::ReserveData;
use crate::domain::chain::{Answer, BlockRef};
use crate::domain::protocol::{Protocol as _, Settled, Undecodable};
use crate::domain::units::{Amount, Price};
use alloy::primitives::{Address, U256};
use std::collections::{BTreeMap, BTreeSet};

impl Market {
    /// Takes over the answers to `questions()`, all or none.
    pub(super) fn take(&mut self, at: BlockRef, answers: &[Answer]) -> Result<Settled, Undecodable> {
        let subjects = self.subjects();
        if subjects.len() != answers.len() {
            return Err(Undecodable {
                what: "the round".into(),
                contract: self.addresses.pool,
                why: format!("{} questions got {} answers", subjects.len(), answers.len()),
            });
        }
        let facts = subjects
            .iter()
            .zip(answers)
            .map(|(subject, answer)| {
                understand(*subject, answer).map_err(|why| {
                    let contract = self.question(*subject).to;
                    Undecodable { what: format!("{subject:?}"), contract, why }
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let looked_into = if self.marks.is_at_values() { self.marks.feeds.clone() } else { BTreeSet::new() };
        self.clear_marks();
        let mut settled = Settled { values: facts.len(), ..Settled::default() };
        for fact in facts {
            self.apply(fact, &mut settled);
        }
        self.recognise_feeds(looked_into);
        settled.drift = settled.drift.saturating_add(self.confirm());
        self.at = Some(at);
        Ok(settled)
    }

    /// How many of the accounts that are read by now are otherwise than logs had told.
    fn confirm(&mut self) -> usize {
        let claims = std::mem::take(&mut self.claims);
        let (waiting, read) =
            claims.into_iter().partition(|(account, _)| self.marks.accounts.contains_key(account));
        self.claims = waiting;
        let drifted = |(account, claimed): &(&Address, &Account)| {
            self.accounts.get(*account).is_none_or(|found| !found.is_as(claimed))
        };
        let read: BTreeMap<Address, Account> = read;
        read.iter().filter(drifted).count()
    }

    /// Forgets the marks that this round answers; `apply` sets those of the next round.
    fn clear_marks(&mut self) {
        let marks = &mut self.marks;
        if std::mem::take(&mut marks.addresses) {
            return;
        }
        if std::mem::take(&mut marks.reserve_list) {
            return;
        }
        if !marks.tokens.is_empty() {
            marks.tokens.clear();
            return;
        }
        marks.token_code.clear();
        marks.pool = false;
        marks.reserves.clear();
        marks.prices.clear();
        marks.sources.clear();
        marks.feeds.clear();
        marks.emodes.clear();
        for (account, stage) in std::mem::take(&mut marks.accounts) {
            if stage == Stage::Confirm
                && let Some(told) = self.accounts.get(&account)
            {
                self.claims.insert(account, told.clone());
            }
        }
    }

    fn apply(&mut self, fact: Fact, settled: &mut Settled) {
        match fact {
            Fact::Address(subject, address) => self.apply_address(subject, address),
            Fact::Number(subject, number) => self.apply_number(subject, number, settled),
            Fact::Text(asset, symbol) => {
                if let Some(reserve) = self.reserves.get_mut(&asset) {
                    reserve.symbol = symbol;
                }
            }
            Fact::List(assets) => {
                self.reserves.retain(|asset, _| assets.contains(asset));
                self.marks.tokens.extend(&assets);
            }
            Fact::Reserve(Subject::Tokens(asset), data) => self.introduce(asset, &data),
            Fact::Reserve(subject, data) => {
                if let Subject::Reserve(asset) = subject
                    && let Some(reserve) = self.reserves.get_mut(&asset)
                {
                    let told = reserve.clone();
                    refresh(reserve, &data);
                    let same = told.liquidity_index == reserve.liquidity_index
                        && told.borrow_index == reserve.borrow_index
                        && told.liquidity_rate == reserve.liquidity_rate
                        && told.borrow_rate == reserve.borrow_rate
                        && told.last_update == reserve.last_update;
                    if self.marks.told.remove(&asset) && !same {
                        settled.drift = settled.drift.saturating_add(1);
                    }
                }
            }
            Fact::Category(id, category) => {
                if !category.priceSource.is_zero() {
                    self.marks.prices.insert(category.priceSource);
                    self.marks.sources.insert(category.priceSource);
                }
                let collaterals = self.emodes.get(&id).map_or(0, |known| known.collaterals);
                self.emodes.insert(
                    id,
                    EMode {
                        threshold: U256::from(category.liquidationThreshold),
                        bonus: U256::from(category.liquidationBonus),
                        price_source: category.priceSource,
                        collaterals,
                        label: plain(&category.label),
                    },
                );
            }
            Fact::Nothing(Subject::Price(asset)) => self.prices.set(asset, None),
            Fact::Nothing(Subject::SupplyTokenCode(asset) | Subject::DebtTokenCode(asset)) => {
                if let Some(reserve) = self.reserves.get_mut(&asset) {
                    reserve.tokens_known = false;
                }
            }
            Fact::Nothing(_) => {}
        }
    }

    fn apply_address(&mut self, subject: Subject, address: Address) {
        let found = &mut self.addresses;
        match subject {
            Subject::Pool => found.pool = address,
            Subject::Configurator => found.configurator = address,
            Subject::PriceOracle => found.oracle = address,
            Subject::DataProvider => found.data_provider = address,
            Subject::Source(asset) => self.learn_source(asset, address),
            Subject::SentinelAddress => {
                found.sentinel = address;
                self.liquidation_allowed = address.is_zero();
                self.marks.reserve_list = true;
            }
            _ => {}
        }
    }

    fn apply_number(&mut self, subject: Subject, number: U256, settled: &mut Settled) {
        match subject {
            Subject::Revision => self.recognise(number, settled),
            Subject::FlashPremium => self.flash_premium = number,
            Subject::BaseUnit => self.base_unit = number,
            Subject::Allowed => self.liquidation_allowed = !number.is_zero(),
            Subject::Price(asset) => self.prices.set(asset, Some(Price(number))),
            Subject::Feed(contract, getter) => self.learn_getter(contract, getter, number),
            Subject::SupplyTokenCode(asset) | Subject::DebtTokenCode(asset) => {
                let is_supply = matches!(subject, Subject::SupplyTokenCode(_));
                let known = self.rules.is_some_and(|rules| {
                    let (supply, debt) = rules.token_revisions;
                    let revisions = if is_supply { supply } else { debt };
                    revisions.iter().any(|revision| U256::from(*revision) == number)
                });
                if let Some(reserve) = self.reserves.get_mut(&asset) {
                    reserve.tokens_known = known && (is_supply || reserve.tokens_known);
                }
            }
            Subject::Liquidity(asset) => {
                if let Some(reserve) = self.reserves.get_mut(&asset) {
                    reserve.available = Amount(number);
                }
            }
            Subject::VirtualLiquidity(asset) => {
                if let Some(reserve) = self.reserves.get_mut(&asset) {
                    reserve.available = reserve.available.min(Amount(number));
                }
            }
            Subject::Grace(asset) => {
                if let Some(reserve) = self.reserves.get_mut(&asset) {
                    reserve.grace_until = number.saturating_to();
                }
            }
            Subject::CategoryBitmap(id) => {
                if let Some(category) = self.emodes.get_mut(&id) {
                    category.collaterals = number.saturating_to();
                }
            }
            Subject::Bitmap(account) => {
                let held = self.accounts.entry(account).or_default();
                held.bitmap = number;
                held.balances.clear();
                self.marks.accounts.insert(account, Stage::Balances);
                if number.is_zero() {
                    self.marks.accounts.remove(&account);
                }
            }
            Subject::AccountEMode(account) => {
                let id = number.saturating_to::<u8>();
                self.accounts.entry(account).or_default().emode = id;
                if id != 0 && !self.emodes.contains_key(&id) {
                    self.marks.emodes.insert(id);
                }
            }
            Subject::Supply(account, id) => {
                let balances = self.balances(account, id);
                (balances.supply, balances.is_supply_known) = (number, true);
            }
            Subject::Debt(account, id) => self.balances(account, id).debt = number,
            Subject::StableDebt(account, id) => {
                self.balances(account, id).has_stable_debt = !number.is_zero();
            }
            _ => {}
        }
    }

    fn balances(&mut self, account: Address, id: u16) -> &mut super::state::Balances {
        self.accounts.entry(account).or_default().balances.entry(id).or_default()
    }

    fn recognise(&mut self, number: U256, settled: &mut Settled) {
        let revision = number.saturating_to();
        if revision != self.revision {
            let is_upgrade = self.revision != 0;
            self.revision = revision;
            self.rules = Rules::of_pool_revision(revision);
            self.marks.token_code.extend(self.reserves.keys());
            // Another release answers other questions: what was read under the old rules is not enough.
            if is_upgrade {
                self.mark_all();
            }
        }
        if self.rules.is_none() {
            settled.unknown_revision = Some(revision);
        }
    }

    /// A reserve seen for the first time, or whose tokens may have changed.
    fn introduce(&mut self, asset: Address, data: &ReserveData) {
        let mut reserve = Reserve {
            id: data.id,
            asset,
            symbol: String::new(),
            decimals: 0,
            a_token: data.aTokenAddress,
            debt_token: data.variableDebtTokenAddress,
            stable_debt_token: data.stableDebtTokenAddress,
            configuration: Configuration::default(),
            liquidity_index: U256::ZERO,
            borrow_index: U256::ZERO,
            liquidity_rate: U256::ZERO,
            borrow_rate: U256::ZERO,
            last_update: 0,
            available: Amount::ZERO,
            grace_until: 0,
            tokens_known: false,
        };
        if self.rules.is_some_and(|rules| !rules.has_stable_debt) {
            reserve.stable_debt_token = Address::ZERO;
        }
        refresh(&mut reserve, data);
        self.reserves.insert(asset, reserve);
        self.marks.pool = true;
        self.marks.token_code.insert(asset);
        self.marks.reserves.insert(asset);
        self.marks.prices.insert(asset);
        self.marks.sources.insert(asset);
    }
}

fn refresh(reserve: &mut Reserve, data: &ReserveData) {
    reserve.configuration = Configuration(data.configuration);
    reserve.decimals = reserve.configuration.decimals();
    reserve.liquidity_index = U256::from(data.liquidityIndex);
    reserve.borrow_index = U256::from(data.variableBorrowIndex);
    reserve.liquidity_rate = U256::from(data.currentLiquidityRate);
    reserve.borrow_rate = U256::from(data.currentVariableBorrowRate);
    reserve.last_update = data.lastUpdateTimestamp.to::<u64>();
}
