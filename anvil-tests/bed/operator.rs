//! Somebody who runs the keeper: a folder with a configuration, a key and a data directory, and the binary run as a
//! process of its own, as an operator would.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use alloy::{
    primitives::{Address, B256, U256, address, keccak256},
    signers::local::PrivateKeySigner,
};
use eyre::{Result, WrapErr, bail, ensure, eyre};

use super::scene::Scene;

/// The cold addresses of every operator of the bed.
pub const OWNER: Address = address!("0x0000000000000000000000000000000000c01d01");
pub const RECEIVER: Address = address!("0x0000000000000000000000000000000000c01d02");
const PASSWORD: &str = "a password for play money";

/// How the operator keeps the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Custody {
    /// An encrypted file, which takes a moment to make and to open.
    Keystore,
    /// The environment.
    Environment,
}

/// An operator of one market on one chain.
#[derive(Debug)]
pub struct Operator {
    pub folder: PathBuf,
    pub market: String,
    pub address: Address,
    pub executor: Option<Address>,
    binary: PathBuf,
    key: B256,
    custody: Custody,
    common: String,
    /// Environment given to every run, beside the key.
    pub environment: Vec<(String, String)>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The output of a command that had to end well.
    pub fn expect_ok(self) -> Result<String> {
        ensure!(self.code == Some(0), "ended with {:?}: {}", self.code, self.stderr);
        Ok(self.stdout)
    }
}

impl Operator {
    /// Sets up a folder with a dry-run configuration. Nothing is on the chain yet, and the key has no money.
    pub fn new(scene: &Scene, market: &str, folder: &Path, binary: &Path, custody: Custody) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let key = keccak256(format!("operator of {market} in {}", folder.display()));
        let address = PrivateKeySigner::from_bytes(&key)?.address();
        let common = scene.config_toml(market, &folder.join("data"), "MODE")?;
        let operator = Self {
            folder: folder.to_owned(),
            market: market.to_owned(),
            address,
            executor: None,
            binary: binary.to_owned(),
            key,
            custody,
            common,
            environment: vec![],
        };
        if custody == Custody::Keystore {
            operator.make_keystore()?;
        }
        operator.write("dry-run", "")?;
        Ok(operator)
    }

    fn make_keystore(&self) -> Result<()> {
        let mut chance = alloy::signers::k256::elliptic_curve::rand_core::OsRng;
        PrivateKeySigner::encrypt_keystore(
            &self.folder,
            &mut chance,
            self.key,
            PASSWORD,
            Some("keystore.json"),
        )?;
        fs::write(self.folder.join("password"), PASSWORD)?;
        for file in ["keystore.json", "password"] {
            private(&self.folder.join(file))?;
        }
        Ok(())
    }

    /// Writes the configuration in this mode, with more lines at its end.
    pub fn write(&self, mode: &str, more: &str) -> Result<()> {
        let executor = self.executor.map_or(String::new(), |address| format!("address = \"{address}\"\n"));
        let wallet = match self.custody {
            Custody::Keystore => "\n[wallet]\nkeystore = \"./keystore.json\"\npassword_file = \"password\"\n",
            Custody::Environment => "",
        };
        let text = format!(
            "{}\n[executor]\n{executor}owner = \"{OWNER}\"\nreceiver = \"{RECEIVER}\"\n{wallet}{more}",
            self.common.replace("MODE", mode)
        );
        fs::write(self.config(), text).wrap_err("writing the configuration")
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("backstop.toml")
    }

    /// Funds the key, deploys the executor with the keeper's own command, and goes live.
    pub async fn enlist(&mut self, scene: &Scene) -> Result<()> {
        scene.set_balance(self.address, U256::from(100) * U256::from(10).pow(U256::from(18))).await?;
        let said =
            self.run(&["deploy", "--yes", "--json"])?.expect_ok().wrap_err("deploying the executor")?;
        let said: serde_json::Value = serde_json::from_str(&said)?;
        let executor = said["executor"].as_str().ok_or_else(|| eyre!("deploy printed no address: {said}"))?;
        self.executor = Some(executor.parse()?);
        self.write("live", "")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.config()).args(arguments).current_dir(&self.folder);
        // Nothing of whoever runs this may leak in.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BACKSTOP_") {
                command.env_remove(name);
            }
        }
        if self.custody == Custody::Environment {
            command.env("BACKSTOP_WALLET__PRIVATE_KEY", self.key.to_string());
        }
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<Ended> {
        let output = self.command(arguments).stdin(Stdio::null()).output().wrap_err("running the keeper")?;
        Ok(Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts a command that goes on; its output goes to files of the folder.
    pub fn start(&self, arguments: &[&str]) -> Result<Daemon> {
        let (stdout, stderr) = (self.folder.join("stdout.log"), self.folder.join("stderr.log"));
        let child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .wrap_err("starting the keeper")?;
        Ok(Daemon { child, stdout, stderr })
    }

    /// The journal, beside a running daemon.
    pub fn journal(&self, chain_id: u64) -> PathBuf {
        self.folder.join("data").join(chain_id.to_string()).join("journal.db")
    }
}

/// A running keeper; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Daemon {
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Waits until its log says so.
    pub async fn says(&mut self, what: &str, within: Duration) -> Result<()> {
        let began = Instant::now();
        while !self.stderr().contains(what) {
            if let Some(status) = self.child.try_wait()? {
                bail!("the keeper ended with {status} before it said {what:?}: {}", self.stderr());
            }
            ensure!(began.elapsed() < within, "the keeper did not say {what:?}: {}", self.stderr());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Ok(())
    }

    /// Waits until it ends by itself, and gives its exit code.
    pub async fn ends(&mut self, within: Duration) -> Result<Option<i32>> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            ensure!(began.elapsed() < within, "the keeper did not end: {}", self.stderr());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// As `kill -9`: no last words.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// As an operator stops it.
    pub fn stop(mut self) -> Result<ExitStatus> {
        #[cfg(unix)]
        {
            let pid = i32::try_from(self.child.id()).wrap_err("process id")?;
            #[allow(unsafe_code, reason = "there is no safe call that sends a signal")]
            // SAFETY: the process is our child and has not been waited for, so the id is still its own.
            unsafe {
                libc::kill(pid, libc::SIGTERM);
            }
        }
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(began.elapsed() < Duration::from_secs(10), "the keeper did not stop when told to");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _status = self.child.wait();
    }
}

fn private(path: &Path) -> Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}
