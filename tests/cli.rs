//! The command line.

use alloy::primitives::U256;
use backstop::cli::{Cli, Command, DemoMarket, History, Token, Verdict, When};
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
    assert!(refused("backstop run --blocks 0").contains("is nothing to count to: 1 is the least"));
    assert!(refused("backstop run --blocks x").contains("is not a whole number"));
    assert!(refused("backstop history --limit -3").contains("-3"));
}

#[test]
fn the_demo_has_markets_of_its_own() {
    let demo = |line: &str| match typed(line).command {
        Command::Demo(demo) => (demo.market(), demo.fast, demo.stay),
        other => panic!("{other:?}"),
    };
    assert_eq!(demo("backstop demo"), (DemoMarket::V36, false, false));
    assert_eq!(demo("backstop demo --market v30 --fast"), (DemoMarket::V30, true, false));
    assert_eq!(demo("backstop --market v30 demo --stay"), (DemoMarket::V30, false, true));
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
    assert_eq!(need("backstop wallet list", Mode::Live), None);
    assert_eq!(need("backstop sweep", Mode::DryRun), Some(Need::Sweep));
    for line in ["backstop history", "backstop pause", "backstop resume"] {
        assert_eq!(need(line, Mode::Live), Some(Need::Read));
    }
}

#[test]
fn help_teaches() {
    let help = refused("backstop --help");
    for phrase in ["Examples:", "Exit codes:", "config.example.toml", "3  configuration"] {
        assert!(help.contains(phrase), "{help}");
    }
    for command in [
        "run",
        "scan",
        "positions",
        "explain",
        "deploy",
        "demo",
        "history",
        "pause",
        "resume",
        "sweep",
        "wallet",
    ] {
        let help = refused(&format!("backstop {command} --help"));
        assert!(help.contains("Needs "), "{help}");
    }
    let typed = format!("{:?}", typed("backstop scan --rpc-url http://h/c4nary"));
    assert!(!typed.contains("c4nary"), "{typed}");
}

fn history(line: &str) -> History {
    match typed(line).command {
        Command::History(history) => history,
        other => panic!("{other:?}"),
    }
}

#[test]
fn times_are_points_or_how_long_ago() {
    let since = |text: &str| history(&format!("backstop history --since {text}")).since.unwrap();
    assert_eq!(since("2h"), When::Ago(std::time::Duration::from_hours(2)));
    assert_eq!(since("1970-01-02"), When::At(86_400));
    assert_eq!(since("1970-01-02T00:00:07Z"), When::At(86_407));
    assert_eq!((since("1day").at(86_407), since("9day").at(7)), (7, 0));
    for text in ["soon", "1960-01-01", "2h ago", "1970-13-01"] {
        let said =
            Cli::read_from(["backstop", "history", "--since", text]).expect_err("accepted").to_string();
        assert!(said.contains("write how long ago"), "{said}");
    }
}

#[test]
fn the_history_has_verdicts_and_one_form() {
    let asked = history("backstop history --verdict foreign-nonce --limit 5 --csv");
    assert_eq!((asked.verdict, asked.limit.get(), asked.csv), (Some(Verdict::ForeignNonce), 5, true));
    let said = refused("backstop history --verdict lost");
    for word in ["would-send", "send", "held", "skip", "pending", "won", "reverted", "cancelled"] {
        assert!(said.contains(word), "{said}");
    }
    assert!(refused("backstop history --csv --json").contains("cannot be used with"));
    assert!(refused("backstop history --limit 0").contains("--limit"));
}

#[test]
fn the_owners_key_is_named_by_flags_that_are_keys() {
    let cli = typed("backstop sweep --keystore owner --password-file p --token all --yes");
    let flags = cli.flags();
    let found = flags.iter().map(|flag| (flag.flag, flag.key, flag.value.as_str())).collect::<Vec<_>>();
    assert_eq!(
        found,
        [("--keystore", "owner.keystore", "owner"), ("--password-file", "owner.password_file", "p")]
    );
    let token = |line: &str| match typed(line).command {
        Command::Sweep(sweep) => sweep.token,
        other => panic!("{other:?}"),
    };
    assert_eq!(token("backstop sweep"), Token::All);
    let zero = "0x0000000000000000000000000000000000000000";
    assert_eq!(
        token(&format!("backstop sweep --token {zero}")),
        Token::One(alloy::primitives::Address::ZERO)
    );
    assert!(refused("backstop sweep --token weth").contains("is not an address"));
}
