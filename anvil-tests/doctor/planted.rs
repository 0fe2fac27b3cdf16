//! The faults, by the part they are planted in.

use std::fs;

use alloy::primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy::sol_types::SolCall;
use backstop::{
    abi::{
        aave::{Pool, Token},
        uniswap::QuoterV2,
    },
    bed::{Fork, uniswap_v2},
    domain::executor::role_slot,
    io::{datadir::DataDir, pause::Pause},
};
use eyre::{Result, ensure, eyre};
use serde_json::json;

use super::{check, check_sound, sound};
use crate::faults::{Stand, proxy::Fault};

const NOBODY: Address = address!("0x00000000000000000000000000000000000d0c70");

/// Sets a key through its variable, looks, and takes it back.
fn with(stand: &mut Stand, key: &str, value: &str, look: impl Fn(&Stand) -> Result<()>) -> Result<()> {
    let name = format!("BACKSTOP_{}", key.replace('.', "__").to_uppercase());
    let before = stand.operator.environment.clone();
    stand.set(&name, value);
    let looked = look(stand);
    stand.operator.environment = before;
    looked
}

/// A contract in front of the code at `target` that answers 99 to the call `selector` and passes on every other.
async fn lie(fork: &Fork, target: Address, selector: [u8; 4]) -> Result<()> {
    let behind = target.create(99);
    let code = alloy::providers::Provider::get_code_at(&fork.provider, target).await?;
    fork.chain.set_code(behind, code).await?;
    let mut front = vec![0x5f, 0x35, 0x60, 0xe0, 0x1c, 0x63];
    front.extend(selector);
    front.extend([0x14, 0x60, 0x3b, 0x57, 0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x73]);
    front.extend(behind);
    front.extend([0x5a, 0xf4, 0x3d, 0x5f, 0x5f, 0x3e, 0x60, 0x37, 0x57, 0x3d, 0x5f, 0xfd]);
    front.extend([0x5b, 0x3d, 0x5f, 0xf3, 0x5b, 0x60, 0x63, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);
    fork.chain.set_code(target, front.into()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_node() -> Result<()> {
    let mut stand = sound().await?;
    eprintln!("{}", stand.run(&["doctor"])?.stdout);
    stand.proxy.rule("eth_chainId", Fault::Answer(json!("0x1")));
    check(&stand, "wrong chain", ("fail", "rpc"), "serves chain 1, but the market v36 is on chain", 3)?;
    stand.proxy.heal();
    stand.proxy.rule("eth_getStorageAt", Fault::Error(-32000, "missing trie node"));
    check(&stand, "no archive", ("warn", "rpc.archive"), "the state of no older block can be read", 0)?;
    stand.proxy.heal();
    stand.proxy.rule("eth_getLogs", Fault::LogRange(40, -32005, "range too large"));
    check(&stand, "tiny log range", ("warn", "rpc.logs"), "set rpc.log_range = 39", 0)?;
    stand.proxy.heal();
    stand.proxy.rule("eth_simulateV1", Fault::Error(-32601, "method not found"));
    check(&stand, "no simulation", ("warn", "rpc.simulate"), "no eth_simulateV1", 0)?;
    stand.proxy.heal();
    // The first two calls are the trials with state overrides.
    stand.proxy.rule_for(2, "eth_call", Fault::Error(-32602, "too many arguments, want at most 2"));
    check(&stand, "no overrides", ("warn", "rpc.override"), "does not take state overrides", 0)?;
    stand.proxy.heal();
    stand.proxy.rule_for(1, "eth_call", Fault::Error(-32000, "invalid opcode: opcode 0x5d not defined"));
    check(&stand, "no transient storage", ("fail", "rpc.override"), "no transient storage", 7)?;
    stand.proxy.heal();
    stand.proxy.refuse_sockets(true);
    check(&stand, "no socket", ("fail", "rpc.ws"), "WebSocket", 5)?;
    stand.proxy.refuse_sockets(false);
    with(&mut stand, "rpc.ws", "", |stand| {
        check(stand, "socket not set", ("warn", "rpc.ws"), "the head is polled every 50 ms", 0)
    })?;
    with(&mut stand, "markets.v36.start_block", "9999999", |stand| {
        check(stand, "start beyond the head", ("fail", "rpc.archive"), "start_block is 9999999", 3)
    })?;
    check_sound(&stand)?;
    stand.fork.chain.increase_time(1_000).await?;
    stand.fork.mine(1).await?;
    check(&stand, "clocks apart", ("warn", "rpc.head"), "ahead of this machine's clock", 0)?;
    stand.proxy.set_down(true);
    check(&stand, "node down", ("fail", "rpc"), "cannot be reached", 5)?;
    let shown = stand.run(&["doctor"])?.stdout;
    for line in ["skip  market ", "ok    wallet ", "skip  executor ", "ok    journal "] {
        ensure!(shown.contains(line), "no {line:?} in\n{shown}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_market_and_its_routes() -> Result<()> {
    let mut stand = sound().await?;
    let usdc = stand.fork.manifest.token("USDC")?.address;
    with(&mut stand, "markets.v36.addresses_provider", &NOBODY.to_string(), |stand| {
        check(stand, "no provider", ("fail", "market"), "there is no contract at the addresses provider", 3)
    })?;
    with(&mut stand, "markets.v36.addresses_provider", &usdc.to_string(), |stand| {
        check(stand, "no market", ("fail", "market"), "does not lead to an Aave V3 market", 3)
    })?;
    with(&mut stand, "markets.v36.route.uniswap_v3_router", &usdc.to_string(), |stand| {
        check(stand, "no router", ("fail", "routes.router"), "neither Uniswap's SwapRouter nor", 3)
    })?;
    with(&mut stand, "markets.v36.route.uniswap_v3_quoter", &NOBODY.to_string(), |stand| {
        check(stand, "no quoter", ("fail", "routes.quoter"), "there is no contract at", 3)
    })?;
    with(&mut stand, "markets.v36.route.uniswap_v3_quoter", &usdc.to_string(), |stand| {
        check(stand, "another quoter", ("fail", "routes.quoter"), "does not answer as Uniswap's QuoterV2", 3)
    })?;
    with(&mut stand, "markets.v36.route.uniswap_v2_router", &usdc.to_string(), |stand| {
        check(stand, "no router of pairs", ("fail", "routes.pair_router"), "is not Uniswap's V2Router02", 3)
    })?;
    with(&mut stand, "markets.v36.route.uniswap_v2_factory", &NOBODY.to_string(), |stand| {
        check(stand, "no factory of pairs", ("fail", "routes.pair_factory"), "there is no contract at", 3)
    })?;
    with(&mut stand, "markets.v36.route.uniswap_v2_factory", &usdc.to_string(), |stand| {
        check(stand, "another factory", ("fail", "routes.pair_router"), "and uniswap_v2_factory is 0x", 3)
    })?;
    let before = stand.operator.environment.clone();
    stand.set("BACKSTOP_MARKETS__V36__ROUTE__UNISWAP_V3_ROUTER", &usdc.to_string());
    stand.set("BACKSTOP_EXECUTOR__ADDRESS", &NOBODY.to_string());
    let ended = stand.run(&["config", "check", "--online"])?;
    ensure!(ended.code == Some(3) && ended.stderr.contains("2 mistakes"), "{ended:?}");
    stand.operator.environment = before;
    ensure!(stand.run(&["config", "check", "--online"])?.code == Some(0), "the sound one is refused");
    let snapshot = stand.fork.chain.snapshot().await?;
    let pool = stand.fork.manifest.market("v36")?.pool;
    lie(&stand.fork, pool, Pool::POOL_REVISIONCall::SELECTOR).await?;
    check(&stand, "unknown revision", ("fail", "market"), "the pool runs revision 99", 7)?;
    stand.fork.chain.revert(snapshot).await?;
    let snapshot = stand.fork.chain.snapshot().await?;
    let token = stand.fork.a_token("v36", "DAI").await?;
    lie(&stand.fork, token, Token::ATOKEN_REVISIONCall::SELECTOR).await?;
    check(&stand, "unknown token code", ("warn", "market.tokens"), "the token code of DAI", 0)?;
    stand.fork.chain.revert(snapshot).await?;
    let snapshot = stand.fork.chain.snapshot().await?;
    let quoter = stand.fork.manifest.uniswap.quoter;
    lie(&stand.fork, quoter, QuoterV2::quoteExactInputSingleCall::SELECTOR).await?;
    check(&stand, "pools of another kind", ("fail", "routes.quoter"), "the quoter says 99 of a sale of", 3)?;
    stand.fork.chain.revert(snapshot).await?;
    let snapshot = stand.fork.chain.snapshot().await?;
    let shown = stand.run(&["doctor"])?.stdout;
    ensure!(shown.contains("no asset that can be seized has a pair with the native coin"), "{shown}");
    uniswap_v2::create_pair(&stand.fork.chain, &stand.fork.manifest, ["WETH", "USDC"], 1_000_000).await?;
    check_sound(&stand)?;
    let shown = stand.run(&["doctor"])?.stdout;
    let line = shown.lines().find(|line| line.contains("routes.pair_router"));
    ensure!(line.is_some_and(|line| line.contains("says what our arithmetic says of 1 sales")), "{shown}");
    let router = stand.fork.manifest.uniswap.v2_router;
    // The router of a fork that keeps two thousandths, and not three.
    let mut code = alloy::providers::Provider::get_code_at(&stand.fork.provider, router).await?.to_vec();
    let kept = |number: u16| [0x61, number.to_be_bytes()[0], number.to_be_bytes()[1]];
    while let Some(place) = code.windows(3).position(|window| window == kept(997)) {
        code[place..place + 3].copy_from_slice(&kept(998));
    }
    stand.fork.chain.set_code(router, code.into()).await?;
    check(&stand, "another fee", ("fail", "routes.pair_router"), "for which our arithmetic says", 3)?;
    stand.fork.chain.revert(snapshot).await?;
    let wbtc = stand.fork.manifest.uniswap.pools.iter().filter(|pool| pool.tokens.contains(&"WBTC".into()));
    for pool in wbtc.map(|pool| pool.address).collect::<Vec<_>>() {
        stand.fork.chain.set_code(pool, Bytes::new()).await?;
    }
    check(&stand, "asset without pool", ("warn", "routes.pool"), "WBTC has no pool", 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_wallet_and_the_executor() -> Result<()> {
    let mut stand = sound().await?;
    let (key, fork) = (stand.operator.address, &stand.fork.chain);
    let executor = stand.operator.executor.ok_or_else(|| eyre!("no executor"))?;
    let [weth, dai] = [stand.fork.manifest.token("WETH")?.address, stand.fork.manifest.token("DAI")?.address];
    let start = fork.snapshot().await?;
    fork.set_balance(key, U256::ZERO).await?;
    check(&stand, "no funds", ("fail", "wallet.balance"), "no native coin to pay gas with", 3)?;
    fork.revert(start).await?;
    let start = fork.snapshot().await?;
    let delegated = [&[0xef, 0x01, 0x00], NOBODY.as_slice()].concat();
    fork.set_code(key, delegated.into()).await?;
    check(&stand, "delegated account", ("fail", "wallet.code"), "(EIP-7702)", 6)?;
    fork.revert(start).await?;
    let slots = [
        (
            "wrong operator",
            U256::from_be_bytes(role_slot(key).0),
            B256::ZERO,
            "executor.operator",
            "setRoles([0x",
        ),
        (
            "router of pairs not listed",
            U256::from_be_bytes(role_slot(stand.fork.manifest.uniswap.v2_router).0),
            B256::ZERO,
            "executor.lists",
            "RouterPairs 0x",
        ),
        (
            "token not listed",
            U256::from_be_bytes(role_slot(dai).0),
            B256::ZERO,
            "executor.lists",
            "Token DAI 0x",
        ),
        ("profit to the key", U256::from(3), key.into_word(), "executor.receiver", "our own hot key"),
        ("owned by the key", U256::from(1), key.into_word(), "executor.owner", "our own hot key"),
        (
            "paid to another",
            U256::from(3),
            NOBODY.into_word(),
            "executor.receiver",
            "and executor.receiver says",
        ),
    ];
    for (fault, slot, word, part, phrase) in slots {
        let start = fork.snapshot().await?;
        fork.set_storage(executor, slot, word).await?;
        check(&stand, fault, ("fail", part), phrase, 3)?;
        fork.revert(start).await?;
    }
    with(&mut stand, "executor.receiver", &key.to_string(), |stand| {
        check(stand, "receiver is the key", ("fail", "wallet.receiver"), "the key's own account", 3)
    })?;
    for (fault, address, phrase) in [
        ("no executor", "", "executor.address is not set"),
        ("executor missing", &*NOBODY.to_string(), "no code at 0x"),
        ("other code", &*weth.to_string(), "and this version's executor 0x"),
    ] {
        with(&mut stand, "executor.address", address, |stand| {
            check(stand, fault, ("fail", "executor"), phrase, 3)
        })?;
    }
    let other = B256::repeat_byte(0xc0).to_string();
    with(&mut stand, "executor.code_hash", &other, |stand| {
        check(stand, "another pin", ("fail", "executor"), "and executor.code_hash pins 0xc0c0", 3)
    })?;
    let start = stand.fork.snapshot().await?;
    let mut code = alloy::providers::Provider::get_code_at(&stand.fork.provider, executor).await?.to_vec();
    code.push(0);
    let hash = keccak256(&code).to_string();
    stand.fork.chain.set_code(executor, code.into()).await?;
    with(&mut stand, "executor.code_hash", &hash, |stand| {
        check(stand, "another version, pinned", ("warn", "executor"), "as pinned, and not this version's", 0)
    })?;
    stand.fork.revert(start).await?;
    with(&mut stand, "wallet.private_key", "", |stand| {
        check(stand, "no wallet", ("fail", "wallet"), "no key is configured", 3)
    })?;
    stand.set("BACKSTOP_WALLET__PRIVATE_KEY", "");
    // A head of now, however long the above took.
    stand.fork.mine(1).await?;
    for (file, text) in [("damaged.json", "{\"crypto\": "), ("word", "word")] {
        let path = stand.operator.folder.join(file);
        fs::write(&path, text)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    stand.set("BACKSTOP_WALLET__PASSWORD_FILE", "word");
    with(&mut stand, "wallet.keystore", "./damaged.json", |stand| {
        check(stand, "damaged keystore", ("fail", "wallet"), "not a keystore", 3)
    })?;
    with(&mut stand, "wallet.keystore", "./nowhere.json", |stand| {
        check(stand, "no keystore", ("fail", "wallet"), "no such file", 3)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_configuration_and_the_journal() -> Result<()> {
    let mut stand = sound().await?;
    with(&mut stand, "rpc.poll", "2", |stand| {
        check(stand, "no unit", ("fail", "config"), "rpc.poll: 2 has no unit", 3)
    })?;
    let chain_id = stand.fork.manifest.chain_id;
    let lock = DataDir::open(&stand.operator.folder.join("data"), chain_id)?.lock()?;
    let running = format!("process {}", std::process::id());
    check(&stand, "second daemon", ("warn", "journal.lock"), &running, 0)?;
    drop(lock);
    let pause = Pause::at(DataDir::open(&stand.operator.folder.join("data"), chain_id)?.pause());
    pause.set("the oracle looks odd")?;
    check(&stand, "paused", ("warn", "pause"), "nothing new is sent: the oracle looks odd", 0)?;
    pause.lift()?;
    let journal = stand.operator.journal(chain_id);
    let settled = |value: i32| -> Result<()> {
        let db = rusqlite::Connection::open(&journal)?;
        db.execute("UPDATE intent SET settled = ?1", [value])?;
        Ok(())
    };
    settled(0)?;
    check(&stand, "unfinished", ("warn", "journal.unfinished"), "a deployment (nonce 0) is under way", 0)?;
    settled(1)?;
    check_sound(&stand)?;
    let mut bytes = fs::read(&journal)?;
    bytes.iter_mut().take(60).for_each(|byte| *byte = 0x5a);
    fs::write(&journal, bytes)?;
    for beside in ["-wal", "-shm"] {
        let _absent = fs::remove_file(format!("{}{beside}", journal.display()));
    }
    check(&stand, "damaged journal", ("fail", "journal"), "is damaged", 3)
}
