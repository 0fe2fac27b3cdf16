//! `run`: the daemon. Follows the chain, decides at every head, and in live mode sends.

use super::bench::{Bench, bench};
use super::books::{Books, Standing};
use super::desk::{self, Desk};
use super::hands::{Hands, drive};
use super::observe::{self, Voice};
use super::pause::Switch;
use super::wire::{self, Wire};
use crate::abi::executor::Executor;
use crate::cli::Run;
use crate::config::{Config, Mode, Need};
use crate::domain::chain::{Head, Read};
use crate::domain::cost::next_base_fee;
use crate::domain::executor::Role;
use crate::domain::keeper::Input;
use crate::domain::lane::Flight;
use crate::domain::units::{Gas, Net};
use crate::exit::{Exit, ExitExt};
use crate::io::clock;
use crate::io::datadir::{DataDir, Lock};
use crate::io::signer::Policy;
use alloy::primitives::Address;
use alloy::sol_types::SolCall;
use eyre::{Result, eyre};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Pauses after a block that could not be dealt with: doubling, so that a node that is down is not hammered.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Seconds after which a head that is still the newest is told to be old.
const STALE: u64 = 120;

/// What a small liquidation takes: a key that cannot pay for one is not ready.
const LEAST_GAS: Gas = Gas(500_000);

/// A daemon's hold on its directory, its books and, in live mode, its desk. What it still writes is written before
/// the lock goes.
struct Post {
    books: Books,
    switch: Switch,
    desk: Option<Desk>,
    _lock: Lock,
}

/// # Errors
/// At start, whatever keeps it from working, tagged with its exit code. Later only what makes going on unsafe:
/// a node that fails is waited for.
pub async fn run(config: &Config, arguments: &Run, json: bool) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever is under way may be left at any point: it is in the journal, as after a crash.
    tokio::select! {
        ended = serve(config, arguments, json) => ended,
        _ = interrupt.recv() => stopped("interrupted"),
        _ = terminate.recv() => stopped("terminated"),
    }
}

async fn serve(config: &Config, arguments: &Run, json: bool) -> Result<()> {
    let rpc = wire::connect(config).await?;
    let datadir = DataDir::open(&config.datadir, config.market.chain_id).exit(Exit::Configuration)?;
    let lock = datadir.lock().exit(Exit::Configuration)?;
    let live = config.mode == Mode::Live;
    let (desk, flight) = if live {
        let policy = Policy::new(
            config.market.chain_id,
            config.executor.address,
            config.fees.max_fee,
            config.fees.gas_limit,
        );
        let signer = desk::signer(config, policy).await?;
        let voice = Voice { market: config.market.name.clone(), json };
        let (desk, flight) = Desk::open(config, rpc.clone(), &datadir, signer, voice).await?;
        (Some(desk), flight)
    } else {
        (None, None)
    };
    let (books, switch) = (Books::open(&datadir)?, Switch::of(&datadir));
    let mut post = Post { books, switch, desk, _lock: lock };
    let mut wire = wire::market(config, Need::Route, None).await?;
    let sender = post.desk.as_ref().map(Desk::address);
    let mut bench = bench(config, &wire, sender).await?;
    if let Some(address) = sender {
        check_standing(config, &wire, &bench, address).await?;
    }
    bench.terms.live = live;
    wire.keeper.engage(bench.terms.clone(), flight);
    observe::ready(&config.market.name, live, wire.keeper.market.accounts.len(), bench.terms.executor);
    post.switch.look();
    follow(config, arguments, json, &mut wire, &bench, &mut post).await
}

/// In live mode the executor must know our key and everything it will be asked to touch, and the key must be
/// able to pay.
async fn check_standing(config: &Config, wire: &Wire, bench: &Bench, address: Address) -> Result<()> {
    let executor = bench.terms.executor;
    let balance = wire.rpc.balance(address).await.exit(Exit::Network)?;
    let needed = LEAST_GAS.cost(next_base_fee(&wire.head));
    if balance.is_zero() || balance < needed {
        return Err(eyre!(
            "the key {address} has {} native coin to pay gas with, and one liquidation takes about {}: fund it \
             before going live",
            super::show::native(Net::Gain(balance)),
            super::show::native(Net::Gain(needed))
        ))
        .exit(Exit::Configuration);
    }
    if config.executor.receiver == Some(address) {
        return Err(eyre!("executor.receiver is the operator's own key {address}: set it to a cold address"))
            .exit(Exit::Configuration);
    }
    let wanted = bench.listing.0.iter().copied().chain([(address, Role::Operator)]).collect::<Vec<_>>();
    let reads = wanted
        .iter()
        .map(|(target, _)| {
            let data = Executor::rolesCall { account: *target }.abi_encode().into();
            Read { to: executor, data }
        })
        .collect::<Vec<_>>();
    let answers = wire.reader.answers(wire.head.block.hash, &reads).await.exit(Exit::Network)?;
    for ((target, role), answer) in wanted.iter().zip(&answers) {
        let bits = answer.0.as_ref().and_then(|data| Executor::rolesCall::abi_decode_returns(data).ok());
        if bits.is_some_and(|bits| role.is_served_by(bits)) {
            continue;
        }
        if *role == Role::Operator {
            return Err(eyre!(
                "the executor {executor} does not list our key {address} as operator: its owner must call \
                 setRoles([{address}], [1]), or wallet must name the operator's key"
            ))
            .exit(Exit::Configuration);
        }
        tracing::warn!(%target, ?role, "the executor does not list this: calls that need it will be refused");
    }
    tracing::info!(%address, balance = super::show::native(Net::Gain(balance)), "key");
    Ok(())
}

/// Deals with one head after the other. A node that fails is asked again, for its newest head: the one that was
/// to be dealt with may be gone.
async fn follow(
    config: &Config,
    arguments: &Run,
    json: bool,
    wire: &mut Wire,
    bench: &Bench,
    post: &mut Post,
) -> Result<()> {
    let mut heads: u64 = 0;
    // The head that the market was read at is dealt with first.
    let mut owing = true;
    let mut watch = Watch::default();
    let mut pause = FIRST_RETRY;
    loop {
        let next = match wire.advance(config).await.exit(Exit::Network) {
            Ok(None) if owing => Ok(Some(again(wire))),
            other => other,
        };
        let dealt = match next {
            Ok(None) => {
                watch.quiet(&wire.head);
                wire.heads.wait().await;
                continue;
            }
            Ok(Some(input)) => {
                owing = true;
                deal(config, json, wire, bench, post, input).await
            }
            Err(error) => Err(error),
        };
        match dealt {
            Ok(()) => {
                owing = false;
                pause = FIRST_RETRY;
                heads = heads.saturating_add(1);
                if arguments.blocks.is_some_and(|wanted| heads >= wanted.get()) {
                    return Ok(());
                }
            }
            Err(error) if Exit::of(&error) == Exit::Network => {
                observe::trouble(&error, pause.as_secs());
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(LAST_RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}

async fn deal(
    config: &Config,
    json: bool,
    wire: &mut Wire,
    bench: &Bench,
    post: &mut Post,
    input: Input,
) -> Result<()> {
    #[allow(clippy::disallowed_methods, reason = "how long a head took is told, nothing is decided by it")]
    let began = Instant::now();
    if let Input::Head { dropped, .. } = &input
        && !dropped.is_empty()
    {
        observe::replaced(dropped.len());
    }
    post.switch.look();
    let mut hands =
        Hands { reader: &wire.reader, simulator: Some(&bench.simulator), desk: post.desk.as_mut() };
    drive(&mut wire.keeper, input, &mut hands).await?;
    let report = wire.keeper.report();
    let took = began.elapsed();
    // The line that ends a block comes after the block's results.
    let standing = Standing {
        live: bench.terms.live,
        paused: post.switch.look(),
        flying: wire.keeper.flight().map(Flight::accounts).unwrap_or_default(),
    };
    post.books.report(&config.market.name, &wire.keeper.market, report, &standing, json)?;
    observe::head(report, took.as_millis(), wire.keeper.flight().is_some());
    if let Err(error) = wire.checkpoint(config) {
        observe::not_indexed(&error);
    }
    Ok(())
}

/// Notices when the chain, or the node's view of it, stands still.
#[derive(Default)]
struct Watch {
    /// The head that was already told to be old.
    told: Option<u64>,
}

impl Watch {
    fn quiet(&mut self, head: &Head) {
        let age = clock::now().saturating_sub(head.block.timestamp);
        if age > STALE && self.told != Some(head.block.number) {
            self.told = Some(head.block.number);
            observe::stale(head.block.number, age);
        }
    }
}

/// The present head once more, without its logs: they were taken.
fn again(wire: &Wire) -> Input {
    let next_timestamp = wire.head.block.timestamp.saturating_add(wire.heads.spacing());
    Input::Head { dropped: vec![], added: vec![(wire.head, vec![])], jumped: false, next_timestamp }
}

fn stopped(why: &str) -> Result<()> {
    tracing::info!(why, "stopped; what is under way is in the journal");
    Ok(())
}
