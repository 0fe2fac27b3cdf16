//! Which contracts a price comes from. The price that counts is always what the market's oracle answers; this only says
//! whose word moves it: a feed that several assets hang on names them all, and an adapter says by its getters what it is.
//! What is found here is never needed to judge: an adapter nobody knows has its price read at every head like any other.
//! Source: Aave V3 `AaveOracle`, Chainlink's proxies, Aave's CAPO, Pendle and synchronicity adapters.

use super::state::Market;
use crate::abi::feeds::{Adapter, Aggregator, NEW_TRANSMISSION};
use crate::domain::chain::Log;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use std::collections::{BTreeMap, BTreeSet};

/// Contracts that are looked into for each asset of the market; more make no sense.
const MOST_EACH: usize = 8;
/// Heads after which it is asked again what stands behind a proxy: it logs no change of that.
pub(super) const RENEWAL: u64 = 64;

/// What a contract that prices hang on is, as far as its getters tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Passes on what an aggregator says.
    Proxy,
    /// An aggregator that pushes rounds.
    Aggregator,
    /// One with two readers: the market's sees a public round only after a while, or in the auctioned transaction.
    DualAggregator,
    /// Base feed times a capped exchange rate: it moves with time and with the token's own contract, without a log.
    CappedRatio,
    /// A feed with a cap above it.
    CappedStable,
    /// A feed less a discount that shrinks until maturity: it moves with time, without a log.
    PendleDiscount,
    /// Two feeds multiplied: asset to peg, peg to base.
    Synchronicity,
    /// None of these: perhaps a constant.
    Other,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Aggregator => "aggregator",
            Self::DualAggregator => "dual-aggregator",
            Self::CappedRatio => "capped-ratio",
            Self::CappedStable => "capped-stable",
            Self::PendleDiscount => "pendle-discount",
            Self::Synchronicity => "synchronicity",
            Self::Other => "other",
        }
    }
}

/// What a contract is asked to find out what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Getter {
    Aggregator,
    Version,
    BaseFeed,
    RatioProvider,
    AssetFeed,
    PriceCap,
    PrincipalToken,
    AssetToPeg,
    PegToBase,
}

impl Getter {
    pub const ALL: [Self; 9] = [
        Self::Aggregator,
        Self::Version,
        Self::BaseFeed,
        Self::RatioProvider,
        Self::AssetFeed,
        Self::PriceCap,
        Self::PrincipalToken,
        Self::AssetToPeg,
        Self::PegToBase,
    ];

    pub fn data(self) -> Vec<u8> {
        match self {
            Self::Aggregator => Aggregator::aggregatorCall {}.abi_encode(),
            Self::Version => Aggregator::versionCall {}.abi_encode(),
            Self::BaseFeed => Adapter::BASE_TO_USD_AGGREGATORCall {}.abi_encode(),
            Self::RatioProvider => Adapter::RATIO_PROVIDERCall {}.abi_encode(),
            Self::AssetFeed => Adapter::ASSET_TO_USD_AGGREGATORCall {}.abi_encode(),
            Self::PriceCap => Adapter::getPriceCapCall {}.abi_encode(),
            Self::PrincipalToken => Adapter::PENDLE_PRINCIPAL_TOKENCall {}.abi_encode(),
            Self::AssetToPeg => Adapter::ASSET_TO_PEGCall {}.abi_encode(),
            Self::PegToBase => Adapter::PEG_TO_BASECall {}.abi_encode(),
        }
    }
}

/// A contract behind a price.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contract {
    kind: Kind,
    /// The feeds it reads in turn.
    reads: Vec<Address>,
}

/// Where the market's prices come from.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    /// By asset; an asset that the oracle has no source for is not here.
    sources: BTreeMap<Address, Address>,
    contracts: BTreeMap<Address, Contract>,
    /// What contracts that are being looked into have answered so far.
    answers: BTreeMap<Address, BTreeMap<Getter, U256>>,
    /// Assets whose feeds have spoken since the last head.
    moved: BTreeMap<Address, BTreeSet<Address>>,
}

impl Feeds {
    /// The source of an asset's price and all that it reads, in that order.
    pub fn behind(&self, asset: Address) -> Vec<(Address, Kind)> {
        let mut found: Vec<(Address, Kind)> = Vec::new();
        let mut open = self.sources.get(&asset).copied().into_iter().collect::<Vec<_>>();
        while let Some(address) = open.pop() {
            if found.len() >= MOST_EACH || found.iter().any(|(known, _)| *known == address) {
                continue;
            }
            let contract = self.contracts.get(&address);
            found.push((address, contract.map_or(Kind::Other, |contract| contract.kind)));
            open.extend(contract.into_iter().flat_map(|contract| contract.reads.iter().rev()));
        }
        found
    }

    /// Every asset whose price hangs on this contract.
    pub fn moved_by(&self, contract: Address) -> Vec<Address> {
        let hangs = |asset: &&Address| self.behind(**asset).iter().any(|(address, _)| *address == contract);
        self.sources.keys().filter(hangs).copied().collect()
    }

    /// The contracts whose logs tell of prices.
    pub fn contracts(&self) -> impl Iterator<Item = Address> + '_ {
        self.contracts.keys().copied()
    }

    /// How many assets have a source of each kind.
    pub fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for asset in self.sources.keys() {
            // What is behind a plain proxy says what it is worth as a notice.
            let kinds = self.behind(*asset).into_iter().map(|(_, kind)| kind).collect::<Vec<_>>();
            let dual = kinds.contains(&Kind::DualAggregator).then_some(Kind::DualAggregator);
            if let Some(kind) = kinds.first().copied() {
                let told = if kind == Kind::Proxy { dual.unwrap_or(kind) } else { kind };
                let count: &mut usize = counts.entry(told.word()).or_default();
                *count = count.saturating_add(1);
            }
        }
        counts
    }

    fn is_full(&self) -> bool {
        self.contracts.len() >= self.sources.len().saturating_mul(MOST_EACH)
    }
}

impl Market {
    /// Notes what a log of a feed or of the oracle says about where prices come from, or that one has moved.
    pub(super) fn hear_feed(&mut self, log: &Log) {
        let Some(topic) = log.data.topics().first().copied() else { return };
        let indexed = |at: usize| log.data.topics().get(at).map(|word| Address::from_word(*word));
        if log.address == self.addresses.oracle {
            if topic == Aggregator::AssetSourceUpdated::SIGNATURE_HASH {
                self.marks.sources.extend(indexed(1).filter(|asset| self.prices_of().contains(asset)));
            }
        } else if self.feeds.contracts.contains_key(&log.address) && tells_price(topic) {
            let assets = self.feeds.moved_by(log.address);
            self.marks.prices.extend(&assets);
            self.feeds.moved.entry(log.address).or_default().extend(assets);
        }
    }

    /// Everything the oracle is asked the price of.
    pub(super) fn prices_of(&self) -> BTreeSet<Address> {
        let categories = self.emodes.values().map(|category| category.price_source);
        self.reserves.keys().copied().chain(categories.filter(|source| !source.is_zero())).collect()
    }

    /// Feeds that spoke since this was last asked, each with the assets that hang on it.
    pub(super) fn take_moved(&mut self) -> Vec<(Address, Vec<Address>)> {
        let moved = std::mem::take(&mut self.feeds.moved);
        moved.into_iter().map(|(feed, assets)| (feed, assets.into_iter().collect())).collect()
    }

    pub(super) fn learn_source(&mut self, asset: Address, source: Address) {
        if source.is_zero() {
            self.feeds.sources.remove(&asset);
        } else {
            self.feeds.sources.insert(asset, source);
            self.marks.feeds.insert(source);
        }
    }

    pub(super) fn learn_getter(&mut self, contract: Address, getter: Getter, word: U256) {
        self.feeds.answers.entry(contract).or_default().insert(getter, word);
    }

    /// Says what the contracts are that have been asked everything, and looks into what they read.
    pub(super) fn recognise_feeds(&mut self, asked: BTreeSet<Address>) {
        for address in asked {
            let answers = self.feeds.answers.remove(&address).unwrap_or_default();
            let contract = recognise(&answers);
            let fresh = contract.reads.iter().filter(|read| !self.feeds.contracts.contains_key(*read));
            let fresh = fresh.copied().collect::<Vec<_>>();
            self.feeds.contracts.insert(address, contract);
            if !self.feeds.is_full() {
                self.marks.feeds.extend(fresh);
            }
        }
    }

    /// Proxies are asked again now and then what stands behind them.
    pub(super) fn renew_feeds(&mut self) {
        let proxies = self.feeds.contracts.iter().filter(|(_, contract)| contract.kind == Kind::Proxy);
        self.marks.feeds.extend(proxies.map(|(address, _)| *address));
    }
}

fn tells_price(topic: B256) -> bool {
    [
        Aggregator::AnswerUpdated::SIGNATURE_HASH,
        Aggregator::SecondaryRoundIdUpdated::SIGNATURE_HASH,
        Adapter::CapParametersUpdated::SIGNATURE_HASH,
        Adapter::PriceCapUpdated::SIGNATURE_HASH,
    ]
    .contains(&topic)
        || NEW_TRANSMISSION.contains(&topic)
}

/// What a contract is by what it answered. An answer that is no address is none.
fn recognise(answers: &BTreeMap<Getter, U256>) -> Contract {
    let feed = |getter: Getter| {
        let word = answers.get(&getter)?.to_be_bytes::<32>();
        let address = Address::abi_decode(&Bytes::from(word)).ok()?;
        (!address.is_zero()).then_some(address)
    };
    let has = |getter: Getter| answers.contains_key(&getter);
    let of = |kind: Kind, getters: &[Getter]| Contract {
        kind,
        reads: getters.iter().filter_map(|getter| feed(*getter)).collect(),
    };
    if has(Getter::BaseFeed) && has(Getter::RatioProvider) {
        of(Kind::CappedRatio, &[Getter::BaseFeed])
    } else if has(Getter::AssetFeed) && has(Getter::PrincipalToken) {
        of(Kind::PendleDiscount, &[Getter::AssetFeed])
    } else if has(Getter::AssetFeed) && has(Getter::PriceCap) {
        of(Kind::CappedStable, &[Getter::AssetFeed])
    } else if has(Getter::AssetToPeg) && has(Getter::PegToBase) {
        of(Kind::Synchronicity, &[Getter::AssetToPeg, Getter::PegToBase])
    } else if feed(Getter::Aggregator).is_some() {
        of(Kind::Proxy, &[Getter::Aggregator])
    } else if answers.get(&Getter::Version) == Some(&U256::from(6)) {
        of(Kind::DualAggregator, &[])
    } else if has(Getter::Version) {
        of(Kind::Aggregator, &[])
    } else {
        of(Kind::Other, &[])
    }
}
