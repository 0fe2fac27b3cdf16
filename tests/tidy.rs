//! The rules of the source that no compiler holds: who may know whom, and what a file looks like. Each violation
//! is a sentence that says what to do instead. `tidy/wrong.rs` shows that every rule can fail.

mod code;
mod wrong;

use code::{Named, Token};
use std::fs;
use std::path::Path;

/// Who may name whom inside the crate. A module that is not here gets a line when it is made.
const ARROWS: [(&str, &[&str]); 8] = [
    ("abi", &["abi"]),
    ("domain", &["domain", "abi"]),
    ("config", &["config", "domain"]),
    ("io", &["io", "domain", "abi"]),
    ("exit", &["exit", "config"]),
    ("cli", &["cli", "config", "domain", "exit"]),
    ("app", &["app", "io", "domain", "abi", "config", "exit", "cli"]),
    ("main", &["app", "cli", "config", "exit"]),
];

/// What the deciding part never names, and what it does instead.
const IMPURE: [(&str, &str); 18] = [
    ("tokio", "return an Effect and take the outcome as an Input"),
    ("reqwest", "return an Effect and let io do it"),
    ("tracing", "put it into the Report; app says it"),
    ("log", "put it into the Report; app says it"),
    ("rusqlite", "return an Effect; the journal is in io"),
    ("eyre", "return an enum that the caller can match"),
    ("url", "endpoints belong to config and io"),
    ("secrecy", "secrets belong to config and io::signer"),
    ("std::time", "take the block's timestamp as an argument"),
    ("std::env", "take the value as an argument; config reads the environment"),
    ("std::fs", "return an Effect; files belong to io"),
    ("std::io", "return a value; io prints it"),
    ("std::net", "return an Effect; the network belongs to io"),
    ("std::process", "return an error; main ends the process"),
    ("std::thread", "the deciding part has one owner and no tasks"),
    ("alloy::providers", "return an Effect with the Read; io::reader asks"),
    ("alloy::transports", "return an Effect with the Read; io::reader asks"),
    ("rand", "chance is an input: take it as an argument"),
];

/// Words that only the signer says.
const KEYS: [&str; 6] =
    ["PrivateKeySigner", "LocalSigner", "SigningKey", "MnemonicBuilder", "k256", "signers"];

/// Lines after which a file is two files.
const MOST_LINES: usize = 450;

#[test]
fn the_source_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    let mut seen = 0;
    for folder in ["src", "tests", "anvil-tests"] {
        for (path, text) in sources(root, folder) {
            seen += 1;
            wrong.extend(violations(&path, &text));
        }
    }
    assert!(seen > 50, "only {seen} files were found: the folders moved, and this test with them");
    assert!(wrong.is_empty(), "{} violations:\n{}\n", wrong.len(), wrong.join("\n"));
}

/// Every Rust file below `folder`, by its path from `root`.
fn sources(root: &Path, folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            if path.is_dir() && !name.ends_with("node_modules") {
                folders.push(path);
            } else if name.ends_with(".rs") {
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Everything wrong with the file at `path`, a sentence each.
fn violations(path: &str, text: &str) -> Vec<String> {
    let tokens = code::tokens(text);
    let mut wrong = ignored(path, &tokens);
    if path.starts_with("src/") {
        let named = code::paths(&code::module(path), text);
        wrong.extend(shape(path, text));
        wrong.extend(arrows(path, &named));
        wrong.extend(purity(path, &tokens, &named));
        wrong.extend(protocols(path, &named));
        wrong.extend(words(path, &tokens));
    }
    wrong
}

fn shape(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!("{path}: open it with `//!` and what it is for, and what it leaves to others"));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        wrong
            .push(format!("{path}: {lines} lines are two files: find the second one ({MOST_LINES} at most)"));
    }
    wrong
}

/// `main -> app -> io -> domain`, and `config -> domain`.
fn arrows(path: &str, named: &[Named]) -> Vec<String> {
    let owner = match path.trim_start_matches("src/").split(['/', '.']).next() {
        Some("lib") | None => return vec![],
        Some(owner) => owner,
    };
    // The demonstration is the one command that brings its own chain.
    let named = named.iter().filter(|name| !path.starts_with("src/app/demo") || !name.within("crate::bed"));
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == owner) else {
        return vec![format!("{path}: say in ARROWS of tests/tidy.rs what `{owner}` may know")];
    };
    let inside = |name: &&Named| name.within("crate") || name.within("backstop");
    let target = |name: &Named| name.path.get(1).cloned().unwrap_or_default();
    named
        .filter(inside)
        .filter(|name| {
            let target = target(name);
            target.chars().all(|c| c.is_lowercase() || c == '_')
                && !allowed.contains(&target.as_str())
                && target != owner
        })
        .map(|name| {
            format!(
                "{path}:{}: `{owner}` does not know `{}` (main -> app -> io -> domain; config -> domain): move what it \
                 needs into `domain`, or let the caller hand it over as a value",
                name.line,
                target(name)
            )
        })
        .collect()
}

fn purity(path: &str, tokens: &[Token], named: &[Named]) -> Vec<String> {
    if !path.starts_with("src/domain/") {
        return vec![];
    }
    let mut wrong = Vec::new();
    for (what, instead) in IMPURE {
        let found = named.iter().filter(|name| name.within(what));
        wrong.extend(
            found.map(|name| format!("{path}:{}: the domain does not name `{what}`: {instead}", name.line)),
        );
    }
    for token in tokens {
        let instead = match token.text.as_str() {
            "async" | "await" => "it never waits: return an Effect and take the outcome as an Input",
            "SystemTime" | "Instant" => "it has no clock: take the block's timestamp as an argument",
            "static" | "thread_local" | "OnceLock" | "LazyLock" => {
                "it has no globals: give the value an owner"
            }
            _ => continue,
        };
        wrong.push(format!("{path}:{}: `{}` in the domain: {instead}", token.line, token.text));
    }
    wrong
}

/// Protocols know the trait and the units; nobody but the wiring knows a protocol.
fn protocols(path: &str, named: &[Named]) -> Vec<String> {
    if !path.starts_with("src/domain/") {
        return vec![];
    }
    let own = path.strip_prefix("src/domain/protocols/").and_then(|rest| rest.split(['/', '.']).next());
    let others = named.iter().filter(|name| name.within("crate::domain::protocols") && name.path.len() > 3);
    others
        .filter(|name| name.path.get(3).map(String::as_str) != own)
        .map(|name| match own {
            Some(own) => format!(
                "{path}:{}: `{own}` does not import `{}`: what two protocols share belongs to domain::protocol or \
                 domain::units",
                name.line, name.path[3]
            ),
            None => format!(
                "{path}:{}: the domain knows protocols by the trait only: ask `Protocol`, or add what is missing to it",
                name.line
            ),
        })
        .collect()
}

/// Keys, floats and unfinished work.
fn words(path: &str, tokens: &[Token]) -> Vec<String> {
    let signs = path == "src/io/signer.rs" || path.starts_with("src/io/signer/");
    let mut wrong = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let (text, line) = (token.text.as_str(), token.line);
        let bang = tokens.get(index + 1).is_some_and(|next| next.text == "!");
        if KEYS.contains(&text) && !signs {
            wrong
                .push(format!("{path}:{line}: only io/signer names keys (`{text}`): ask the signer to sign"));
        }
        if code::is_float(text)
            || ["f32", "f64"].contains(&text)
            || text.ends_with("_f64")
            || text.ends_with("_f32")
        {
            wrong.push(format!(
                "{path}:{line}: `{text}` is a float: count in the smallest unit, and let units::show place the point"
            ));
        }
        if bang && ["todo", "unimplemented"].contains(&text) {
            wrong.push(format!(
                "{path}:{line}: `{text}!` ships: do it, or return an error that says it is missing"
            ));
        }
    }
    wrong
}

/// A test that does not run says why.
fn ignored(path: &str, tokens: &[Token]) -> Vec<String> {
    let mut wrong = Vec::new();
    for window in tokens.windows(4) {
        let [hash, open, word, next] = window else { continue };
        if hash.text == "#" && open.text == "[" && word.text == "ignore" && next.text != "=" {
            wrong.push(format!("{path}:{}: say why the test is ignored: #[ignore = \"…\"]", word.line));
        }
    }
    wrong
}
