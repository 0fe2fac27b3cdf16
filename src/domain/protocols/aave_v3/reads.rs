//! The questions that make a market true again, and what their answers mean. One table says both: a `Subject`
//! names a question, `question` asks it, `understand` reads its answer. `settle` takes the facts over.

use super::feeds::Getter;
use super::rules::EModeForm;
use super::state::{Market, Reserve, Stage};
use crate::abi::aave::{EModeCategory, Oracle, Pool, PoolAddressesProvider, ReserveData, Sentinel, Token};
use crate::abi::erc20::Erc20;
use crate::domain::chain::{Answer, Read};
use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::{SolCall, SolValue};

/// What one question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Pool,
    Configurator,
    PriceOracle,
    DataProvider,
    SentinelAddress,
    Revision,
    ReserveList,
    FlashPremium,
    BaseUnit,
    Symbol(Address),
    Tokens(Address),
    SupplyTokenCode(Address),
    DebtTokenCode(Address),
    Reserve(Address),
    Liquidity(Address),
    VirtualLiquidity(Address),
    Grace(Address),
    Allowed,
    Price(Address),
    Source(Address),
    Feed(Address, Getter),
    Category(u8),
    CategoryBitmap(u8),
    Bitmap(Address),
    AccountEMode(Address),
    Supply(Address, u16),
    Debt(Address, u16),
    StableDebt(Address, u16),
}

/// What one answer means.
pub(super) enum Fact {
    Address(Subject, Address),
    Number(Subject, U256),
    Text(Address, String),
    List(Vec<Address>),
    Reserve(Subject, Box<ReserveData>),
    Category(u8, EModeCategory),
    /// The contract refused to answer where that is a legitimate answer.
    Nothing(Subject),
}

impl Market {
    pub(super) fn questions(&self) -> Vec<Read> {
        self.subjects().into_iter().map(|subject| self.question(subject)).collect()
    }

    /// In rounds, since later questions depend on earlier answers.
    pub(super) fn subjects(&self) -> Vec<Subject> {
        let marks = &self.marks;
        if marks.addresses {
            return vec![
                Subject::Pool,
                Subject::Configurator,
                Subject::PriceOracle,
                Subject::DataProvider,
                Subject::SentinelAddress,
            ];
        }
        if marks.reserve_list {
            return vec![Subject::Revision, Subject::ReserveList, Subject::FlashPremium, Subject::BaseUnit];
        }
        if !marks.tokens.is_empty() {
            return marks
                .tokens
                .iter()
                .flat_map(|asset| [Subject::Tokens(*asset), Subject::Symbol(*asset)])
                .collect();
        }
        let mut subjects = Vec::new();
        for asset in &marks.token_code {
            subjects.extend([Subject::SupplyTokenCode(*asset), Subject::DebtTokenCode(*asset)]);
        }
        if marks.pool {
            subjects.push(Subject::Revision);
            if !self.addresses.sentinel.is_zero() {
                subjects.push(Subject::Allowed);
            }
        }
        for asset in &marks.reserves {
            subjects.extend([Subject::Reserve(*asset), Subject::Liquidity(*asset)]);
            if self.rules.is_some_and(|rules| rules.has_virtual_balance) {
                subjects.push(Subject::VirtualLiquidity(*asset));
            }
            if self.rules.is_some_and(|rules| rules.has_grace_period) {
                subjects.push(Subject::Grace(*asset));
            }
        }
        subjects.extend(marks.prices.iter().map(|asset| Subject::Price(*asset)));
        subjects.extend(marks.sources.iter().map(|asset| Subject::Source(*asset)));
        for contract in &marks.feeds {
            subjects.extend(Getter::ALL.map(|getter| Subject::Feed(*contract, getter)));
        }
        for id in &marks.emodes {
            subjects.push(Subject::Category(*id));
            if self.rules.is_some_and(|rules| rules.emode == EModeForm::Bitmap) {
                subjects.push(Subject::CategoryBitmap(*id));
            }
        }
        for (account, stage) in &marks.accounts {
            match stage {
                Stage::Confirm | Stage::Bitmap => {
                    subjects.extend([Subject::Bitmap(*account), Subject::AccountEMode(*account)]);
                }
                Stage::Balances => self.balance_subjects(*account, &mut subjects),
            }
        }
        subjects
    }

    fn balance_subjects(&self, account: Address, subjects: &mut Vec<Subject>) {
        let Some(held) = self.accounts.get(&account) else { return };
        for reserve in self.reserves.values() {
            if held.collateralizes(reserve.id) {
                subjects.push(Subject::Supply(account, reserve.id));
            }
            if held.borrows(reserve.id) {
                subjects.push(Subject::Debt(account, reserve.id));
                if !reserve.stable_debt_token.is_zero() {
                    subjects.push(Subject::StableDebt(account, reserve.id));
                }
            }
        }
    }

    pub(super) fn question(&self, subject: Subject) -> Read {
        let found = &self.addresses;
        let token = |asset: Address, pick: fn(&Reserve) -> Address| {
            self.reserves.get(&asset).map_or(Address::ZERO, pick)
        };
        let by_id =
            |id: u16, pick: fn(&Reserve) -> Address| self.reserve_by_id(id).map_or(Address::ZERO, pick);
        let (to, data) = match subject {
            Subject::Pool => (found.provider, PoolAddressesProvider::getPoolCall {}.abi_encode()),
            Subject::Configurator => {
                (found.provider, PoolAddressesProvider::getPoolConfiguratorCall {}.abi_encode())
            }
            Subject::PriceOracle => {
                (found.provider, PoolAddressesProvider::getPriceOracleCall {}.abi_encode())
            }
            Subject::DataProvider => {
                (found.provider, PoolAddressesProvider::getPoolDataProviderCall {}.abi_encode())
            }
            Subject::SentinelAddress => {
                (found.provider, PoolAddressesProvider::getPriceOracleSentinelCall {}.abi_encode())
            }
            Subject::Revision => (found.pool, Pool::POOL_REVISIONCall {}.abi_encode()),
            Subject::ReserveList => (found.pool, Pool::getReservesListCall {}.abi_encode()),
            Subject::FlashPremium => (found.pool, Pool::FLASHLOAN_PREMIUM_TOTALCall {}.abi_encode()),
            Subject::BaseUnit => (found.oracle, Oracle::BASE_CURRENCY_UNITCall {}.abi_encode()),
            Subject::Symbol(asset) => (asset, Erc20::symbolCall {}.abi_encode()),
            Subject::Tokens(asset) | Subject::Reserve(asset) => {
                (found.pool, Pool::getReserveDataCall { asset }.abi_encode())
            }
            Subject::SupplyTokenCode(asset) => {
                (token(asset, |reserve| reserve.a_token), Token::ATOKEN_REVISIONCall {}.abi_encode())
            }
            Subject::DebtTokenCode(asset) => {
                (token(asset, |reserve| reserve.debt_token), Token::DEBT_TOKEN_REVISIONCall {}.abi_encode())
            }
            Subject::Liquidity(asset) => {
                let owner = token(asset, |reserve| reserve.a_token);
                (asset, Erc20::balanceOfCall { owner }.abi_encode())
            }
            Subject::VirtualLiquidity(asset) => {
                (found.pool, Pool::getVirtualUnderlyingBalanceCall { asset }.abi_encode())
            }
            Subject::Grace(asset) => (found.pool, Pool::getLiquidationGracePeriodCall { asset }.abi_encode()),
            Subject::Allowed => (found.sentinel, Sentinel::isLiquidationAllowedCall {}.abi_encode()),
            Subject::Price(asset) => (found.oracle, Oracle::getAssetPriceCall { asset }.abi_encode()),
            Subject::Source(asset) => (found.oracle, Oracle::getSourceOfAssetCall { asset }.abi_encode()),
            Subject::Feed(contract, getter) => (contract, getter.data()),
            Subject::Category(id) => (found.pool, Pool::getEModeCategoryDataCall { id }.abi_encode()),
            Subject::CategoryBitmap(id) => {
                (found.pool, Pool::getEModeCategoryCollateralBitmapCall { id }.abi_encode())
            }
            Subject::Bitmap(user) => (found.pool, Pool::getUserConfigurationCall { user }.abi_encode()),
            Subject::AccountEMode(user) => (found.pool, Pool::getUserEModeCall { user }.abi_encode()),
            Subject::Supply(user, id) => {
                (by_id(id, |reserve| reserve.a_token), Token::scaledBalanceOfCall { user }.abi_encode())
            }
            Subject::Debt(user, id) => {
                (by_id(id, |reserve| reserve.debt_token), Token::scaledBalanceOfCall { user }.abi_encode())
            }
            Subject::StableDebt(user, id) => (
                by_id(id, |reserve| reserve.stable_debt_token),
                Token::principalBalanceOfCall { user }.abi_encode(),
            ),
        };
        Read { to, data: data.into() }
    }
}

pub(super) fn understand(subject: Subject, answer: &Answer) -> Result<Fact, String> {
    let data = match &answer.0 {
        Some(data) if !data.is_empty() => data,
        _ => {
            return match subject {
                Subject::Price(_)
                | Subject::SupplyTokenCode(_)
                | Subject::DebtTokenCode(_)
                | Subject::Source(_)
                | Subject::Feed(..) => Ok(Fact::Nothing(subject)),
                Subject::Symbol(asset) => Ok(Fact::Text(asset, short(asset))),
                // A market without a sentinel may run a provider that has no such getter.
                Subject::SentinelAddress => Ok(Fact::Address(subject, Address::ZERO)),
                // What cannot say what it holds will not pay out either: nothing is lent or seized there.
                Subject::Liquidity(_) | Subject::VirtualLiquidity(_) => Ok(Fact::Number(subject, U256::ZERO)),
                // A sentinel that cannot be asked forbids: the pool's own call to it would revert.
                Subject::Allowed => Ok(Fact::Number(subject, U256::ZERO)),
                _ => Err(match &answer.0 {
                    None => "the call reverted".into(),
                    Some(_) => "there is no contract, or it does not have this function".into(),
                }),
            };
        }
    };
    match subject {
        Subject::Pool
        | Subject::Configurator
        | Subject::PriceOracle
        | Subject::DataProvider
        | Subject::SentinelAddress
        | Subject::Source(_) => Ok(Fact::Address(subject, decode::<Address>(data)?)),
        // A stranger's contract may answer anything: what is no word is no answer.
        Subject::Feed(..) => Ok(match U256::abi_decode(data) {
            Ok(word) if data.len() == 32 => Fact::Number(subject, word),
            _ => Fact::Nothing(subject),
        }),
        Subject::ReserveList => Ok(Fact::List(decode::<Vec<Address>>(data)?)),
        Subject::Tokens(_) | Subject::Reserve(_) => {
            Ok(Fact::Reserve(subject, Box::new(decode::<ReserveData>(data)?)))
        }
        Subject::Category(id) => Ok(Fact::Category(id, decode::<EModeCategory>(data)?)),
        Subject::Symbol(asset) => Ok(Fact::Text(asset, symbol(asset, data))),
        _ => Ok(Fact::Number(subject, decode::<U256>(data)?)),
    }
}

fn decode<T: SolValue + From<<T::SolType as alloy::sol_types::SolType>::RustType>>(
    data: &Bytes,
) -> Result<T, String> {
    T::abi_decode(data).map_err(|error| error.to_string())
}

/// A token's symbol as people may see it: a string, or the 32 bytes some old tokens answer with. Symbols
/// are chosen by strangers; only plain characters pass.
fn symbol(asset: Address, data: &Bytes) -> String {
    let text = String::abi_decode(data).unwrap_or_else(|_| {
        let bytes = data.iter().take(32).copied().take_while(|byte| *byte != 0).collect::<Vec<_>>();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    match plain(&text) {
        text if text.is_empty() => short(asset),
        text => text,
    }
}

pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "._-+/$ ".contains(*c)).take(24).collect()
}

fn short(asset: Address) -> String {
    let text = asset.to_string();
    text.get(..8).unwrap_or(&text).to_owned()
}
