//! Compiled contracts: finds them (npm packages, and what compile.mjs made of those published as sources), links their
//! libraries and deploys them. One JSON shape for both: hardhat's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use alloy::{hex, primitives::Address, sol_types::SolCall};
use eyre::{Result, WrapErr, bail, eyre};
use serde::Deserialize;

use super::chain::Chain;

/// Aave V3.0's artifacts, by the path under `contracts/`.
pub const AAVE_V30: &str = "@aave/core-v3/artifacts/contracts";
pub const UNISWAP_CORE: &str = "@uniswap/v3-core/artifacts/contracts";
pub const UNISWAP_PERIPHERY: &str = "@uniswap/v3-periphery/artifacts/contracts";
pub const UNISWAP_ROUTERS: &str = "@uniswap/swap-router-contracts/artifacts/contracts";
pub const UNISWAP_V2_CORE: &str = "@uniswap/v2-core/build";
pub const UNISWAP_V2_PERIPHERY: &str = "@uniswap/v2-periphery/build";

/// Where the library `name` lies; the key is the bare name, which is unique within a protocol.
pub type Libraries = BTreeMap<&'static str, Address>;

/// Where compiled contracts are found.
#[derive(Debug, Clone)]
pub struct Artifacts {
    modules: PathBuf,
    compiled: PathBuf,
}

/// One contract's creation code with the places of its libraries still open.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    bytecode: String,
    /// source -> library -> byte offsets into the code
    #[serde(default)]
    link_references: BTreeMap<String, BTreeMap<String, Vec<Reference>>>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    start: usize,
}

impl Artifacts {
    /// Compiles what is published as sources, unless that was done before (about 20 s the first time).
    pub fn prepare(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let tests = super::tests_directory()?;
        progress("looking for compiled contracts (the first time they are compiled, about 20 s)");
        let output = Command::new("node")
            .arg(tests.join("compile.mjs"))
            .stdin(Stdio::null())
            .output()
            .wrap_err("running `node anvil-tests/compile.mjs`: node 20 or newer must be in the PATH")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("anvil-tests/compile.mjs: {}", said.trim());
        }
        for line in said.lines() {
            progress(line);
        }
        let compiled = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Ok(Self { modules: tests.join("node_modules"), compiled })
    }

    /// A contract that compile.mjs made.
    pub fn compiled(&self, name: &str) -> PathBuf {
        self.compiled.join(format!("{name}.json"))
    }

    /// A contract of a package: one of the constants above and e.g. `protocol/pool/Pool`.
    pub fn packaged(&self, package: &str, file: &str) -> PathBuf {
        let name = file.rsplit('/').next().unwrap_or(file);
        self.modules.join(package).join(format!("{file}.sol")).join(format!("{name}.json"))
    }

    /// A contract of a package that keeps all its contracts in one folder, as waffle does.
    pub fn flat(&self, package: &str, name: &str) -> PathBuf {
        self.modules.join(package).join(format!("{name}.json"))
    }
}

/// One account that deploys compiled contracts on one chain.
#[derive(Debug, Clone)]
pub struct Deployer {
    pub chain: Chain,
    pub artifacts: Artifacts,
    pub from: Address,
}

impl Deployer {
    /// Deploys what compile.mjs made; `arguments` are the constructor's, ABI-encoded.
    pub async fn compiled(&self, name: &str, libraries: &Libraries, arguments: Vec<u8>) -> Result<Address> {
        self.create(&self.artifacts.compiled(name), libraries, arguments).await
    }

    /// Deploys what a package carries compiled.
    pub async fn packaged(
        &self,
        (package, file): (&str, &str),
        libraries: &Libraries,
        arguments: Vec<u8>,
    ) -> Result<Address> {
        self.create(&self.artifacts.packaged(package, file), libraries, arguments).await
    }

    /// Calls a contract as the deployer.
    pub async fn invoke(&self, to: Address, call: &impl SolCall) -> Result<()> {
        self.chain.invoke(self.from, to, call).await?;
        Ok(())
    }

    /// Deploys the contract in the file `path`; `arguments` are the constructor's, ABI-encoded.
    pub async fn create(&self, path: &Path, libraries: &Libraries, arguments: Vec<u8>) -> Result<Address> {
        let mut code = load(path)?.link(libraries).wrap_err_with(|| format!("linking {}", path.display()))?;
        code.extend(arguments);
        self.chain
            .create(self.from, code.into())
            .await
            .wrap_err_with(|| format!("deploying {}", path.display()))
    }
}

fn load(path: &Path) -> Result<Artifact> {
    let text = std::fs::read_to_string(path).wrap_err_with(|| {
        format!(
            "reading {}: run `npm ci --ignore-scripts --prefix anvil-tests` if it is not there",
            path.display()
        )
    })?;
    serde_json::from_str(&text).wrap_err_with(|| format!("{} is not a compiled contract", path.display()))
}

impl Artifact {
    fn link(self, libraries: &Libraries) -> Result<Vec<u8>> {
        let mut code = self.bytecode.trim_start_matches("0x").to_owned();
        for (name, references) in self.link_references.values().flatten() {
            let address =
                libraries.get(name.as_str()).ok_or_else(|| eyre!("library {name} is not deployed yet"))?;
            for reference in references {
                // Two hexadecimal digits a byte.
                let from = reference.start * 2;
                let range = from..from + 40;
                if code.get(range.clone()).is_none() {
                    bail!("library {name} has its place outside the code");
                }
                code.replace_range(range, &hex::encode(address));
            }
        }
        hex::decode(&code).wrap_err("the code has a library that its link references do not name")
    }
}
