//! Secrets are never told: over every command, at every verbosity, with nodes that quote them back, and with values
//! put in the wrong places, no part of them is on either output.

use alloy::primitives::keccak256;
use alloy::signers::local::PrivateKeySigner;
use backstop::cli::Cli;
use clap::CommandFactory;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const KEY: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const PASSWORD: &str = "passw0rd-c4nary";
const URL_PARTS: [&str; 5] = ["us3r-c4nary", "p4ss-c4nary", "p4th-c4nary", "qu3ry-c4nary", "fr4gment-c4nary"];

/// How a node answers.
#[derive(Clone, Copy, Debug)]
enum Node {
    Nobody,
    /// Quotes the URL and its parts in a JSON-RPC error.
    Quotes,
    /// An HTTP error whose body quotes them.
    Forbids,
    /// Something that is not JSON-RPC and quotes them.
    Babbles,
    /// A redirection to a URL with the same secrets.
    Redirects,
    Closes,
}

const NODES: [Node; 6] =
    [Node::Nobody, Node::Quotes, Node::Forbids, Node::Babbles, Node::Redirects, Node::Closes];

fn url(port: u16) -> String {
    let [user, password, path, query, fragment] = URL_PARTS;
    format!("http://{user}:{password}@127.0.0.1:{port}/v3/{path}?key={query}#{fragment}")
}

/// Serves until the process ends.
fn serve(node: Node) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    if matches!(node, Node::Nobody) {
        return port;
    }
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
                line.clear();
            }
            let mut body = vec![0; length];
            let _cut_short = reader.read_exact(&mut body);
            let request: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            let quoted =
                format!("{} is not allowed: {} of {}", URL_PARTS.join(" "), url(port), &url(port)[5..]);
            let error = serde_json::json!({ "jsonrpc": "2.0", "id": request["id"],
                "error": { "code": -32000, "message": quoted, "data": quoted } });
            let (status, more, body) = match node {
                Node::Quotes => ("200 OK", String::new(), error.to_string()),
                Node::Forbids => ("403 Forbidden", String::new(), quoted),
                Node::Babbles => {
                    ("200 OK", String::new(), format!("{{\"jsonrpc\":\"2.0\",\"id\":0,\"{quoted}"))
                }
                Node::Redirects => {
                    ("307 Temporary Redirect", format!("Location: {}\r\n", url(1)), String::new())
                }
                Node::Nobody | Node::Closes => continue,
            };
            let head = format!(
                "HTTP/1.1 {status}\r\n{more}Connection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _gone = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    port
}

/// A folder with a configuration that holds all the secrets there are.
struct Operator {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// How the key is held.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Keystore,
    Environment,
}

fn operator(url: &str, held: Held) -> Operator {
    let folder = tempfile::tempdir().unwrap();
    let wallet = match held {
        Held::Environment => "",
        Held::Keystore => "[wallet]\nkeystore = \"./key.json\"\npassword_file = \"password\"\n",
    };
    let text = format!(
        "mode = \"live\"\nmarket = \"ethereum\"\ndatadir = \"data\"\n[rpc]\nhttp = \"{url}\"\nws = \"{}\"\n\
         timeout = \"300ms\"\n[executor]\naddress = \"0x00000000000000000000000000000000000e5ec0\"\n\
         owner = \"0x0000000000000000000000000000000000c01d01\"\n\
         receiver = \"0x0000000000000000000000000000000000c01d02\"\n{wallet}",
        url.replacen("http", "ws", 1)
    );
    fs::write(folder.path().join("backstop.toml"), text).unwrap();
    let environment = match held {
        Held::Environment => vec![("BACKSTOP_WALLET__PRIVATE_KEY", KEY.to_owned())],
        Held::Keystore => vec![],
    };
    Operator { folder, environment }
}

/// An encrypted key and its password, as files for their owner alone.
fn keep(folder: &Path) {
    let key = alloy::hex::decode(KEY).unwrap();
    let mut chance = alloy::signers::k256::elliptic_curve::rand_core::OsRng;
    PrivateKeySigner::encrypt_keystore(folder, &mut chance, key, PASSWORD, Some("key.json")).unwrap();
    fs::write(folder.join("password"), PASSWORD).unwrap();
    for file in ["key.json", "password"] {
        fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Runs the keeper and looks at every byte it says.
fn check(operator: &Operator, arguments: &[&str]) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .args(arguments)
        .current_dir(operator.folder.path())
        .env_clear()
        .env("HOME", operator.folder.path())
        .envs(operator.environment.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said =
        [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let mut secrets = URL_PARTS.map(str::to_owned).to_vec();
    secrets.extend([PASSWORD.to_owned(), KEY.to_owned(), KEY[2..60].to_owned()]);
    secrets.push(keccak256(KEY).to_string());
    for secret in secrets {
        assert!(
            !said.to_lowercase().contains(&secret.to_lowercase()),
            "{arguments:?} told {secret}:\n{said}"
        );
    }
    said
}

/// Every command there is, with arguments where it needs some.
fn commands() -> Vec<Vec<String>> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut all = Vec::new();
    for command in Cli::command().get_subcommands() {
        match command.get_name() {
            "run" => all.push(words("run --blocks 1")),
            "deploy" => all.push(words("deploy --yes")),
            "positions" => all.extend([words("positions"), words("positions --audit --block 7")]),
            "config" => all.extend(
                ["show --sources", "check", "check --online", "example"]
                    .map(|what| words(&format!("config {what}"))),
            ),
            "completions" => all.push(words("completions zsh")),
            // It has a chain of its own, and reads no configuration.
            "demo" => all.push(words("demo --market ethereum")),
            // A command that is new is looked at as it stands.
            other => all.push(words(other)),
        }
    }
    assert!(all.len() > 10, "{all:?}");
    all
}

#[test]
fn no_command_tells_a_secret_whatever_the_node_says() {
    std::thread::scope(|scope| {
        for (index, node) in NODES.into_iter().enumerate() {
            scope.spawn(move || {
                let held = if index == 1 { Held::Keystore } else { Held::Environment };
                let operator = operator(&url(serve(node)), held);
                if held == Held::Keystore {
                    keep(operator.folder.path());
                }
                for command in commands() {
                    let words: Vec<&str> = command.iter().map(String::as_str).collect();
                    check(&operator, &[&words[..], &["-vv"]].concat());
                    check(&operator, &[&words[..], &["-vv", "--json"]].concat());
                }
                let said = check(&operator, &["doctor"]);
                assert!(said.contains("fail  rpc ") && said.contains("ok    wallet "), "{node:?}: {said}");
            });
        }
    });
}

#[test]
fn no_mistake_tells_a_secret() {
    let url = url(9);
    let operator = operator(&url, Held::Environment);
    let socket = url.replacen("http", "ws", 1);
    let path = url.replacen("http://", "", 1);
    let typed: [&[&str]; 9] = [
        &["scan", &url],
        &["scan", "--rpc-url", &url, "--nonsense"],
        &["--rpc-url", &socket, "scan"],
        &["--rpc-url", &path, "scan", "--json"],
        &["-m", &url, "scan"],
        &["-c", &url, "scan"],
        &["--datadir", &url, "doctor"],
        &["--datadir", &url, "config", "show"],
        &["man", &url],
    ];
    for arguments in typed {
        check(&operator, arguments);
    }
    let lines = [
        format!("http = \"{url}\"\n[rpc]\n"),
        format!("[rpc]\nhttp = \"{socket}\"\n"),
        format!("[rpc]\nhttp = \"{}\"\n", url.replace("127.0.0.1:9", "[bad")),
        format!("[rpc]\nhttp = {url}\n"),
        format!("[rpc]\nhttp = \"{url}\n"),
        format!("[rpc]\n\"{url}\" = 1\n"),
        format!("mode = \"{url}\"\n[rpc]\npoll = \"{url}\"\nbatch = \"{url}\"\nlog_range = \"{KEY}\"\n"),
        format!("[executor]\naddress = \"{KEY}\"\nowner = \"{url}\"\n"),
        format!("[wallet]\nprivate_key = \"{KEY}\"\n"),
        format!("[wallet]\nkeystore = \"{KEY}\"\n"),
        format!("[wallet]\nkeystore = \"./key.json\"\npassword_file = \"0x{KEY}\"\n"),
        format!("[fees]\nmax_fee = \"{KEY} gwei\"\n[profit]\nminimum_wei = \"0x{KEY}\"\n"),
        format!(
            "market = \"{KEY}\"\n[markets.m]\nchain_id = \"{url}\"\naddresses_provider = \"${{HOME}}{url}\"\n"
        ),
    ];
    for text in lines {
        fs::write(operator.folder.path().join("backstop.toml"), &text).unwrap();
        let commands: [&[&str]; 4] =
            [&["scan", "-vv"], &["doctor", "--json"], &["config", "show"], &["config", "check"]];
        for arguments in commands {
            check(&operator, arguments);
        }
    }
}

#[test]
fn no_password_is_told_when_it_is_wrong() {
    let operator = operator(&url(9), Held::Keystore);
    keep(operator.folder.path());
    let sealed = fs::read_to_string(operator.folder.path().join("key.json")).unwrap();
    let altered = sealed.replace("\"mac\":\"", "\"mac\":\"00").replacen("scrypt", PASSWORD, 1);
    for (file, text) in [
        ("password", format!("{PASSWORD}!")),
        ("key.json", KEY.to_owned()),
        ("key.json", format!("\"{PASSWORD}\"")),
        ("key.json", altered),
    ] {
        fs::write(operator.folder.path().join(file), text).unwrap();
        for arguments in [["doctor", "-vv"], ["doctor", "--json"], ["run", "-vv"], ["deploy", "--yes"]] {
            let said = check(&operator, &arguments);
            assert!(arguments[0] != "doctor" || said.contains("fail"), "{said}");
        }
    }
}
