//! What is printed without looking anywhere, word for word: `tests/golden/*.txt`. With the environment variable
//! UPDATE_GOLDEN set, the files are written instead of compared; look at the difference before you commit it.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A configuration whose every part is set.
const FULL: &str = r#"mode = "live"
market = "ethereum"
datadir = "/var/lib/backstop"
[rpc]
http = "https://someone:g0lden5ecret@node.example/g0lden5ecret?key=g0lden5ecret"
ws = "${SOCKET}"
[markets.ethereum]
start_block = 16_291_127
[executor]
address = "0x00000000000000000000000000000000000e5ec0"
code_hash = "0x00000000000000000000000000000000000000000000000000000000c0de4a54"
owner = "0x0000000000000000000000000000000000c01d01"
receiver = "0x0000000000000000000000000000000000c01d02"
"#;

const WRONG: &str = r#"mode = "Live"
market = "ethereum"
[rpc]
http = "ftp://someone:g0lden5ecret@node.example"
pol = "2s"
[fees]
max_fee = 300
[executor]
address = "0x123"
"#;

/// Runs the keeper in an empty folder with this configuration and nothing of our environment.
fn said(config: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("backstop.toml"), config).unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", "/home/operator")
        .env("SOCKET", "wss://node.example/g0lden5ecret")
        .env(
            "BACKSTOP_WALLET__PRIVATE_KEY",
            "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        )
        .output()
        .unwrap();
    let [stdout, stderr] =
        [&ended.stdout, &ended.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let all = format!("{stdout}{stderr}");
    assert!(!all.contains("g0lden5ecret") && !all.contains("ac0974bec39a17e3"), "a secret in {all}");
    format!("$ backstop {}\n{stdout}{stderr}[{}]\n", arguments.join(" "), ended.status.code().unwrap())
}

fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is not what is printed now (UPDATE_GOLDEN=1 writes it):\n{found}",
        path.display()
    );
}

#[test]
fn the_built_in_markets() {
    check("markets", &[said("", &["markets"]), said("", &["markets", "--json"])].concat());
}

#[test]
fn the_configuration_in_effect() {
    let commands: [&[&str]; 4] = [
        &["config", "show"],
        &["config", "show", "--sources", "-v", "-m", "zksync"],
        &["config", "show", "--json"],
        &["config", "check"],
    ];
    check("config", &commands.map(|arguments| said(FULL, arguments)).concat());
}

#[test]
fn every_mistake_of_a_configuration() {
    let commands: [&[&str]; 3] = [&["config", "check"], &["config", "show"], &["doctor"]];
    check("mistakes", &commands.map(|arguments| said(WRONG, arguments)).concat());
}

#[test]
fn the_example_is_printed_as_it_is() {
    let example = include_str!("../config.example.toml");
    assert_eq!(said("", &["config", "example"]), format!("$ backstop config example\n{example}[0]\n"));
}

#[test]
fn help_of_every_command() {
    let commands = [
        "",
        "run",
        "scan",
        "positions",
        "deploy",
        "doctor",
        "markets",
        "config",
        "completions",
        "man",
        "demo",
    ];
    let help = |command: &&str| {
        let arguments: Vec<&str> = [*command, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        said("", &arguments)
    };
    check("help", &commands.iter().map(help).collect::<String>());
}

#[test]
fn the_manual_and_the_completions_know_every_command() {
    let manual = said("", &["man"]);
    let shells =
        ["bash", "zsh", "fish", "elvish", "powershell"].map(|shell| said("", &["completions", shell]));
    for command in ["run", "scan", "positions", "deploy", "doctor", "markets", "config", "man", "demo"] {
        assert!(manual.contains(&format!("backstop\\-{command}(1)")), "no {command} in {manual}");
        assert!(
            said("", &["man", command]).contains(&format!("backstop\\-{command} \\-")),
            "no page of {command}"
        );
        assert!(
            shells.iter().all(|script| script.contains(command)),
            "{command} is not completed everywhere"
        );
    }
    assert!(said("", &["man", "nonsense"]).ends_with("`backstop --help` lists them\n[2]\n"));
}
