//! What the keeper refuses, each refusal with its words and its exit code: nothing is sent then, no secret is told,
//! and nobody waits for ever.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    sol_types::SolCall,
};
use backstop::{
    abi::aave::Pool,
    bed::operator::{Custody, OWNER},
    domain::executor::role_slot,
};
use eyre::{Result, ensure};
use serde_json::{Value, json};

use super::{PATIENCE, Stand, proxy::Fault};

alloy::sol! {
    function transfer(address to, uint256 amount) external returns (bool);
}

/// As documented in `backstop --help`.
const USAGE: i32 = 2;
const CONFIGURATION: i32 = 3;
const NETWORK: i32 = 5;
const REFUSED: i32 = 7;

/// Every one of these commands ends in time with this code and says all of this. Nothing was sent.
fn check(stand: &Stand, commands: &[&str], code: i32, said: &[&str]) -> Result<()> {
    for command in commands {
        let mut arguments = command.split(' ').collect::<Vec<_>>();
        arguments.push("-vv");
        let began = Instant::now();
        let ended = stand.run(&arguments)?;
        ensure!(ended.code == Some(code), "{command}: {:?} instead of {code}: {}", ended.code, ended.stderr);
        for phrase in said {
            ensure!(ended.stderr.contains(phrase), "{command} does not say {phrase:?}: {}", ended.stderr);
        }
        ensure!(began.elapsed() < Duration::from_secs(20), "{command} took {:?}", began.elapsed());
        ensure!(!ended.stderr.contains("panicked"), "{command}: {}", ended.stderr);
        ensure!(stand.proxy.sent()?.is_empty(), "{command} sent something");
    }
    Ok(())
}

impl Stand {
    /// Changes the configuration file.
    fn edit(&self, from: &str, to: &str) -> Result<()> {
        let text = fs::read_to_string(self.operator.config())?;
        ensure!(text.contains(from), "no {from} in {text}");
        Ok(fs::write(self.operator.config(), text.replace(from, to))?)
    }

    /// The pool runs code of revision 99, which otherwise does what it did before.
    async fn upgrade_pool(&self) -> Result<()> {
        let pool = self.fork.manifest.market("v36")?.pool;
        let slot = U256::from_be_bytes(keccak256("eip1967.proxy.implementation").0) - U256::from(1);
        let old: B256 =
            serde_json::from_value(self.command("eth_getStorageAt", json!([pool, slot, "latest"])).await?)?;
        let new = Address::repeat_byte(0x99);
        self.fork.chain.set_code(new, of_revision_99(Address::from_word(old))).await?;
        self.fork.chain.set_storage(pool, slot, new.into_word()).await
    }
}

/// Answers `POOL_REVISION` with 99 and hands everything else to `implementation`.
fn of_revision_99(implementation: Address) -> Bytes {
    let selector = Pool::POOL_REVISIONCall::SELECTOR;
    let code: [&[u8]; 7] = [
        &[0x60, 0x00, 0x35, 0x60, 0xe0, 0x1c, 0x63],
        &selector,
        // Copies the call data and delegates.
        &[0x14, 0x60, 0x45, 0x57, 0x36, 0x60, 0x00, 0x60, 0x00, 0x37],
        &[0x60, 0x00, 0x60, 0x00, 0x36, 0x60, 0x00, 0x73],
        implementation.as_slice(),
        // Gives back what came back, as a revert or as an answer (0x40).
        &[
            0x5a, 0xf4, 0x3d, 0x60, 0x00, 0x60, 0x00, 0x3e, 0x60, 0x40, 0x57, 0x3d, 0x60, 0x00, 0xfd, 0x5b,
            0x3d, 0x60, 0x00, 0xf3,
        ],
        // 0x45: the revision.
        &[0x5b, 0x60, 99, 0x60, 0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3],
    ];
    code.concat().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_silent_or_of_another_chain_is_refused() -> Result<()> {
    let mut stand = Stand::new().await?;
    let all = ["scan", "positions", "run"];
    stand.set("BACKSTOP_RPC__TIMEOUT", "300ms");
    stand.proxy.rule("*", Fault::Hang);
    check(&stand, &all, NETWORK, &["did not answer eth_chainId"])?;
    stand.proxy.heal();
    stand.set("BACKSTOP_RPC__TIMEOUT", "2s");
    stand.proxy.rule("eth_chainId", Fault::Answer(json!("0x1")));
    check(&stand, &all, CONFIGURATION, &["serves chain 1", "on chain 31337", "rpc.http"])?;
    stand.proxy.heal();
    stand.proxy.rule("*", Fault::Http(200, "<html>welcome</html>"));
    check(&stand, &["scan"], NETWORK, &["something that is not an answer"])?;
    stand.proxy.heal();
    stand.proxy.rule("*", Fault::Http(401, "{\"message\":\"invalid api key\"}"));
    check(&stand, &["scan"], NETWORK, &["refused eth_chainId", "401"])?;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = stand.http().replace(&format!(":{}/", stand.proxy.port()), &format!(":{closed}/"));
    stand.set("BACKSTOP_RPC__HTTP", &url);
    check(&stand, &all, NETWORK, &["cannot be reached"])
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_something_else_are_refused() -> Result<()> {
    let stand = Stand::new().await?;
    let good = fs::read_to_string(stand.operator.config())?;
    let weth = stand.fork.manifest.wrapped_native.to_string();
    let nobody = Address::repeat_byte(0x77).to_string();
    let provider = stand.fork.manifest.market("v36")?.addresses_provider.to_string();
    let router = stand.fork.manifest.uniswap.router02.to_string();
    let quoter = stand.fork.manifest.uniswap.quoter.to_string();
    let all = ["scan", "positions", "run"];

    stand.edit(&provider, &nobody)?;
    check(&stand, &all, CONFIGURATION, &["markets.v36.addresses_provider: there is no contract at"])?;
    fs::write(stand.operator.config(), &good)?;
    stand.edit(&provider, &weth)?;
    check(&stand, &all, CONFIGURATION, &["does not lead to an Aave V3 market", "addresses_provider"])?;

    fs::write(stand.operator.config(), &good)?;
    stand.edit(&router, &provider)?;
    check(&stand, &["scan", "run"], CONFIGURATION, &["is neither Uniswap's SwapRouter nor"])?;
    fs::write(stand.operator.config(), &good)?;
    stand.edit(&quoter, &nobody)?;
    check(
        &stand,
        &["scan"],
        CONFIGURATION,
        &["markets.v36.route.uniswap_v3_quoter: there is no contract at"],
    )?;

    fs::write(stand.operator.config(), &good)?;
    stand.edit("[rpc]", "[rpc]\nhttps = \"x\"")?;
    check(&stand, &all, CONFIGURATION, &["rpc.https"])?;
    fs::write(stand.operator.config(), &good)?;
    check(&stand, &["run --blocks 0"], USAGE, &["--blocks"])
}

#[tokio::test(flavor = "multi_thread")]
async fn live_mode_is_refused_unless_everything_is_in_place() -> Result<()> {
    let stand = Stand::live().await?;
    let own = stand.operator.address;
    let executor = stand.operator.executor.unwrap_or_default();
    let chain = &stand.fork.chain;
    let config = fs::read_to_string(stand.operator.config())?;

    stand.fork.set_balance(own, U256::ZERO).await?;
    check(&stand, &["run"], CONFIGURATION, &["has 0.000000 native coin to pay gas with", "fund it"])?;
    stand.fork.set_balance(own, U256::from(10).pow(U256::from(18))).await?;

    stand.edit(
        &format!("receiver = \"{}\"", backstop::bed::operator::RECEIVER),
        &format!("receiver = \"{own}\""),
    )?;
    check(&stand, &["run"], CONFIGURATION, &["executor.receiver is the operator's own key"])?;
    fs::write(stand.operator.config(), &config)?;

    let code: Bytes =
        serde_json::from_value(stand.command("eth_getCode", json!([executor, "latest"])).await?)?;
    let slot = U256::from_be_bytes(role_slot(own).0);
    chain.set_storage(executor, slot, B256::ZERO).await?;
    check(&stand, &["run"], CONFIGURATION, &["does not list our key", "setRoles"])?;
    chain.set_storage(executor, slot, B256::from(U256::from(1))).await?;

    chain.set_code(executor, Bytes::new()).await?;
    check(&stand, &["run"], CONFIGURATION, &["executor.address: there is no contract at"])?;
    chain.set_code(executor, Bytes::from_static(&[0x60, 0x00, 0x60, 0x00, 0xf3])).await?;
    check(
        &stand,
        &["run"],
        CONFIGURATION,
        &["executor.address: the code at", "and this version's executor", "backstop deploy"],
    )?;
    chain.set_code(executor, code).await?;

    let daemon = stand.start().await?;
    check(&stand, &["run"], CONFIGURATION, &["another backstop (process", "already runs"])?;
    assert!(daemon.stop()?.success());
    check(&stand, &["deploy --yes"], CONFIGURATION, &["executor.address is already set"])
}

/// There is something to take all the while.
#[tokio::test(flavor = "multi_thread")]
async fn code_whose_hash_is_not_pinned_is_never_called() -> Result<()> {
    let mut stand = Stand::live().await?;
    stand.fall().await?;
    let executor = stand.operator.executor.unwrap_or_default();
    let ours = stand.command("eth_getCode", json!([executor, "latest"])).await?;
    let ours: Bytes = serde_json::from_value(ours)?;
    let mut other = ours.to_vec();
    if let Some(last) = other.last_mut() {
        *last ^= 1;
    }
    let [our_hash, other_hash] = [keccak256(&ours).to_string(), keccak256(&other).to_string()];
    let all = ["run", "scan", "doctor", "config check --online"];

    stand.fork.chain.set_code(executor, other.clone().into()).await?;
    let remedy = "run `backstop deploy` and set executor.address and executor.code_hash";
    let said = [&other_hash, &our_hash, "this version's executor"];
    check(&stand, &all, CONFIGURATION, &said)?;
    check(&stand, &["run", "scan"], CONFIGURATION, &["executor.address: the code at", remedy])?;
    let mode = stand.operator.environment.len();
    stand.set("BACKSTOP_MODE", "dry-run");
    check(&stand, &all, CONFIGURATION, &said)?;
    stand.operator.environment.truncate(mode);

    stand.set("BACKSTOP_EXECUTOR__CODE_HASH", &our_hash);
    check(&stand, &all, CONFIGURATION, &said)?;
    stand.set("BACKSTOP_EXECUTOR__CODE_HASH", &other_hash);
    let pinned = stand.run(&["scan"])?;
    ensure!(pinned.code == Some(0), "{}", pinned.stderr);
    ensure!(pinned.stderr.contains("pins the executor of another version"), "{}", pinned.stderr);

    stand.fork.chain.set_code(executor, ours).await?;
    let said = [&our_hash, &other_hash, "executor.code_hash pins"];
    check(&stand, &all, CONFIGURATION, &said)?;
    stand.edit(&format!("address = \"{executor}\"\n"), "")?;
    check(&stand, &["deploy --yes"], CONFIGURATION, &["executor.code_hash pins", &our_hash, &other_hash])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_without_money_or_with_its_key_as_receiver_is_refused() -> Result<()> {
    let stand = Stand::new().await?;
    check(&stand, &["deploy --yes"], CONFIGURATION, &["no native coin to pay for the deployment"])?;
    stand.fork.set_balance(stand.operator.address, U256::from(1_000)).await?;
    check(&stand, &["deploy --yes"], CONFIGURATION, &["native coin the deployment may take"])?;
    stand.fork.set_balance(stand.operator.address, U256::from(10).pow(U256::from(18))).await?;
    check(&stand, &["deploy"], USAGE, &["--yes"])?;
    stand.upgrade_pool().await?;
    check(&stand, &["deploy --yes"], REFUSED, &["revision 99"])?;
    stand.edit(
        &format!("receiver = \"{}\"", backstop::bed::operator::RECEIVER),
        &format!("receiver = \"{}\"", stand.operator.address),
    )?;
    check(&stand, &["deploy --yes"], CONFIGURATION, &["executor.receiver is the operator's own key"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keystore_that_is_not_private_sound_and_opened_by_its_password_is_refused() -> Result<()> {
    let mut stand = Stand::kept_in(Custody::Keystore).await?;
    stand.operator.executor = Some(OWNER);
    stand.operator.write("live", "")?;
    let keystore = stand.operator.folder.join("keystore.json");
    let password = stand.operator.folder.join("password");
    let sound = fs::read_to_string(&keystore)?;

    mode(&keystore, 0o644)?;
    check(&stand, &["run"], CONFIGURATION, &["keystore.json", "chmod 600"])?;
    mode(&keystore, 0o600)?;
    mode(&password, 0o644)?;
    check(&stand, &["run"], CONFIGURATION, &["password"])?;
    mode(&password, 0o600)?;
    fs::write(&password, "another")?;
    check(&stand, &["run"], CONFIGURATION, &["password"])?;
    fs::write(&keystore, &sound[..sound.len() / 2])?;
    check(&stand, &["run"], CONFIGURATION, &["keystore.json"])?;
    fs::remove_file(&keystore)?;
    check(&stand, &["run"], CONFIGURATION, &["wallet.keystore: there is no such file"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_unknown_revision_is_observed_and_never_acted_on() -> Result<()> {
    let stand = Stand::live().await?;
    stand.fall().await?;
    stand.upgrade_pool().await?;
    stand.fork.mine(1).await?;
    check(&stand, &["scan", "run"], REFUSED, &["revision 99", "does not know"])?;
    stand.operator.write("dry-run", "")?;
    check(&stand, &["run"], REFUSED, &["revision 99", "does not know"])?;

    let observed = stand.run(&["positions", "--json"])?.expect_ok()?;
    for line in observed.lines() {
        let line: Value = serde_json::from_str(line)?;
        let account = super::address(line["account"].as_str().unwrap_or_default())?;
        let block = alloy::eips::BlockId::number(line["block"].as_u64().unwrap_or_default());
        let said = stand.fork.account_data("v36", account, block).await?;
        assert_eq!(line["health_factor"].as_str(), Some(said.healthFactor.to_string().as_str()));
    }
    assert!(observed.lines().count() > 50);
    let told = stand.run(&["positions"])?.expect_ok()?;
    assert!(told.contains("unknown release (revision 99)"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_a_running_keeper_stops_it() -> Result<()> {
    let stand = Stand::live().await?;
    for mode in ["live", "dry-run"] {
        stand.operator.write(mode, "")?;
        let snapshot = stand.fork.snapshot().await?;
        let mut daemon = stand.start().await?;
        stand.upgrade_pool().await?;
        stand.fall().await?;
        assert_eq!(daemon.ends(PATIENCE).await?, Some(REFUSED), "{mode}");
        let said = daemon.stderr();
        assert!(said.contains("the pool runs revision 99"), "{said}");
        stand.check_silence(&said)?;
        assert_eq!(stand.proxy.sent()?.len(), 0);
        stand.fork.revert(snapshot).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_nobody_can_sell_in_is_told_and_left_alone() -> Result<()> {
    let stand = Stand::new().await?;
    stand.fall().await?;
    // Everything that the exchange holds goes away.
    for pool in &stand.fork.manifest.uniswap.pools {
        stand.fork.set_balance(pool.address, U256::from(10).pow(U256::from(18))).await?;
        for symbol in &pool.tokens {
            let amount = stand.fork.balance(pool.address, symbol).await?;
            let token = stand.fork.manifest.token(symbol)?.address;
            let transfer = transferCall { to: OWNER, amount };
            stand.fork.chain.invoke(pool.address, token, &transfer).await?;
        }
    }
    let scan = stand.run(&["scan", "--json"])?.expect_ok()?;
    let scan: Value = serde_json::from_str(&scan)?;
    assert_eq!(scan["opportunities"], json!([]));
    let skipped = scan["skipped"].as_array().cloned().unwrap_or_default();
    assert!(!skipped.is_empty() && skipped.iter().all(|skip| skip["why"].is_string()), "{skipped:?}");
    assert_eq!(stand.run(&["scan", "--exit-code"])?.code, Some(4));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_makes_no_noise() -> Result<()> {
    let stand = Stand::new().await?;
    stand.fall().await?;
    for arguments in ["positions", "positions --json", "scan", "run --blocks 1 --json"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstop"));
        command.arg("--config").arg(stand.operator.config()).args(arguments.split(' '));
        command.envs(stand.operator.environment.iter().cloned());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        drop(child.stdout.take());
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        let status = child.wait()?;
        assert!(status.success() && !said.contains("panicked"), "{arguments}: {status}: {said}");
        stand.check_silence(&said)?;
    }
    Ok(())
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}
