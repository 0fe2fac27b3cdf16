//! The test doubles of contracts/test-doubles, compiled when they are missing or old, and deployed.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::SystemTime,
};

use alloy::{
    primitives::{Address, Bytes, U256},
    sol_types::SolCall,
};
use eyre::{Result, WrapErr, bail, ensure, eyre};

use super::stage::{Answer, STRANGER, Stage};

alloy::sol! {
    interface ISpoofer {
        function set(uint256 mode, address accomplice, bytes payload) external;
        function setSeize(uint256 seize) external;
        function setPremium(uint256 premium) external;
        function setPair(address tokenA, address tokenB) external;
        function relay(address target, bytes data) external;
        function relayTwice(address target, bytes first, bytes second) external;
    }

    interface IMeddler {
        function stand(address behind) external;
        function meddle(uint256 mode, uint256 lie, address about, bool hides) external;
        function order(address target, bytes data) external;
        function forget() external;
        function relay(address target, bytes data) external;
    }
}

/// How a [`Spoofer`] breaks its word: the constants of contracts/test-doubles/Spoofer.sol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Honest,
    WrongInitiator,
    OtherData,
    Twice,
    Reenter,
    NoCallback,
    OtherDoor,
    OtherCaller,
    OtherAmount,
    Bomb,
    Forgive,
    Greedy,
}

#[derive(Clone, Copy, Debug)]
pub struct Spoofer(pub Address);

impl Spoofer {
    pub async fn deploy(stage: &Stage) -> Result<Self> {
        Ok(Self(deploy(stage, "Spoofer").await?))
    }

    pub async fn set(&self, stage: &Stage, mode: Mode, accomplice: &Self, payload: Vec<u8>) -> Result<()> {
        let mode = U256::from(mode as u8);
        let call = ISpoofer::setCall { mode, accomplice: accomplice.0, payload: payload.into() };
        self.order(stage, &call).await
    }

    /// What it pays out for a liquidation.
    pub async fn seizes(&self, stage: &Stage, seize: U256) -> Result<()> {
        self.order(stage, &ISpoofer::setSeizeCall { seize }).await
    }

    /// What it asks for a loan.
    pub async fn charges(&self, stage: &Stage, premium: U256) -> Result<()> {
        self.order(stage, &ISpoofer::setPremiumCall { premium }).await
    }

    pub async fn pair(&self, stage: &Stage, a: Address, b: Address) -> Result<()> {
        self.order(stage, &ISpoofer::setPairCall { tokenA: a, tokenB: b }).await
    }

    /// Has it call the executor.
    pub async fn relay(&self, stage: &Stage, call: &impl SolCall) -> Result<()> {
        let data = call.abi_encode().into();
        self.order(stage, &ISpoofer::relayCall { target: stage.executor, data }).await
    }

    /// What two calls of it to the executor in one transaction would answer.
    pub async fn relay_twice(
        &self,
        stage: &Stage,
        first: &impl SolCall,
        second: &impl SolCall,
    ) -> Result<Answer> {
        let call = ISpoofer::relayTwiceCall {
            target: stage.executor,
            first: first.abi_encode().into(),
            second: second.abi_encode().into(),
        };
        stage.ask(STRANGER, self.0, call.abi_encode()).await
    }

    async fn order(&self, stage: &Stage, call: &impl SolCall) -> Result<()> {
        stage.fork.chain.invoke(STRANGER, self.0, call).await?;
        Ok(())
    }
}

/// What a [`Meddler`] does before it passes a call on: the constants of contracts/test-doubles/Meddler.sol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    Honest,
    Fail,
    Bomb,
    Burn,
    Lie,
    Intrude,
}

/// How a [`Meddler`] meddles, with what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Plot {
    pub meddling: Meddling,
    /// Basis points of the true answer.
    pub lie: u64,
    /// The first argument of the calls that are meant; zero: of all.
    pub about: Address,
    /// Honest where gas has no price.
    pub hides: bool,
}

impl From<Meddling> for Plot {
    fn from(meddling: Meddling) -> Self {
        Self { meddling, lie: 0, about: Address::ZERO, hides: false }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Meddler(pub Address);

impl Meddler {
    /// One that stands before `behind`; zero is nobody.
    pub async fn before(stage: &Stage, behind: Address) -> Result<Self> {
        let meddler = Self(deploy(stage, "Meddler").await?);
        meddler.command(stage, &IMeddler::standCall { behind }).await?;
        Ok(meddler)
    }

    pub async fn plots(&self, stage: &Stage, plot: impl Into<Plot>) -> Result<()> {
        let Plot { meddling, lie, about, hides } = plot.into();
        let (mode, lie) = (U256::from(meddling as u8), U256::from(lie));
        self.command(stage, &IMeddler::meddleCall { mode, lie, about, hides }).await
    }

    /// One more call that it makes when it intrudes.
    pub async fn order(&self, stage: &Stage, target: Address, data: Vec<u8>) -> Result<()> {
        self.command(stage, &IMeddler::orderCall { target, data: data.into() }).await
    }

    pub async fn forgets(&self, stage: &Stage) -> Result<()> {
        self.command(stage, &IMeddler::forgetCall {}).await
    }

    /// Has it call the executor.
    pub async fn relay(&self, stage: &Stage, call: &impl SolCall) -> Result<()> {
        self.call(stage, stage.executor, call.abi_encode()).await
    }

    /// Has it call anybody.
    pub async fn call(&self, stage: &Stage, target: Address, data: Vec<u8>) -> Result<()> {
        self.command(stage, &IMeddler::relayCall { target, data: data.into() }).await
    }

    async fn command(&self, stage: &Stage, call: &impl SolCall) -> Result<()> {
        stage.fork.chain.invoke(STRANGER, self.0, call).await?;
        Ok(())
    }
}

/// Deploys a double.
pub async fn deploy(stage: &Stage, name: &str) -> Result<Address> {
    stage.fork.chain.create(stage.fork.manifest.deployer, code(name, "bytecode")?).await
}

/// One of the two codes of a double: `bytecode` or `deployedBytecode`.
pub fn code(name: &str, kind: &str) -> Result<Bytes> {
    let path = compiled()?.join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).wrap_err_with(|| format!("reading {}", path.display()))?;
    let artifact: serde_json::Value = serde_json::from_str(&text)?;
    let code = artifact[kind].as_str().ok_or_else(|| eyre!("{} has no {kind}", path.display()))?;
    Ok(code.parse()?)
}

/// Where the compiled doubles are. They are made anew when one is missing or older than its source.
fn compiled() -> Result<PathBuf> {
    let root = root();
    let output = root.join("target/test-contracts");
    let sources = files(&root.join("contracts/test-doubles"), "sol")?;
    // A source's file carries the name of its contract.
    let is_old = || {
        let made = |source: &Path| -> Option<SystemTime> {
            let name = source.with_extension("json");
            std::fs::metadata(output.join(name.file_name()?)).ok()?.modified().ok()
        };
        sources.iter().any(|(source, changed)| made(source).is_none_or(|made| made < *changed))
    };
    ensure!(!sources.is_empty(), "contracts/test-doubles is empty");
    if is_old() {
        // The others wait here, and then find it done.
        scripts_contracts(&["--test-doubles"], || !is_old())?;
    }
    Ok(output)
}

/// Runs `scripts/contracts`, one at a time, unless it `is_done` by then. Gives what it said.
pub fn scripts_contracts(arguments: &[&str], is_done: impl FnOnce() -> bool) -> Result<String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().map_err(|_| eyre!("another test's scripts/contracts failed"))?;
    if is_done() {
        return Ok(String::new());
    }
    let output = Command::new(root().join("scripts/contracts"))
        .args(arguments)
        .output()
        .wrap_err("starting scripts/contracts (it needs bash, and node 20 or later with npm)")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if !output.status.success() {
        bail!("scripts/contracts {}: {said}", arguments.join(" "));
    }
    Ok(said)
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(directory: &Path, extension: &str) -> Result<Vec<(PathBuf, SystemTime)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|found| found == extension) {
            files.push((entry.path(), entry.metadata()?.modified()?));
        }
    }
    Ok(files)
}
