//! What an operator can look up afterwards and do in between: the history is what the receipts say, a pause holds
//! within a block, what strays into the executor comes out again, and a key of the wallet works. No secret is told.

mod history;
mod sweep;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, U256, keccak256},
    providers::Provider,
};
use backstop::{
    abi::executor::Executor,
    bed::{
        Fork,
        assets::DOLLAR,
        operator::{Custody, Daemon, Operator},
        shared,
    },
    io::journal::{Entry, Outcome, Reader},
};
use eyre::{Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Part of the node's URL. It must never be seen again.
const CANARY: &str = "canary7f3a";
const PATIENCE: Duration = Duration::from_secs(60);
const MARKET: &str = "v36";

/// A fork and an operator with an executor, in live mode, whose node's URL holds secrets.
struct Stand {
    operator: Operator,
    fork: Fork,
    folder: TempDir,
    /// What must not be told, beside the URL's secrets.
    secrets: Vec<String>,
}

impl Stand {
    async fn new(owner: Option<Address>) -> Result<Self> {
        let fork = shared().await?.fork().await?;
        let folder = tempfile::tempdir()?;
        let binary = Path::new(env!("CARGO_BIN_EXE_backstop"));
        let mut operator =
            Operator::new(&fork, MARKET, &folder.path().join("operator"), binary, Custody::Environment)?;
        let key = keccak256(format!("operator of {MARKET} in {}", operator.folder.display()));
        let http = fork.http().replacen("http://", &format!("http://user:{CANARY}@"), 1);
        let http = format!("{}/?key={CANARY}", http.trim_end_matches('/'));
        let home = folder.path().join("home");
        std::fs::create_dir(&home)?;
        operator.environment = [
            ("BACKSTOP_RPC__HTTP", http),
            ("BACKSTOP_RPC__WS", String::new()),
            ("BACKSTOP_RPC__POLL", "50ms".into()),
            ("HOME", home.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some(owner) = owner {
            operator.environment.push(("BACKSTOP_EXECUTOR__OWNER".into(), owner.to_string()));
        }
        let secrets = vec![key.to_string()];
        Ok(Self { operator, fork, folder, secrets })
    }

    async fn live() -> Result<Self> {
        let mut stand = Self::new(None).await?;
        stand.operator.enlist(&stand.fork).await?;
        // Room for a few liquidations, so that it takes several transactions to take all.
        stand.set("BACKSTOP_FEES__GAS_LIMIT", "2000000");
        Ok(stand)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.operator.environment.retain(|(known, _)| known != name);
        self.operator.environment.push((name.into(), value.into()));
    }

    /// Runs a command; what it says holds no secret.
    fn run(&self, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
        let ended = self.operator.run(arguments)?;
        self.check_silence(&ended.stdout)?;
        self.check_silence(&ended.stderr)?;
        Ok((ended.code, ended.stdout, ended.stderr))
    }

    fn expect(&self, arguments: &[&str]) -> Result<String> {
        let (code, stdout, stderr) = self.run(arguments)?;
        ensure!(code == Some(0), "{arguments:?} ended with {code:?}: {stderr}");
        Ok(stdout)
    }

    /// As lines of JSON.
    fn rows(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let arguments = [arguments, &["--json"]].concat();
        self.expect(&arguments)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    fn check_silence(&self, text: &str) -> Result<()> {
        ensure!(!text.contains(CANARY), "a URL's secret was told: {text}");
        for secret in &self.secrets {
            ensure!(!text.contains(secret.trim_start_matches("0x")), "a secret was told: {text}");
        }
        Ok(())
    }

    async fn start(&self) -> Result<Daemon> {
        let mut daemon = self.operator.start(&["run", "-v", "--json"])?;
        daemon.says("ready", PATIENCE).await?;
        Ok(daemon)
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        let reader = Reader::open(&self.operator.journal(self.fork.manifest.chain_id))?;
        let mut entries = reader.map_or(Ok(vec![]), |reader| reader.history(1_000))?;
        entries.retain(|entry| entry.intent.is_some());
        entries.reverse();
        Ok(entries)
    }

    async fn until(&self, what: &str, wanted: impl Fn(&[Entry]) -> bool) -> Result<Vec<Entry>> {
        let began = Instant::now();
        loop {
            let entries = self.entries()?;
            if wanted(&entries) {
                return Ok(entries);
            }
            ensure!(began.elapsed() < PATIENCE, "not {what}: {entries:#?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn pending(&self) -> Result<bool> {
        let status: Value = self.fork.provider.raw_request("txpool_status".into(), json!([])).await?;
        Ok(status["pending"] != "0x0")
    }

    async fn pooled(&self) -> Result<()> {
        let began = Instant::now();
        while !self.pending().await? {
            ensure!(began.elapsed() < PATIENCE, "nothing is in the pool: {:#?}", self.entries()?);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Mines a block and waits until the daemon has dealt with it.
    async fn block(&self, daemon: &mut Daemon) -> Result<()> {
        self.fork.mine(1).await?;
        let number = self.fork.chain.block_number().await?;
        let began = Instant::now();
        while !daemon.stderr().lines().any(|line| plain(line).contains(&format!("block block={number} "))) {
            ensure!(began.elapsed() < PATIENCE, "block {number} was not dealt with: {}", daemon.stderr());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// How many of them ended like this.
fn ended(entries: &[Entry], outcome: Outcome) -> usize {
    entries.iter().filter(|one| one.verdict.is_some_and(|verdict| verdict.outcome == outcome)).count()
}

/// A log line without what colours it.
fn plain(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    out + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_within_a_block_and_outlives_the_daemon() -> Result<()> {
    let stand = Stand::live().await?;
    stand.fork.set_price("WETH", 1_840 * DOLLAR).await?;
    stand.fork.chain.set_automine(false).await?;
    let mut daemon = stand.start().await?;
    stand.pooled().await?;
    // One is under way. It is followed to its end; nothing comes after it.
    let said = stand.expect(&["pause", "--why", "the oracle looks odd"])?;
    ensure!(said.contains("paused"), "{said}");
    let settled = |entries: &[Entry]| entries.iter().filter(|one| one.verdict.is_some()).count();
    for _ in 0..4 {
        stand.block(&mut daemon).await?;
        ensure!(!stand.pending().await?, "sent while paused");
    }
    let entries = stand.until("settled", |entries| settled(entries) >= 1).await?;
    assert_eq!(entries.len(), 1);
    // More of them fall, and are only told of.
    stand.fork.chain.set_automine(true).await?;
    stand.fork.set_price("WETH", 1_760 * DOLLAR).await?;
    stand.fork.chain.set_automine(false).await?;
    stand.block(&mut daemon).await?;
    ensure!(!stand.pending().await?, "sent while paused");
    let log = daemon.stderr();
    ensure!(log.contains("the oracle looks odd") && log.contains("paused: nothing new is sent"), "{log}");
    let held = daemon.stdout().lines().filter(|line| line.contains("\"event\":\"held\"")).count();
    ensure!(held > 0, "no decision was printed while paused: {}", daemon.stdout());
    let rows = stand.rows(&["history", "--verdict", "held"])?;
    ensure!(rows.iter().any(|row| row["reason"] == "paused"), "{rows:#?}");

    // It lasts over a restart, and then is lifted.
    daemon.stop()?;
    let mut daemon = stand.start().await?;
    daemon.says("paused: nothing new is sent", PATIENCE).await?;
    stand.block(&mut daemon).await?;
    ensure!(!stand.pending().await?, "sent while paused");
    ensure!(stand.expect(&["resume"])?.contains("resumed"));
    stand.block(&mut daemon).await?;
    stand.pooled().await?;
    daemon.says("resumed: what pays is sent again", PATIENCE).await?;
    stand.fork.mine(1).await?;
    let entries = stand.until("settled", |entries| settled(entries) >= 2).await?;
    ensure!(entries.iter().take(2).all(|one| one.verdict.is_some_and(|v| v.outcome == Outcome::Won)));
    ensure!(stand.expect(&["resume"])?.contains("was not paused"));
    stand.check_silence(&daemon.stderr())
}

fn write_private(path: &PathBuf, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}

/// A key made by `wallet new`, named in the configuration, deploys an executor that lists it.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_wallet_deploys() -> Result<()> {
    let mut stand = Stand::new(None).await?;
    stand.secrets.push("s3cret of the hot key".into());
    let password = stand.folder.path().join("password");
    write_private(&password, "s3cret of the hot key\n")?;
    let password = password.display().to_string();
    let made = stand.rows(&["wallet", "new", "hot", "--password-file", &password])?.remove(0);
    let file = stand.folder.path().join("home/.foundry/keystores/hot");
    assert_eq!(made["file"].as_str(), file.to_str());
    let address: Address = made["address"].as_str().unwrap_or_default().parse()?;
    let told = stand.expect(&["wallet", "address", "hot", "--password-file", &password])?;
    assert_eq!(told.trim(), address.to_string());
    ensure!(stand.expect(&["wallet", "list"])?.contains(&format!("{address}  hot")));
    let (code, _, said) = stand.run(&["wallet", "new", "hot", "--password-file", &password])?;
    ensure!(code == Some(3) && said.contains("there is such a keystore already"), "{code:?} {said}");
    // Without a terminal nobody is asked, and a key on the command line is not repeated.
    let (code, _, said) = stand.run(&["wallet", "new", "other"])?;
    ensure!(code == Some(2) && said.contains("--password-file"), "{code:?} {said}");
    stand.secrets.push("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80".into());
    let key = stand.secrets[2].clone();
    for typed in
        [vec!["wallet", "import", "other", &key], vec!["wallet", "import", &key], vec!["wallet", "new", &key]]
    {
        let (code, _, _) = stand.run(&typed)?;
        assert_eq!(code, Some(2));
    }

    stand.set("BACKSTOP_WALLET__PRIVATE_KEY", "");
    stand.set("BACKSTOP_WALLET__KEYSTORE", "hot");
    stand.set("BACKSTOP_WALLET__PASSWORD_FILE", &password);
    stand.fork.set_balance(address, U256::from(10).pow(U256::from(18))).await?;
    let said = stand.rows(&["deploy", "--yes"])?.remove(0);
    assert_eq!(said["operator"].as_str().unwrap_or_default().parse::<Address>()?, address);
    let executor: Address = said["executor"].as_str().unwrap_or_default().parse()?;
    let role = stand.fork.chain.read(executor, &Executor::rolesCall { account: address }).await?;
    assert_eq!(role, U256::ONE, "the new key is not the operator");
    for (key, printed) in [("ADDRESS", "executor"), ("CODE_HASH", "code_hash")] {
        stand.set(&format!("BACKSTOP_EXECUTOR__{key}"), said[printed].as_str().unwrap_or_default());
    }
    stand.expect(&["config", "check", "--online"]).map(drop)
}
