//! A configuration to be read: a directory with a file, an environment, flags; and `check`.

use backstop::config::{Config, Flag, Need, Sources};
use std::collections::BTreeMap;

/// Stands for what must never be printed.
pub const CANARY: &str = "c4nary5ecret";

pub const BASE: &str = r#"[rpc]
http = "http://127.0.0.1:8545/c4nary5ecret"
[markets.v30]
chain_id = 31337
addresses_provider = "0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e"
"#;

pub const ROUTE: &str = r#"[markets.v30.route]
uniswap_v3_factory = "0x1F98431c8aD98523631AE4a59f267346ea31F984"
uniswap_v3_quoter = "0x61fFE014bA17989E743c5F6cB21bF9697530B21e"
uniswap_v3_router = "0xE592427A0AEce92De3Edee1F18E0157C05861564"
wrapped_native = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
"#;

pub const PAIRS: &str = r#"uniswap_v2_factory = "0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f"
uniswap_v2_router = "0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D"
"#;

pub const ACCOUNT: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
pub const PRIVATE_KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A directory with a `backstop.toml`, an environment and flags.
pub struct Given {
    pub directory: tempfile::TempDir,
    pub sources: Sources,
}

pub fn file(text: &str) -> Given {
    let given = no_file();
    std::fs::write(given.directory.path().join("backstop.toml"), text).unwrap();
    given
}

pub fn no_file() -> Given {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home").into_os_string();
    let sources = Sources {
        directory: directory.path().to_owned(),
        environment: BTreeMap::from([("HOME".to_owned(), home)]),
        ..Sources::default()
    };
    Given { directory, sources }
}

/// `BASE` with a line more: before the tables, or below its own.
pub fn with(line: &str) -> Given {
    if line.starts_with('[') { file(&format!("{BASE}{line}\n")) } else { file(&format!("{line}\n{BASE}")) }
}

pub fn rpc(line: &str) -> Given {
    file(&BASE.replace("[markets.v30]", &format!("{line}\n[markets.v30]")))
}

impl Given {
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.to_owned(), value.into());
        self
    }
    pub fn flag(mut self, flag: &'static str, key: &'static str, value: &str) -> Self {
        self.sources.flags.push(Flag { flag, key, value: value.to_owned() });
        self
    }
    pub fn beside(self, name: &str, content: &str) -> Self {
        std::fs::write(self.directory.path().join(name), content).unwrap();
        self
    }
    pub fn config(&self) -> Config {
        Config::load(&self.sources).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }
    /// All that is said, at load or, where that succeeds, about `need`.
    pub fn said(&self, need: Need) -> String {
        let mistakes = match Config::load(&self.sources) {
            Ok(config) => config.require(need).expect_err("nothing was found wrong"),
            Err(mistakes) => mistakes,
        };
        mistakes.to_string()
    }
}

/// Each of `phrases` is said, in as many lines as `count`, and no secret is.
pub fn check_all(given: &Given, need: Need, count: usize, phrases: &[&str]) {
    let said = given.said(need);
    for phrase in phrases {
        assert!(said.contains(phrase), "expected {phrase:?} in\n{said}");
    }
    assert_eq!(said.lines().skip(1).count(), count, "{said}");
    assert!(!said.contains(CANARY) && !said.contains(&PRIVATE_KEY[2..]), "a secret in\n{said}");
}

/// One mistake, said with its place, its key and what to do.
pub fn check(given: Given, line: &str) {
    check_all(&given, Need::Read, 1, &[line]);
}
