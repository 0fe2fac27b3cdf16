//! From a configuration to a keeper that knows its market: the node is checked, the market is found from its
//! addresses provider, its borrowers are indexed and their positions read.

use super::addresses::{self, Standing};
use super::hands::{Hands, drive};
use super::index;
use crate::config::{Config, Need};
use crate::domain::chain::Head;
use crate::domain::keeper::{Input, Keeper};
use crate::domain::protocol::Protocol;
use crate::domain::protocols::aave_v3::{Market, borrower};
use crate::exit::{self, Exit, ExitExt};
use crate::io::datadir::DataDir;
use crate::io::heads::{Heads, Step};
use crate::io::reader::Reader;
use crate::io::rpc::{Doing, Rpc};
use alloy::primitives::{Address, U64};
use eyre::{Result, eyre};

/// A head this close behind the newest is near enough to read everything at.
const NEAR: u64 = 16;
/// Blocks after which the daemon writes down how far it has followed.
const CHECKPOINT: u64 = 32;

/// A market, known and up to date at one head.
pub struct Wire {
    pub rpc: Rpc,
    pub reader: Reader,
    pub heads: Heads,
    pub keeper: Keeper<Market>,
    pub datadir: DataDir,
    pub head: Head,
    pub standing: Standing,
    /// The block up to which the index is written, and who was seen to borrow since.
    indexed: (u64, Vec<(Address, u64)>),
}

/// Connects to the node and makes sure it is the one the configuration means.
///
/// # Errors
/// The node cannot be reached or serves another chain.
pub async fn connect(config: &Config) -> Result<Rpc> {
    let rpc = Rpc::new(config.rpc.http.expose(), config.rpc.timeout).exit(Exit::Configuration)?;
    let chain: U64 = rpc.ask("eth_chainId", ()).await.doing("asking for the chain id").exit(Exit::Network)?;
    let (found, wanted) = (chain.to::<u64>(), config.market.chain_id);
    if found != wanted {
        return Err(eyre!(
            "the node at {} serves chain {found}, but the market {} is on chain {wanted}: set rpc.http to a node of \
             that chain, or correct markets.{}.chain_id",
            rpc.node(),
            config.market.name,
            config.market.name
        ))
        .exit(Exit::Configuration);
    }
    Ok(rpc)
}

/// Everything up to a market whose every borrower is read at one head. `block`: at that older block instead
/// of the newest.
///
/// # Errors
/// Tagged with the exit code they mean.
pub async fn market(config: &Config, need: Need, block: Option<u64>) -> Result<Wire> {
    let (mut wire, borrowers) = approach(config, need, block).await?;
    for borrower in borrowers {
        wire.keeper.market.mark(borrower);
    }
    wire.read_marked().await.exit(Exit::Network)?;
    Ok(wire)
}

/// Everything up to a market of which one account is read at the newest head, whether it ever borrowed or not: the
/// second value says which.
///
/// # Errors
/// As `market`.
pub async fn account(config: &Config, need: Need, account: Address) -> Result<(Wire, bool)> {
    let (mut wire, borrowers) = approach(config, need, None).await?;
    wire.keeper.market.mark(account);
    wire.read_marked().await.exit(Exit::Network)?;
    Ok((wire, borrowers.contains(&account)))
}

/// Everything up to a market whose borrowers are known and not read yet.
async fn approach(config: &Config, need: Need, block: Option<u64>) -> Result<(Wire, Vec<Address>)> {
    let rpc = connect(config).await?;
    let reader = Reader::new(rpc.clone(), config.rpc.batch).await.exit(Exit::Network)?;
    let ws = config.rpc.ws.as_ref().map(|url| url.expose().to_owned());
    let mut heads = Heads::new(rpc.clone(), ws, config.rpc.poll);
    let head = match block {
        None => newest(&mut heads).await.exit(Exit::Network)?,
        Some(number) => rpc.block(&format!("{number:#x}")).await.exit(Exit::Network)?,
    };
    let standing = addresses::check(config, need, &rpc, head).await?;
    let datadir = DataDir::open(&config.datadir, config.market.chain_id).exit(Exit::Configuration)?;
    let mut keeper = Keeper::new(Market::new(config.market.addresses_provider));
    if let Err(error) = look_around(&mut keeper, &reader, head).await {
        if Exit::of(&error) == Exit::Network {
            return Err(error.wrap_err(format!("looking for the market {}", config.market.name)));
        }
        // What the contracts there answered made no sense: that is a matter of the address.
        return Err(eyre!(
            "markets.{}.addresses_provider {} does not lead to an Aave V3 market: {}",
            config.market.name,
            config.market.addresses_provider,
            exit::line(&error)
        ))
        .exit(Exit::Configuration);
    }
    let pool = keeper.market.addresses.pool;
    let mut head = head;
    let mut borrowers = vec![];
    if need != Need::Deploy {
        borrowers = index::borrowers(config, &rpc, &datadir, pool, head).await?;
        // The scan may have taken long, and nodes keep the state of few blocks: go on from the newest.
        while block.is_none() {
            let step = heads.look().await.exit(Exit::Network)?;
            let Some(newest) = step.added.last().copied() else { break };
            let far = newest.block.number.saturating_sub(head.block.number) > NEAR;
            head = newest;
            borrowers = index::borrowers(config, &rpc, &datadir, pool, head).await?;
            if !far {
                break;
            }
        }
        keeper.market.on_head();
    }
    tracing::info!(
        market = config.market.name,
        release = keeper.market.rules.map_or("unknown", |rules| rules.release),
        revision = keeper.market.revision,
        reserves = keeper.market.reserves.len(),
        borrowers = borrowers.len(),
        reads = if reader.uses_multicall() { "multicall" } else { "batches" },
        "market found"
    );
    let indexed = (head.block.number, vec![]);
    Ok((Wire { rpc, reader, heads, keeper, datadir, head, standing, indexed }, borrowers))
}

impl Wire {
    /// Reads every marked account at the head, with a progress bar where there are many.
    async fn read_marked(&mut self) -> Result<()> {
        loop {
            let reads = self.keeper.market.reads();
            if reads.is_empty() {
                return Ok(());
            }
            let bar = index::bar(reads.len() as u64, "reads");
            let progress = |done: usize| bar.set_position(done as u64);
            let answers = self.reader.answers_with(self.head.block.hash, &reads, &progress).await?;
            bar.finish_and_clear();
            self.keeper.market.settle(self.head.block, &answers)?;
        }
    }

    /// The next step of the chain with its logs, as the keeper takes it. `None` when nothing changed.
    ///
    /// # Errors
    /// When the node fails; the same step is looked for again then.
    pub async fn advance(&mut self, config: &Config) -> Result<Option<Input>> {
        let step = self.heads.look().await?;
        if step.added.is_empty() {
            return Ok(None);
        }
        match self.with_logs(config, &step).await {
            Ok(input) => Ok(Some(input)),
            Err(error) => {
                self.heads.forget(&step);
                Err(error)
            }
        }
    }

    async fn with_logs(&mut self, config: &Config, step: &Step) -> Result<Input> {
        let sources = self.keeper.market.sources();
        let mut added = Vec::with_capacity(step.added.len());
        for head in &step.added {
            let logs = if step.jumped { vec![] } else { self.rpc.logs_at(head.block.hash, &sources).await? };
            let fresh = logs.iter().filter_map(borrower);
            self.indexed.1.extend(fresh.map(|account| (account, head.block.number)));
            added.push((*head, logs));
        }
        let head = step.added.last().copied().ok_or_else(|| eyre!("a step without a head"))?;
        if step.jumped {
            // The logs that would have named new borrowers were skipped with the rest.
            let pool = self.keeper.market.addresses.pool;
            for borrower in index::borrowers(config, &self.rpc, &self.datadir, pool, head).await? {
                self.keeper.market.mark(borrower);
            }
            self.indexed = (head.block.number, vec![]);
        }
        self.head = head;
        Ok(Input::Head {
            dropped: step.dropped.clone(),
            added,
            jumped: step.jumped,
            next_timestamp: head.block.timestamp.saturating_add(self.heads.spacing()),
        })
    }
}

impl Wire {
    /// Writes down now and then how far the chain was followed, so that the next start scans only what comes after.
    ///
    /// # Errors
    /// When the disk refuses. What was found is kept for the next time.
    pub fn checkpoint(&mut self, config: &Config) -> Result<()> {
        let head = self.head.block;
        if head.number.saturating_sub(self.indexed.0) < CHECKPOINT {
            return Ok(());
        }
        let pool = self.keeper.market.addresses.pool;
        index::follow(config, &self.datadir, pool, self.indexed.0, head, &self.indexed.1)?;
        self.indexed = (head.number, vec![]);
        Ok(())
    }
}

/// Finds the market's contracts and reads its reserves at `head`.
///
/// # Errors
/// When the node fails, or the answers are not those of a market.
pub async fn look_around(keeper: &mut Keeper<Market>, reader: &Reader, head: Head) -> Result<()> {
    let next_timestamp = head.block.timestamp.saturating_add(1);
    let first = Input::Head { dropped: vec![], added: vec![(head, vec![])], jumped: false, next_timestamp };
    drive(keeper, first, &mut Hands::reading(reader)).await
}

async fn newest(heads: &mut Heads) -> Result<Head> {
    heads.look().await?;
    heads.last().ok_or_else(|| eyre!("the node has no block"))
}
