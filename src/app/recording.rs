//! `replay-fixture`: a recording of the real contracts, told log by log to the same market that the daemon keeps, and
//! everything that the contracts answered held against what we make it. For those who work on backstop.

use crate::abi::aave::PoolAddressesProvider;
use crate::cli::ReplayFixture;
use crate::domain::chain::Log;
use crate::domain::explain::Explain as _;
use crate::domain::prices::Moment;
use crate::domain::protocol::{Attempt, Execution, Protocol as _, Revert};
use crate::domain::protocols::aave_v3::rules::Rules;
use crate::domain::protocols::aave_v3::state::Reserve;
use crate::domain::protocols::aave_v3::{Deed, Market, revert};
use crate::domain::units::Price;
use crate::exit::{Exit, ExitExt};
use crate::io::out;
use alloy::primitives::{Address, B256, Bytes, LogData, U256};
use alloy::sol_types::SolEvent;
use eyre::{Result, WrapErr, bail, eyre};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What logs tell of the configuration word, by the first bit: threshold; bonus; decimals, with the flags active, paused and
/// flash loans; the protocol's fee.
const TOLD: [(usize, u64); 4] = [(16, 0xffff), (32, 0xffff), (48, 0x91ff), (152, 0xffff)];

/// What a replay came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Recorded numbers that were compared.
    pub checks: usize,
    /// What differs, a sentence each.
    pub mismatches: Vec<String>,
    /// Attempts to liquidate, those that were refused included.
    pub liquidations: usize,
    /// Those whose amounts, write-offs and logs, or whose refusal, we foretold.
    pub predicted: usize,
    /// What was foretold wrongly, a sentence each.
    pub missed: Vec<String>,
}

/// # Errors
/// Exit code 2 for a release or file that cannot be used, 6 when anything differs.
pub fn replay_fixture(arguments: &ReplayFixture, json: bool) -> Result<()> {
    let text = std::fs::read_to_string(&arguments.file)
        .wrap_err_with(|| format!("reading {}", arguments.file.display()))
        .exit(Exit::Usage)?;
    let tally = replay(&text, &arguments.release).exit(Exit::Usage)?;
    if json {
        out::line(&serde_json::to_string(&serde_json::json!({ "v": 1, "tally": tally }))?)?;
    } else {
        for line in tally.mismatches.iter().chain(&tally.missed) {
            out::line(line)?;
        }
        out::line(&format!(
            "checks {} mismatches {} liquidations {} predicted {}",
            tally.checks,
            tally.mismatches.len(),
            tally.liquidations,
            tally.predicted
        ))?;
    }
    // A payout that fails for want of liquidity cannot be foretold from logs.
    let is_right = tally.mismatches.is_empty() && tally.predicted.saturating_add(1) >= tally.liquidations;
    if is_right { Ok(()) } else { Err(eyre!("the recording and the rules differ")).exit(Exit::Check) }
}

/// Replays a recording under the rules of a release such as "3.3".
///
/// # Errors
/// When the release is unknown or the text is no recording.
pub fn replay(text: &str, release: &str) -> Result<Tally> {
    let revision = Rules::revision_of(release)
        .ok_or_else(|| eyre!("no rules for release {release}: there are {}", Rules::releases().join(", ")))?;
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| Line::parse(number.saturating_add(1), line))
        .collect::<Result<Vec<_>>>()?;
    let meta = lines.iter().find(|line| line.kind == "meta").ok_or_else(|| eyre!("there is no meta line"))?;
    let pool = meta.address("pool")?;
    let makes_pool = |line: &&Line| {
        let made = line.log().ok().and_then(|(log, _)| event::<PoolAddressesProvider::ProxyCreated>(&log));
        made.is_some_and(|made| made.proxyAddress == pool)
    };
    let provider = lines.iter().filter(|line| line.kind == "log").find(makes_pool);
    let provider = provider.ok_or_else(|| eyre!("no log makes the pool {pool}"))?.address("addr")?;
    let mut replay = Replay {
        market: Market::from_genesis(provider, pool, revision),
        liquidator: meta.address("liq").unwrap_or_default(),
        named: ["U", "W", "B"]
            .into_iter()
            .filter_map(|name| Some((meta.address(name).ok()?, name)))
            .collect(),
        now: 0,
        deficits: BTreeMap::new(),
        tally: Tally::default(),
    };
    for (at, line) in lines.iter().enumerate() {
        let rest = lines.get(at.saturating_add(1)..).unwrap_or_default();
        replay.step(line, rest).wrap_err_with(|| format!("line {}", line.number))?;
    }
    Ok(replay.tally)
}

/// One line of a recording.
struct Line {
    number: usize,
    kind: String,
    value: Value,
}

impl Line {
    fn parse(number: usize, text: &str) -> Result<Self> {
        let value: Value =
            serde_json::from_str(text).wrap_err_with(|| format!("line {number} is not JSON"))?;
        let kind = value.get("k").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| eyre!("line {number} has no kind"))?.to_owned();
        Ok(Self { number, kind, value })
    }

    fn text(&self, key: &str) -> Result<&str> {
        let text = self.value.get(key).and_then(Value::as_str);
        text.ok_or_else(|| eyre!("line {} has no {key}", self.number))
    }

    fn number(&self, key: &str) -> Result<U256> {
        let text = self.text(key)?;
        U256::from_str_radix(text, 10)
            .wrap_err_with(|| format!("line {}: {key} is not a number", self.number))
    }

    fn address(&self, key: &str) -> Result<Address> {
        let text = self.text(key)?.to_lowercase();
        text.parse().wrap_err_with(|| format!("line {}: {key} is not an address", self.number))
    }

    fn time(&self) -> Result<u64> {
        self.text("ts")?.parse().wrap_err_with(|| format!("line {}: ts is not a time", self.number))
    }

    /// The log and the second of its block.
    fn log(&self) -> Result<(Log, u64)> {
        let mut topics = Vec::new();
        for key in ["t0", "t1", "t2", "t3"] {
            if let Some(topic) = self.value.get(key).and_then(Value::as_str) {
                topics.push(topic.parse::<B256>().wrap_err_with(|| format!("line {}: {key}", self.number))?);
            }
        }
        let data =
            self.text("data")?.parse::<Bytes>().wrap_err_with(|| format!("line {}: data", self.number))?;
        Ok((Log { address: self.address("addr")?, data: LogData::new_unchecked(topics, data) }, self.time()?))
    }
}

fn event<E: SolEvent>(log: &Log) -> Option<E> {
    E::decode_log_data(&log.data).ok()
}

struct Replay {
    market: Market,
    liquidator: Address,
    /// The recording's own short names of assets.
    named: Vec<(Address, &'static str)>,
    /// The second of the last account that was recorded.
    now: u64,
    /// Debt that we foretold to be written off, by asset.
    deficits: BTreeMap<Address, U256>,
    tally: Tally,
}

impl Replay {
    fn step(&mut self, line: &Line, rest: &[Line]) -> Result<()> {
        match line.kind.as_str() {
            "price" => self.market.prices.set(line.address("asset")?, Some(Price(line.number("p")?))),
            "log" => {
                let (log, at) = line.log()?;
                self.market.on_log(&log, at);
            }
            "res" => self.on_reserve(line)?,
            "bal" => self.on_balances(line)?,
            "user" => self.on_account(line)?,
            "pre" => self.on_attempt(line, rest)?,
            "deficit" => {
                for (asset, name) in self.named.clone() {
                    let foretold = self.deficits.get(&asset).copied().unwrap_or_default();
                    self.check(line, &format!("deficit of {name}"), foretold, line.number(name)?);
                }
            }
            "meta" | "liq" => {}
            kind => bail!("a line of the kind {kind} is not known"),
        }
        Ok(())
    }

    fn check(&mut self, line: &Line, what: &str, ours: U256, theirs: U256) {
        self.tally.checks = self.tally.checks.saturating_add(1);
        if ours != theirs {
            let told = format!("line {}: {what} is {theirs}, we make it {ours}", line.number);
            self.tally.mismatches.push(told);
        }
    }

    fn reserve(&self, asset: Address) -> Result<&Reserve> {
        self.market.reserves.get(&asset).ok_or_else(|| eyre!("no log has listed {asset}"))
    }

    fn on_reserve(&mut self, line: &Line) -> Result<()> {
        let (asset, now) = (line.address("asset")?, line.time()?);
        let rules = self.market.rules.ok_or_else(|| eyre!("no rules"))?;
        let reserve = self.reserve(asset)?.clone();
        self.check(line, "income", reserve.income(now)?, line.number("ni")?);
        self.check(line, "debt index", reserve.debt_index(now, rules.compound)?, line.number("nd")?);
        let stored = [
            ("li", reserve.liquidity_index),
            ("vi", reserve.borrow_index),
            ("lr", reserve.liquidity_rate),
            ("vr", reserve.borrow_rate),
            ("lu", U256::from(reserve.last_update)),
            ("id", U256::from(reserve.id)),
        ];
        for (key, ours) in stored.into_iter().filter(|(key, _)| line.value.get(*key).is_some()) {
            self.check(line, key, ours, line.number(key)?);
        }
        if line.value.get("cfg").is_some() {
            let (ours, theirs) = (reserve.configuration.0, line.number("cfg")?);
            for (from, bits) in TOLD {
                let field = |word: U256| word.wrapping_shr(from) & U256::from(bits);
                self.check(line, &format!("configuration from bit {from}"), field(ours), field(theirs));
            }
        }
        Ok(())
    }

    fn on_balances(&mut self, line: &Line) -> Result<()> {
        let (user, asset) = (line.address("user")?, line.address("asset")?);
        let rules = self.market.rules.ok_or_else(|| eyre!("no rules"))?;
        let reserve = self.reserve(asset)?.clone();
        let account = self.market.accounts.get(&user);
        let held = account.and_then(|held| held.balances.get(&reserve.id)).copied().unwrap_or_default();
        self.check(line, "scaled supply", held.supply, line.number("sa")?);
        self.check(line, "scaled debt", held.debt, line.number("sd")?);
        if line.value.get("a").is_some() {
            use crate::domain::protocols::aave_v3::math::ray_mul;
            let supply = ray_mul(held.supply, reserve.income(self.now)?, rules.supply)?;
            let debt = ray_mul(held.debt, reserve.debt_index(self.now, rules.compound)?, rules.debt)?;
            self.check(line, "supply", supply, line.number("a")?);
            self.check(line, "debt", debt, line.number("d")?);
        }
        Ok(())
    }

    fn on_account(&mut self, line: &Line) -> Result<()> {
        let user = line.address("user")?;
        self.now = line.time()?;
        // Whom no log has named has nothing.
        let account = self.market.accounts.entry(user).or_default().clone();
        if line.value.get("cfg").is_some() {
            self.check(line, "bitmap", account.bitmap, line.number("cfg")?);
            self.check(line, "category", U256::from(account.emode), line.number("emode")?);
        }
        let when = Moment { timestamp: self.now, prices: &self.market.prices };
        match self.market.health(user, &when) {
            Ok(health) => {
                self.check(line, "collateral", health.collateral.0, line.number("coll")?);
                self.check(line, "debt", health.debt.0, line.number("debt")?);
                self.check(line, "health factor", health.factor.0, line.number("hf")?);
            }
            Err(unknown) => {
                let told = format!("line {}: {user} cannot be judged: {unknown}", line.number);
                self.tally.mismatches.push(told);
            }
        }
        Ok(())
    }

    fn on_attempt(&mut self, line: &Line, rest: &[Line]) -> Result<()> {
        self.tally.liquidations = self.tally.liquidations.saturating_add(1);
        let label = line.text("label")?;
        let attempt = Attempt {
            account: line.address("user")?,
            debt_asset: line.address("d")?,
            collateral_asset: line.address("c")?,
            cover: line.number("amt")?,
            takes_shares: line.text("rec").is_ok_and(|taken| taken == "1"),
            liquidator: self.liquidator,
        };
        let when = Moment { timestamp: line.time()?, prices: &self.market.prices };
        self.market.accounts.entry(attempt.account).or_default();
        let ours = self.market.execution(&attempt, &when);
        let told =
            rest.iter().take_while(|next| next.kind == "log" || next.kind == "liq").collect::<Vec<_>>();
        let ended = told.iter().find(|next| next.kind == "liq").ok_or_else(|| eyre!("no outcome follows"))?;
        let logs = told.iter().filter(|next| next.kind == "log");
        let logs = logs.map(|next| Ok(next.log()?.0)).collect::<Result<Vec<_>>>()?;
        let why = match (ours, ended.text("ok")? == "1") {
            (Err(unknown), _) => Some(format!("it cannot be foretold: {unknown}")),
            (Ok(Ok(execution)), true) => {
                for (asset, amount) in execution.written_off() {
                    let sum = self.deficits.entry(asset).or_default();
                    *sum = sum.saturating_add(amount.0);
                }
                let theirs =
                    self.market.deed(&attempt, &logs).ok_or_else(|| eyre!("no liquidation was logged"))?;
                let ours = Deed::of(&execution);
                (ours != theirs).then(|| format!("it did {theirs:?}, we make it {ours:?}"))
            }
            (Ok(Err(revert)), true) => Some(format!("it was carried out, and we make it refused: {revert}")),
            (Ok(Ok(Execution { paid, received, .. })), false) => {
                let said = ended.text("err")?;
                Some(format!("it was refused with {said}, we make it pay {paid} for {received}"))
            }
            (Ok(Err(ours)), false) => {
                let theirs = refusal(ended.text("err")?);
                (theirs != Some(ours)).then(|| format!("it was refused with {theirs:?}, we make it {ours:?}"))
            }
        };
        match why {
            None => self.tally.predicted = self.tally.predicted.saturating_add(1),
            Some(why) => self.tally.missed.push(format!("line {}: {label}: {why}", line.number)),
        }
        Ok(())
    }
}

/// The refusal in an error text or in bare revert data.
fn refusal(said: &str) -> Option<Revert> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_hexdigit).count();
    let data = said.match_indices("0x").map(|(at, _)| said.get(at.saturating_add(2)..).unwrap_or_default());
    let data = data.filter(|rest| digits(rest) >= 8).find_map(|rest| rest.get(..digits(rest)))?;
    revert(&data.parse::<Bytes>().ok()?)
}
