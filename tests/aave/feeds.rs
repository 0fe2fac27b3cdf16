//! Which contracts a price hangs on, found by asking them, and which assets one feed's word moves.

use super::world::{NOW, asset, big, list, market, terms};
use alloy::primitives::{Address, B256, Bytes, LogData, U256, keccak256};
use alloy::sol_types::SolValue;
use backstop::domain::chain::{Answer, BlockRef, Log};
use backstop::domain::protocol::Protocol;
use backstop::domain::protocols::aave_v3::{FeedKind, Market};
use std::collections::BTreeMap;

const ORACLE: Address = Address::repeat_byte(0x0a);
const BLOCK: BlockRef = BlockRef { number: 1, hash: B256::ZERO, timestamp: NOW };
/// Of the contracts below.
const DOLLAR: Address = Address::repeat_byte(0xd1);
const ETHER: Address = Address::repeat_byte(0xe1);
const DUAL: Address = Address::repeat_byte(0xe6);
const LONG_GONE: Address = Address::repeat_byte(0xee);

/// What each contract answers to each getter by its name; everything else reverts.
type World = BTreeMap<(Address, &'static str), U256>;

fn word(address: Address) -> U256 {
    U256::from_be_bytes(address.into_word().0)
}

fn proxy(world: &mut World, at: Address, aggregator: Address, version: u64) {
    world.insert((at, "aggregator()"), word(aggregator));
    world.insert((at, "version()"), U256::from(version));
    world.insert((aggregator, "version()"), U256::from(version));
}

/// A market of so many assets whose sources are these, asked until it has no question left.
fn found(sources: &[Address], world: &World) -> (Market, Vec<Address>) {
    let mut market = market(10);
    market.addresses.oracle = ORACLE;
    let mut assets = Vec::new();
    for (id, _) in (0..).zip(sources) {
        let reserve = asset(id, terms(18, 8_000, 10_500, 0), big("1"), big("1"));
        assets.push(list(&mut market, reserve, U256::ONE));
    }
    market.marks.sources.extend(&assets);
    settle(&mut market, &assets, sources, world);
    (market, assets)
}

fn settle(market: &mut Market, assets: &[Address], sources: &[Address], world: &World) {
    let selector = |name: &str| keccak256(name)[..4].to_vec();
    for _ in 0..10 {
        let reads = market.reads();
        if reads.is_empty() {
            return;
        }
        let answers = reads.iter().map(|read| {
            if read.to == ORACLE {
                let asset = Address::from_slice(&read.data[16..36]);
                let index = assets.iter().position(|known| *known == asset).unwrap();
                return Answer(Some(sources[index].abi_encode().into()));
            }
            let found =
                world.iter().find(|((at, name), _)| *at == read.to && selector(name) == read.data[..4]);
            Answer(found.map(|(_, word)| Bytes::from(word.to_be_bytes::<32>())))
        });
        let answers = answers.collect::<Vec<_>>();
        market.settle(BLOCK, &answers).unwrap();
    }
    panic!("no end to the questions");
}

fn says(market: &mut Market, feed: Address, event: &str) -> Vec<Address> {
    let data = LogData::new_unchecked(vec![keccak256(event), B256::ZERO, B256::ZERO], Bytes::new());
    market.on_log(&Log { address: feed, data }, NOW);
    let mut moved = market.moved();
    assert!(moved.len() <= 1, "{moved:?}");
    moved.pop().map_or(vec![], |(_, assets)| assets)
}

const ANSWER: &str = "AnswerUpdated(int256,uint256,uint256)";

/// The kinds behind the first asset, and the assets (by their place) that a word of `feed` moves.
fn check(
    sources: &[Address],
    world: &World,
    kinds: &[FeedKind],
    feed: Address,
    event: &str,
    moves: &[usize],
) {
    let (mut market, assets) = found(sources, world);
    let behind = market.feeds.behind(assets[0]);
    assert_eq!(behind.iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), kinds);
    assert!(market.sources().contains(&feed), "its logs are not listened to");
    let moved = says(&mut market, feed, event);
    assert_eq!(moved, moves.iter().map(|place| assets[*place]).collect::<Vec<_>>());
    assert!(moved.iter().all(|asset| market.marks.prices.contains(asset)), "it is not read again");
}

#[test]
fn a_plain_feed_moves_its_asset_and_all_that_share_it() {
    let (ether, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
    let mut world = World::new();
    proxy(&mut world, ether, ETHER, 4);
    proxy(&mut world, other, DOLLAR, 4);
    let kinds = [FeedKind::Proxy, FeedKind::Aggregator];
    check(&[ether, other, ether], &world, &kinds, ETHER, ANSWER, &[0, 2]);
    check(&[ether, other], &world, &kinds, DOLLAR, ANSWER, &[1]);
}

#[test]
fn a_capped_rate_hangs_on_its_base_feed() {
    let (staked, ether) = (Address::repeat_byte(3), Address::repeat_byte(1));
    let mut world = World::new();
    proxy(&mut world, ether, ETHER, 4);
    world.insert((staked, "BASE_TO_USD_AGGREGATOR()"), word(ether));
    world.insert((staked, "RATIO_PROVIDER()"), word(LONG_GONE));
    let kinds = [FeedKind::CappedRatio, FeedKind::Proxy, FeedKind::Aggregator];
    check(&[staked, ether], &world, &kinds, ETHER, ANSWER, &[0, 1]);
    let capped = "CapParametersUpdated(uint256,uint256,uint256,uint16)";
    check(&[staked, ether], &world, &kinds, staked, capped, &[0]);
}

#[test]
fn a_capped_dollar_and_a_pendle_token_hang_on_one_feed() {
    let (dollar, capped, pendle) =
        (Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3));
    let mut world = World::new();
    proxy(&mut world, dollar, DOLLAR, 4);
    world.insert((capped, "ASSET_TO_USD_AGGREGATOR()"), word(dollar));
    world.insert((capped, "getPriceCap()"), U256::from(104_000_000));
    // Over the capped one.
    world.insert((pendle, "ASSET_TO_USD_AGGREGATOR()"), word(capped));
    world.insert((pendle, "PENDLE_PRINCIPAL_TOKEN()"), word(LONG_GONE));
    let stable = [FeedKind::CappedStable, FeedKind::Proxy, FeedKind::Aggregator];
    check(&[capped, pendle], &world, &stable, DOLLAR, ANSWER, &[0, 1]);
    check(&[capped, pendle], &world, &stable, capped, "PriceCapUpdated(int256)", &[0, 1]);
    let discount = [FeedKind::PendleDiscount, FeedKind::CappedStable, FeedKind::Proxy, FeedKind::Aggregator];
    check(&[pendle, capped], &world, &discount, DOLLAR, ANSWER, &[0, 1]);
}

#[test]
fn two_feeds_in_a_row_both_move_their_asset() {
    let (first, second, both) = (Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3));
    let mut world = World::new();
    proxy(&mut world, first, ETHER, 4);
    proxy(&mut world, second, DOLLAR, 4);
    world.insert((both, "ASSET_TO_PEG()"), word(first));
    world.insert((both, "PEG_TO_BASE()"), word(second));
    let kinds = [
        FeedKind::Synchronicity,
        FeedKind::Proxy,
        FeedKind::Aggregator,
        FeedKind::Proxy,
        FeedKind::Aggregator,
    ];
    check(&[both, first], &world, &kinds, ETHER, ANSWER, &[0, 1]);
    check(&[both, first], &world, &kinds, DOLLAR, ANSWER, &[0]);
}

/// Its answer for the market changes with the second round's log, or with time: the log is a notice and no price.
#[test]
fn a_dual_aggregator_is_known_by_its_version() {
    let ether = Address::repeat_byte(1);
    let mut world = World::new();
    proxy(&mut world, ether, DUAL, 6);
    let kinds = [FeedKind::Proxy, FeedKind::DualAggregator];
    check(&[ether], &world, &kinds, DUAL, "SecondaryRoundIdUpdated(uint32)", &[0]);
    let (market, _) = found(&[ether], &world);
    assert_eq!(market.feeds.kinds().into_iter().collect::<Vec<_>>(), [("dual-aggregator", 1)]);
}

/// What nobody knows is listened to, never guessed; its price is read at every head as all are.
#[test]
fn a_source_of_no_known_kind_is_other() {
    let odd = Address::repeat_byte(9);
    let (mut market, assets) = found(&[odd, Address::ZERO], &World::new());
    assert_eq!(market.feeds.behind(assets[0]), [(odd, FeedKind::Other)]);
    assert_eq!(market.feeds.behind(assets[1]), [], "the oracle's fallback answers for it");
    assert_eq!(says(&mut market, odd, "Whatever()"), Vec::<Address>::new());
    market.on_head();
    assert!(assets.iter().all(|asset| market.marks.prices.contains(asset)));
}

#[test]
fn a_source_or_an_aggregator_that_is_replaced_is_found_again() {
    let (ether, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
    let mut world = World::new();
    proxy(&mut world, ether, LONG_GONE, 4);
    proxy(&mut world, other, DOLLAR, 4);
    let (mut market, assets) = found(&[ether], &world);
    assert_eq!(says(&mut market, LONG_GONE, ANSWER), assets);
    // The proxy tells nobody: it is asked again now and then.
    proxy(&mut world, ether, ETHER, 4);
    market.marks.prices.clear();
    market.at = Some(BlockRef { number: 64, ..BLOCK });
    market.on_head();
    let fresh = market.marks.feeds.clone();
    assert!(fresh.contains(&ether), "{fresh:?}");
    market.marks = Default::default();
    market.marks.feeds = fresh;
    settle(&mut market, &assets, &[ether], &world);
    assert_eq!(says(&mut market, ETHER, ANSWER), assets);
    assert_eq!(says(&mut market, LONG_GONE, ANSWER), Vec::<Address>::new());
    // The oracle says which source it takes instead.
    let topics =
        vec![keccak256("AssetSourceUpdated(address,address)"), assets[0].into_word(), other.into_word()];
    market.marks = Default::default();
    market.on_log(&Log { address: ORACLE, data: LogData::new_unchecked(topics, Bytes::new()) }, NOW);
    settle(&mut market, &assets, &[other], &world);
    assert_eq!(says(&mut market, DOLLAR, ANSWER), assets);
    assert_eq!(says(&mut market, ETHER, ANSWER), Vec::<Address>::new());
}
