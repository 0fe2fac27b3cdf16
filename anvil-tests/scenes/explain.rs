//! What `explain` and `positions` say about prices, against the contracts: at the price the pool's own verdict turns, one
//! unit before it does not, at the same block and second; where there is no such price a thousand others agree.

use std::collections::BTreeMap;

use alloy::{
    eips::BlockId,
    primitives::{Address, B256, Bytes, U256, keccak256},
    providers::{Provider, ext::AnvilApi},
    rpc::client::BatchRequest,
    sol_types::SolCall,
};
use backstop::{
    abi::aave::Pool,
    app::wire,
    bed::{
        Fork, Rng,
        assets::{ASSETS, DOLLAR},
    },
    config::{Config, Need, Sources},
    domain::{
        explain::{Crossing, Direction, Explain},
        prices::Moment,
        units::Price,
    },
};
use eyre::{Result, WrapErr, ensure, eyre};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{seed, stand::Stand};

const ACCOUNTS: usize = 30;
const SWEEP: u64 = 1_000;
/// Questions of one round trip.
const BATCH: usize = 100;

#[derive(Debug, Deserialize, PartialEq)]
struct Fall {
    asset: Address,
    symbol: String,
    price: Option<U256>,
    current: U256,
    now: String,
    direction: Option<String>,
    other_price: Option<U256>,
    #[serde(default)]
    undetermined: bool,
    /// Whose price it is, where that is not the asset's own.
    price_source: Option<Address>,
}

/// As much of `positions --json` and `explain --json` as they share.
#[derive(Debug, Deserialize)]
struct Line {
    v: u8,
    account: Address,
    block: u64,
    health_factor: U256,
    liquidation_prices: Vec<Fall>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_at_which_an_account_falls_is_exact_in_v30() -> Result<()> {
    check("v30").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_price_at_which_an_account_falls_is_exact_in_v36() -> Result<()> {
    check("v36").await
}

#[derive(Debug, Default)]
struct Tally {
    crossings: usize,
    recoveries: usize,
    second_crossings: usize,
    none: usize,
    swept: u64,
    both_sides: usize,
    by_category: usize,
}

async fn check(market: &'static str) -> Result<()> {
    let seed = seed(&format!("explain in {market}"), 20_260_401);
    let mut rng = Rng::new(seed);
    let stand = Stand::new(market).await?;
    let fork = &stand.fork;
    let special = special(fork, market).await?;
    for _ in 0..25 {
        fork.random_action(&mut rng, market).await?;
    }
    for asset in &ASSETS {
        let price = asset.price / 1_000 * rng.between(880, 1_060) + rng.below(1_000);
        fork.set_price(asset.symbol, price).await?;
    }
    fork.increase_time(rng.between(3_600, 7 * 86_400)).await?;

    let said = stand.operator.run(&["positions", "--json", "-q"])?.expect_ok()?;
    let mut lines = said.lines().map(serde_json::from_str).collect::<Result<Vec<Line>, _>>()?;
    let mut chosen = Vec::new();
    for account in &special {
        let place = lines.iter().position(|line| line.account == *account);
        chosen.push(lines.swap_remove(place.ok_or_else(|| eyre!("{account} is not listed"))?));
    }
    while chosen.len() < ACCOUNTS {
        chosen.push(lines.swap_remove(rng.below(lines.len() as u64) as usize));
    }
    let mut tally = Tally::default();
    for line in &chosen {
        let explained = stand.operator.run(&["explain", &line.account.to_string(), "--json", "-q"])?;
        let explained = explained.expect_ok()?;
        let explained: Line = serde_json::from_str(&explained)?;
        ensure!((explained.v, explained.block) == (1, line.block), "{explained:?}");
        ensure!(explained.liquidation_prices == line.liquidation_prices, "{explained:?}, but {line:?}");
        verdicts_turn(&stand, line, &mut tally)
            .await
            .wrap_err_with(|| format!("SEED={seed} {market} {line:#?}"))?;
    }
    eprintln!("{market}: {} accounts, {tally:?}", chosen.len());
    ensure!(tally.crossings > 20 && tally.none > 0 && tally.both_sides >= 3, "{tally:?}");
    ensure!((tally.by_category > 0) == (market == "v30"), "{tally:?}");
    Ok(())
}

/// Accounts that hold and owe the same asset, and one whose debt has its category's price where categories have one.
async fn special(fork: &Fork, market: &str) -> Result<Vec<Address>> {
    // Symbol and thousandths of a token: supplied, borrowed.
    type Hold = (&'static str, u64);
    let accounts: [(&[Hold], &[Hold]); 5] = [
        (&[("WETH", 10_000)], &[("WETH", 7_900)]),
        (&[("WETH", 10_000), ("USDC", 1_000_000)], &[("WETH", 3_000), ("DAI", 8_000_000)]),
        (&[("USDC", 12_000_000), ("WETH", 500)], &[("WETH", 4_000), ("USDC", 1_000_000)]),
        (&[("USDC", 5_003)], &[("DAI", 1_501), ("USDC", 1_999)]),
        (&[("WETH", 6_000)], &[("USDC", 5_000_000)]),
    ];
    let mut found = Vec::new();
    for (number, (supplied, borrowed)) in accounts.into_iter().enumerate() {
        let account = Address::from_word(keccak256(format!("looper {number} of {market}")));
        for (symbol, thousandths) in supplied {
            fork.supply(market, account, symbol, fork.amount(symbol, *thousandths)?).await?;
        }
        for (symbol, thousandths) in borrowed {
            fork.borrow(market, account, symbol, fork.amount(symbol, *thousandths)?).await?;
        }
        found.push(account);
    }
    if let Some(last) = found.last() {
        fork.set_emode(market, *last, true).await?;
    }
    Ok(found)
}

async fn verdicts_turn(stand: &Stand, line: &Line, tally: &mut Tally) -> Result<()> {
    for fall in &line.liquidation_prices {
        let liquidatable = fall.now == "liquidatable";
        let at = (line.account, line.block);
        let moved = stand.symbol(fall.price_source.unwrap_or(fall.asset))?;
        let ask = async |prices: &[U256]| factors(stand, at, &[], moved, prices).await;
        ensure!(!fall.undetermined, "undetermined");
        ensure!(ask(&[fall.current]).await? == [line.health_factor], "the override changes nothing");
        ensure!((line.health_factor < one()) == liquidatable);
        for price in [fall.price, fall.other_price].into_iter().flatten() {
            let safe = if price < fall.current { price + U256::from(1) } else { price - U256::from(1) };
            let found = ask(&[price, safe]).await?;
            ensure!((found[0] < one()) != liquidatable, "{fall:?}: at the price {found:?}");
            ensure!((found[1] < one()) == liquidatable, "{fall:?}: one unit before {found:?}");
            // Nor at any of some prices on the way.
            let gap = price.abs_diff(fall.current);
            let between = (1..40_u64).map(|part| {
                let step = gap * U256::from(part) / U256::from(40);
                if price < fall.current { fall.current - step } else { fall.current + step }
            });
            let between = between.filter(|other| *other != price).collect::<Vec<_>>();
            let found = ask(&between).await?;
            ensure!(
                found.iter().all(|factor| (*factor < one()) == liquidatable),
                "{fall:?}: it falls earlier"
            );
        }
        if fall.price.is_some() {
            tally.crossings += 1;
            tally.by_category += usize::from(fall.price_source.is_some());
            tally.recoveries += usize::from(liquidatable);
            tally.second_crossings += usize::from(fall.other_price.is_some());
        } else {
            let prices = sweep(fall.current);
            let found = ask(&prices).await?;
            let turned = prices.iter().zip(&found).find(|(_, factor)| (**factor < one()) != liquidatable);
            ensure!(turned.is_none(), "{fall:?}: but {turned:?}");
            tally.none += 1;
            tally.swept += prices.len() as u64;
        }
        let same = stand.fork.user_reserve(stand.market, line.account, &fall.symbol).await?;
        let both = !same.variableDebt.is_zero() && !same.aTokenBalance.is_zero();
        tally.both_sides += usize::from(both && same.usedAsCollateral);
    }
    Ok(())
}

pub(super) fn one() -> U256 {
    U256::from(10).pow(U256::from(18))
}

/// Half of them around the current price, half over everything a feed could say.
fn sweep(current: U256) -> Vec<U256> {
    let near = (1..=SWEEP / 2).map(|part| current * U256::from(4 * part) / U256::from(SWEEP));
    let far = (0..SWEEP / 2).map(|part| {
        // 2^(96 part / 500), by eighths of a doubling.
        let eighths = part * 96 * 8 / (SWEEP / 2);
        (U256::from(8 + eighths % 8) << (eighths / 8)) >> 3
    });
    near.chain(far).map(|price| price.max(U256::from(1))).collect()
}

/// The pool's own health factor of the account at the block, as if the feed said each of these prices: the feeds' code is
/// replaced by one that answers them, for the call only. `fixed`: what other feeds say meanwhile.
async fn factors(
    stand: &Stand,
    (user, block): (Address, u64),
    fixed: &[(&str, U256)],
    symbol: &str,
    prices: &[U256],
) -> Result<Vec<U256>> {
    let to = stand.fork.manifest.market(stand.market)?.pool;
    let data = Bytes::from(Pool::getUserAccountDataCall { user }.abi_encode());
    let mut found = Vec::with_capacity(prices.len());
    for portion in prices.chunks(BATCH) {
        let mut batch = BatchRequest::new(stand.fork.provider.client());
        let mut waiting = Vec::new();
        for price in portion {
            let mut state = BTreeMap::new();
            for (symbol, price) in fixed.iter().chain([&(symbol, *price)]) {
                let word = B256::from(*price);
                // PUSH32 price, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN
                let code = [&[0x7f][..], word.as_slice(), &[0x60, 0, 0x52, 0x60, 32, 0x60, 0, 0xf3]].concat();
                state.insert(stand.fork.manifest.token(symbol)?.feed, json!({ "code": Bytes::from(code) }));
            }
            let call = json!([{ "to": to, "data": data }, format!("{block:#x}"), state]);
            waiting.push(batch.add_call::<Value, Bytes>("eth_call", &call)?);
        }
        batch.send().await?;
        for answer in waiting {
            found.push(Pool::getUserAccountDataCall::abi_decode_returns(&answer.await?)?.healthFactor);
        }
    }
    Ok(found)
}

/// Everybody is set to one unit above the line by each price in turn; there, up to 3.4, another price may turn the
/// verdict in both directions.
#[tokio::test(flavor = "multi_thread")]
async fn on_the_edge_a_price_may_hurt_both_ways_and_both_are_told() -> Result<()> {
    for market in super::MARKETS {
        let stand = Stand::new(market).await?;
        stand.fork.increase_time(86_399).await?;
        let config = Config::load(&Sources { file: Some(stand.operator.config()), ..Sources::default() })
            .map_err(|mistakes| eyre!("{mistakes}"))?;
        let wire = wire::market(&config, Need::Read, None).await?;
        let known = &wire.keeper.market;
        let block = wire.head.block;
        let (mut told, mut second) = (0, 0);
        for account in known.accounts.keys() {
            let when = Moment { timestamp: block.timestamp, prices: &known.prices };
            for line in known.liquidation_prices(*account, &when)? {
                let Crossing::At(edge) = line.first else { continue };
                let edge = match line.direction {
                    Direction::Down => edge.0 + U256::from(1),
                    Direction::Up => edge.0 - U256::from(1),
                };
                let mut prices = known.prices.clone();
                prices.set(line.source, Some(Price(edge)));
                let fixed = [(stand.symbol(line.source)?, edge)];
                let when = Moment { timestamp: block.timestamp, prices: &prices };
                for other in known.liquidation_prices(*account, &when)? {
                    let symbol = stand.symbol(other.source)?;
                    let turns = [(other.direction, other.first), (other.direction.opposite(), other.other)];
                    for (direction, crossing) in turns {
                        let Crossing::At(Price(price)) = crossing else { continue };
                        let safe = match direction {
                            Direction::Down => price + U256::from(1),
                            Direction::Up => price - U256::from(1),
                        };
                        let said =
                            factors(&stand, (*account, block.number), &fixed, symbol, &[price, safe]).await?;
                        let falls = said.iter().map(|said| *said < one()).collect::<Vec<_>>();
                        ensure!(
                            falls == [!other.is_liquidatable, other.is_liquidatable],
                            "{market} {account} {fixed:?} {other:?}: {said:?}"
                        );
                        told += 1;
                        second += usize::from(direction != other.direction);
                    }
                }
            }
        }
        eprintln!("{market}: {told} prices on the edge, {second} of them where the price should not hurt");
        ensure!(told > 100 && (market == "v36" || second > 0), "{told} {second}");
    }
    Ok(())
}

/// The same with real rounds of the feeds: the price is told for the second at which the next block will be.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_falls_when_the_feed_says_the_price() -> Result<()> {
    for market in super::MARKETS {
        let stand = Stand::new(market).await?;
        let config = Config::load(&Sources { file: Some(stand.operator.config()), ..Sources::default() })
            .map_err(|mistakes| eyre!("{mistakes}"))?;
        let wire = wire::market(&config, Need::Read, None).await?;
        let known = &wire.keeper.market;
        let timestamp = wire.head.block.timestamp + 1;
        let when = Moment { timestamp, prices: &known.prices };
        let mut fallen = 0;
        for account in known.accounts.keys().take(12) {
            for line in known.liquidation_prices(*account, &when)? {
                let Crossing::At(price) = line.first else { continue };
                let Ok(price) = u64::try_from(price.0) else { continue };
                if price > 1_000_000 * DOLLAR || line.source != line.asset {
                    continue;
                }
                let safe = if line.direction == Direction::Down { price + 1 } else { price - 1 };
                let symbol = stand.symbol(line.asset)?;
                for (price, falls) in [(price, true), (safe, false)] {
                    let snapshot = stand.fork.snapshot().await?;
                    stand.fork.provider.anvil_set_next_block_timestamp(timestamp).await?;
                    stand.fork.set_price(symbol, price).await?;
                    let head = stand.head().await?;
                    ensure!(head.timestamp == timestamp, "the chain's clock did not obey");
                    let at = BlockId::number(head.number);
                    let said = stand.fork.account_data(market, *account, at).await?.healthFactor;
                    ensure!(
                        (said < one()) == (falls != line.is_liquidatable),
                        "{market} {account} {symbol} at {price}: {said}, {line:?}"
                    );
                    stand.fork.revert(snapshot).await?;
                }
                fallen += 1;
            }
        }
        eprintln!("{market}: {fallen} falls by real rounds of the feeds");
        ensure!(fallen >= 8, "{fallen}");
    }
    Ok(())
}
