//! The command line.

use alloy::primitives::U256;
use backstop::cli::{Cli, Command, DemoMarket};
use backstop::config::{Mode, Need};
use backstop::domain::units::HealthFactor;
use clap::CommandFactory;

fn typed(line: &str) -> Cli {
    Cli::read_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(line: &str) -> String {
    Cli::read_from(line.split_whitespace()).expect_err("accepted").to_string()
}

#[test]
fn the_commands_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn flags_are_keys() {
    let set = |line: &str| {
        let flags = typed(line).flags();
        flags.into_iter().map(|flag| format!("{} {}={}", flag.flag, flag.key, flag.value)).collect::<Vec<_>>()
    };
    assert_eq!(set("backstop scan"), [""; 0]);
    assert_eq!(
        set("backstop scan -m v30 --rpc-url http://h --datadir d -vv"),
        ["--datadir datadir=d", "--market market=v30", "--rpc-url rpc.http=http://h", "-v log.level=trace"]
    );
    assert_eq!(set("backstop -q --market v30 run"), ["--market market=v30", "-q log.level=warn"]);
    assert_eq!(set("backstop run -qqqq"), ["-q log.level=off"]);
    assert!(refused("backstop run -v -q").contains("cannot be used with"));
}

#[test]
fn arguments_are_typed() {
    let Command::Positions(positions) = typed("backstop positions --below 1.05 --block 7 --audit").command
    else {
        panic!("not positions")
    };
    assert_eq!(positions.below, Some(HealthFactor(U256::from(1_050_000_000_000_000_000_u64))));
    assert_eq!((positions.block, positions.audit, positions.account), (Some(7), true, None));
    assert!(refused("backstop positions --below healthy").contains("is not a decimal number"));
    assert!(
        refused("backstop scan --account 0x12").contains("is not an address: write 0x and 40 hex digits")
    );
    let Command::Explain(explain) =
        typed(&format!("backstop explain 0x{} --target 1.2", "11".repeat(20))).command
    else {
        panic!("not explain")
    };
    assert_eq!(explain.target, HealthFactor(U256::from(1_200_000_000_000_000_000_u64)));
    assert!(refused("backstop explain").contains("ADDRESS"));
    assert!(refused("backstop run --blocks 0").contains("--blocks"));
}

#[test]
fn the_demo_has_markets_of_its_own() {
    let demo = |line: &str| match typed(line).command {
        Command::Demo(demo) => (demo.market(), demo.fast),
        other => panic!("{other:?}"),
    };
    assert_eq!(demo("backstop demo"), (DemoMarket::V36, false));
    assert_eq!(demo("backstop demo --market v30 --fast"), (DemoMarket::V30, true));
    assert_eq!(demo("backstop --market v30 demo"), (DemoMarket::V30, false));
    assert!(refused("backstop demo --market v31").contains("[possible values: v30, v36]"));
    assert!(refused("backstop -m ethereum demo").contains("v30 and v36"));
}

#[test]
fn each_command_says_what_it_needs() {
    let need = |line: &str, mode| typed(line).command.need(mode);
    assert_eq!(need("backstop run", Mode::DryRun), Some(Need::Route));
    assert_eq!(need("backstop run", Mode::Live), Some(Need::Live));
    assert_eq!(need("backstop scan", Mode::Live), Some(Need::Route));
    assert_eq!(need("backstop positions", Mode::Live), Some(Need::Read));
    let explain = format!("backstop explain 0x{}", "11".repeat(20));
    assert_eq!(need(&explain, Mode::Live), Some(Need::Read));
    assert_eq!(need("backstop deploy", Mode::DryRun), Some(Need::Deploy));
    assert_eq!(need("backstop demo", Mode::DryRun), None);
}

#[test]
fn help_teaches() {
    let help = refused("backstop --help");
    for phrase in ["Examples:", "Exit codes:", "config.example.toml", "3  configuration"] {
        assert!(help.contains(phrase), "{help}");
    }
    for command in ["run", "scan", "positions", "explain", "deploy", "demo"] {
        let help = refused(&format!("backstop {command} --help"));
        assert!(help.contains("Needs "), "{help}");
    }
    let typed = format!("{:?}", typed("backstop scan --rpc-url http://h/c4nary"));
    assert!(!typed.contains("c4nary"), "{typed}");
}
