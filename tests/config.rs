//! What is said about a configuration that is wrong: a row a mistake, through one `check`.

mod accepted;
mod built_in;
mod given;

use backstop::config::Need;
use given::*;
use std::path::Path;

#[test]
fn unknown_keys_are_refused_with_the_nearest_one() {
    check(rpc("pol = \"2s\""), "backstop.toml:3: rpc.pol: unknown key; did you mean rpc.poll?");
    check(with("[proft]\nminimum_wei = 1"), "backstop.toml:6: proft: unknown table; did you mean profit?");
    check(with("http = \"x\""), "backstop.toml:1: http: unknown key; did you mean rpc.http?");
    check(with("slippage = 50"), "backstop.toml:1: slippage: unknown key; config.example.toml lists");
    check(
        with("[markets.v30.rout]"),
        "backstop.toml:6: markets.v30.rout: unknown table; did you mean markets.v30.route?",
    );
    check(
        with("").variable("BACKSTOP_RPC_HTTP", "http://h"),
        "environment BACKSTOP_RPC_HTTP: rpc_http: unknown key; did you mean BACKSTOP_RPC__HTTP?",
    );
    check(
        with("").variable("BACKSTOP_MARKETS__V30__CHAINID", "1"),
        "BACKSTOP_MARKETS__V30__CHAINID: markets.v30.chainid: unknown key; did you mean BACKSTOP_MARKETS__V30__CHAIN_ID?",
    );
    check(with("").variable("BACKSTOP_RPC", "1"), "rpc: is a table: set its keys, e.g. BACKSTOP_RPC__HTTP");
}

#[test]
fn wrong_types_are_refused_with_the_right_one() {
    check(
        rpc("batch = \"150\""),
        "backstop.toml:3: rpc.batch: \"150\" is text; write the number without quotes",
    );
    check(rpc("poll = 2"), "backstop.toml:3: rpc.poll: 2 has no unit; write \"2s\", \"500ms\" or \"1m\"");
    check(rpc("batch = 1.5"), "rpc.batch: 1.5 is not a whole number of reads");
    check(rpc("batch = [1]"), "rpc.batch: is an array; write a number");
    check(with("mode = true"), "backstop.toml:1: mode: is a boolean; write text in quotes");
    check(with("mode = \"Live\""), "mode: \"Live\" is not one of \"dry-run\", \"live\"");
    check(with("log = \"info\""), "backstop.toml:1: log: is a table: write [log] and its keys below");
    check(with("[mode]"), "backstop.toml:6: mode: is a single value, not a table");
    check(
        with("").variable("BACKSTOP_RPC__BATCH", "many"),
        "BACKSTOP_RPC__BATCH: rpc.batch: \"many\" is not a number",
    );
    check(
        with("").flag("-v", "log.level", "loud"),
        "flag -v: log.level: \"loud\" is not one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
    );
}

#[test]
fn units_and_ranges_are_refused_with_what_is_allowed() {
    check(rpc("poll = \"2\""), "rpc.poll: 2 has no unit");
    check(rpc("poll = \"soon\""), "rpc.poll: \"soon\" is not a time with its unit");
    check(rpc("poll = \"1ms\""), "rpc.poll: \"1ms\" is out of range: 50ms to 10m");
    check(rpc("timeout = \"1h\""), "rpc.timeout: \"1h\" is out of range: 100ms to 5m");
    check(rpc("batch = 0"), "rpc.batch: 0 is out of range: 1 to 2000 reads");
    check(rpc("log_range = -1"), "rpc.log_range: -1 is below zero");
    check(
        with("[fees]\nmax_fee = 300"),
        "backstop.toml:7: fees.max_fee: 300 has no unit; write \"300 gwei\"",
    );
    check(with("[fees]\nmax_fee = \"1 ether\""), "fees.max_fee: \"1 ether\" is not in wei or gwei");
    check(with("[fees]\nmax_fee = \"0.0000000001 gwei\""), "has more than 9 digits behind the point");
    check(with("[fees]\nmax_fee = \"200000 gwei\""), "is out of range: at most 100000 gwei");
    check(with("[fees]\nmax_fee = \"0 gwei\""), "fees.max_fee: is zero: nothing could ever be sent");
    check(
        with("[fees]\nmax_fee = \"30 gwei\""),
        "backstop.toml:7: fees.max_fee: is below fees.max_tip, which is part of it",
    );
    check(with("[fees]\nmax_tip = \"400 gwei\""), "fees.max_tip: is above fees.max_fee, which it is part of");
    check(with("[fees]\ntip_share = 50"), "fees.tip_share: 50 is out of range: 0.0 to 0.9; a tenth is 0.1");
    check(with("[fees]\ntip_share = -0.1"), "fees.tip_share: -0.1 is below zero");
    check(
        with("[fees]\ntip_share = 0.12345"),
        "fees.tip_share: 0.12345 has more than 4 digits behind the point",
    );
    check(
        with("[fees]\ngas_limit = 21000"),
        "fees.gas_limit: 21000 is out of range: 100000 to 100000000 gas",
    );
    check(
        with("[profit]\nslippage_bps = 0.5"),
        "profit.slippage_bps: 0.5 is not a whole number of basis points",
    );
    check(
        with("[profit]\nslippage_bps = 5000"),
        "5000 is out of range: 0 to 1000 basis points (50 is 0.5 %)",
    );
    check(with("[profit]\nminimum_wei = -5"), "profit.minimum_wei: -5 is below zero");
    check(
        with("[profit]\nminimum_wei = \"0.01\""),
        "profit.minimum_wei: \"0.01\" is not a whole number of wei",
    );
    check(
        with("[profit]\nminimum_wei = \"1000000000000000000001\""),
        "is more than 1000 coins; the unit is wei",
    );
}

#[test]
fn addresses_are_refused_when_a_letter_was_changed() {
    let executor = |address: &str| with(&format!("[executor]\naddress = \"{address}\""));
    check(
        executor("0x123"),
        "backstop.toml:7: executor.address: \"0x123\" is not an address: write 0x and 40 hex digits",
    );
    check(executor(&ACCOUNT[2..]), "is not an address: write 0x and 40 hex digits");
    check(
        executor(&ACCOUNT.replace("C5", "c5")),
        "is an address with a wrong checksum: a letter was changed",
    );
    check(
        executor("0x0000000000000000000000000000000000000000"),
        "is the zero address: no contract and no owner",
    );
    check(executor(PRIVATE_KEY), "executor.address: the value (not shown) is not an address");
    let hash = |hash: &str| with(&format!("[executor]\ncode_hash = \"{hash}\""));
    check(
        hash(&PRIVATE_KEY[2..]),
        "backstop.toml:7: executor.code_hash: the value (not shown) is not a code hash: write 0x and 64 hex digits",
    );
    let known = format!("0x{}", "c0de".repeat(16));
    assert_eq!(hash(&known).config().executor.code_hash.to_string(), known);
    assert!(executor(&ACCOUNT.to_lowercase()).config().executor.address.is_some());
}

#[test]
fn what_is_missing_is_named_with_a_way_to_set_it() {
    check_all(
        &no_file(),
        Need::Read,
        2,
        &[
            "rpc.http: missing: the node's HTTP URL",
            "or set BACKSTOP_RPC__HTTP",
            "markets: none is chosen: set market to a built-in one",
        ],
    );
    check(
        file(
            "[rpc]\nhttp = \"\"\n[markets.a]\nchain_id = 1\naddresses_provider = \"0x2f39d218133AFaB8F2B819B1066c7E434Ad94E9e\"",
        ),
        "backstop.toml:2: rpc.http: missing",
    );
    check_all(
        &with("[markets.other]"),
        Need::Read,
        3,
        &[
            "market: missing: which of other, v30? Set market = \"<name>\" or --market",
            "backstop.toml:6: markets.other.chain_id: missing: the chain's number",
            "backstop.toml:6: markets.other.addresses_provider: missing: the market's PoolAddressesProvider",
        ],
    );
    let cut = ROUTE.lines().take(4).collect::<Vec<_>>().join("\n");
    check(with(&cut), "backstop.toml:6: markets.v30.route.wrapped_native: missing: the native coin's token");
    for (line, missing) in PAIRS.lines().zip([
        "backstop.toml:6: markets.v30.route.uniswap_v2_router: missing: the UniswapV2Router02 contract, or leave out",
        "backstop.toml:6: markets.v30.route.uniswap_v2_factory: missing: the UniswapV2Factory contract, or leave out",
    ]) {
        check(with(&format!("{ROUTE}{line}")), missing);
    }
}

#[test]
fn what_may_be_held_is_written_whole_and_each_asset_once() {
    let held = |lines: &str| with(&format!("[markets.v30.shares]\n{lines}"));
    let asset = format!("[\"{ACCOUNT}\"]");
    let whole = format!("collateral = {asset}\ndebt = {asset}\ndiscount_bps = 200\n");
    for (missing, line) in [("collateral", 0), ("debt", 1), ("discount_bps", 2)] {
        let rest = whole.lines().enumerate().filter(|(number, _)| *number != line).map(|(_, line)| line);
        check(
            held(&rest.collect::<Vec<_>>().join("\n")),
            &format!("backstop.toml:6: markets.v30.shares.{missing}: missing: "),
        );
    }
    let with_collateral = |value: &str| held(&whole.replacen(&asset, value, 1));
    check(with_collateral("[1]"), "backstop.toml:7: markets.v30.shares.collateral: is an array; write text");
    check(
        with_collateral("[\"WETH\"]"),
        "markets.v30.shares.collateral: \"WETH\" is not an address: write 0x and 40 hex digits",
    );
    check(
        with_collateral(&format!("\"{ACCOUNT}, {ACCOUNT}\"")),
        &format!("markets.v30.shares.collateral: names {ACCOUNT} twice"),
    );
    let key = PRIVATE_KEY.trim_start_matches("0x");
    let hidden = "markets.v30.shares.collateral: the value (not shown) is not an address";
    check(with_collateral(&format!("[\"{PRIVATE_KEY}\"]")), hidden);
    check(with_collateral(&format!("\"{ACCOUNT} {key}\"")), hidden);
    check(with_collateral("[\"${ONE}\"]").variable("ONE", "secret"), hidden);
    check(with_collateral("[]"), "backstop.toml:7: markets.v30.shares.collateral: missing: ");
    check(
        held(&whole.replace("200", "5001")),
        "markets.v30.shares.discount_bps: 5001 is out of range: 0 to 5000 basis points",
    );
    check(rpc("poll = [\"2s\"]"), "backstop.toml:3: rpc.poll: is an array; write text in quotes");
}

#[test]
fn a_market_that_is_not_defined_lists_those_that_are() {
    let line =
        r#"no table [markets.<name>] for "v31", and `backstop markets` lists no such market; defined: v30"#;
    check(with("market = \"v31\""), &format!("backstop.toml:1: market: {line}"));
    check(with("").flag("--market", "market", "v31"), &format!("flag --market: market: {line}"));
    check(
        with("").variable("BACKSTOP_MARKET", "v31"),
        &format!("environment BACKSTOP_MARKET: market: {line}"),
    );
    check(
        with("[markets.V31]"),
        "backstop.toml:6: markets.V31: not a name for a market: use lower-case letters",
    );
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let keystore = format!("{{\"address\":\"{}\"}}", ACCOUNT[2..].to_lowercase());
    let text = format!("[wallet]\nkeystore = \"./key.json\"\n[executor]\nreceiver = \"{ACCOUNT}\"");
    check(
        with(&text).beside("key.json", &keystore),
        "backstop.toml:9: executor.receiver: is the keystore's own account: profits would stay with the hot key",
    );
    check(
        with(&format!("[executor]\naddress = \"{ACCOUNT}\"\nreceiver = \"{ACCOUNT}\"")),
        "backstop.toml:8: executor.receiver: is the executor itself, which keeps nothing",
    );
    check(
        with(&ROUTE.replace(
            "0x61fFE014bA17989E743c5F6cB21bF9697530B21e",
            "0x1F98431c8aD98523631AE4a59f267346ea31F984",
        )),
        "backstop.toml:8: markets.v30.route.uniswap_v3_quoter: the same address as uniswap_v3_factory",
    );
    check(
        with(&format!("{ROUTE}{PAIRS}").replace(
            "0x5C69bEe701ef814a2B6a3EDD4B1652CB9cc5aA6f",
            "0x1F98431c8aD98523631AE4a59f267346ea31F984",
        )),
        "backstop.toml:11: markets.v30.route.uniswap_v2_factory: the same address as uniswap_v3_factory",
    );
    check(
        with("[wallet]\nkeystore = \"./key.json\"").variable("BACKSTOP_WALLET__PRIVATE_KEY", PRIVATE_KEY),
        "wallet.private_key: there is a wallet.keystore too: leave out one of them",
    );
    check(
        with("[wallet]\npassword_file = \"p\""),
        "wallet.password_file: there is no wallet.keystore for this password",
    );
}

#[test]
fn secrets_are_refused_without_being_repeated() {
    let url = format!("localhost:8545/{CANARY}");
    check(with("").variable("BACKSTOP_RPC__HTTP", &url), "rpc.http: does not begin with http:// or https://");
    check(
        with("").flag("--rpc-url", "rpc.http", &format!("ftp://h/{CANARY}")),
        "flag --rpc-url: rpc.http: does not",
    );
    check(
        rpc(&format!("ws = \"http://h/{CANARY}\"")),
        "backstop.toml:3: rpc.ws: does not begin with ws:// or wss://",
    );
    check(rpc(&format!("ws = \"wss://h:port/{CANARY}\"")), "rpc.ws: is not a URL: invalid port number");
    check(rpc(&format!("poll = \"http://h/{CANARY}\"")), "rpc.poll: the value (not shown) is not a time");
    check(
        rpc("poll = \"${POLL}\"").variable("POLL", CANARY),
        "rpc.poll: the value (not shown) is not a time",
    );
    let key = format!("[wallet]\nprivate_key = \"{PRIVATE_KEY}\"");
    check(with(&key), "backstop.toml:7: wallet.private_key: refused in a file, which backups");
    check(
        with(&key).variable("BACKSTOP_WALLET__PRIVATE_KEY", PRIVATE_KEY),
        "backstop.toml:7: wallet.private_key: refused in a file, which backups",
    );
    check(
        with("").variable("BACKSTOP_WALLET__PRIVATE_KEY", CANARY),
        "BACKSTOP_WALLET__PRIVATE_KEY: wallet.private_key: is not a private key: 64 hex digits (value not shown)",
    );
    check(file(&format!("[rpc]\nhttp = http://h/{CANARY}")), "backstop.toml:2: not TOML: ");
    // A key that landed in the wrong place.
    for key in ["mode", "market", "datadir", "log.level"].map(|key| key.replace('.', "__").to_uppercase()) {
        let given = with("").variable(&format!("BACKSTOP_{key}"), &format!("~{PRIVATE_KEY}"));
        check(given, &format!("environment BACKSTOP_{key}: "));
    }
    let numbers =
        ["rpc.batch", "markets.v30.chain_id", "profit.minimum_wei", "fees.tip_share", "fees.max_fee"];
    for key in numbers.map(|key| key.replace('.', "__").to_uppercase()) {
        let given = with("").variable(&format!("BACKSTOP_{key}"), PRIVATE_KEY);
        check(given, &format!("environment BACKSTOP_{key}: "));
    }
    check(rpc("batch = \"${B}\"").variable("B", "7777"), "rpc.batch: the value (not shown) is out of range");
    check(
        with(&format!("[executor]\nowner = {PRIVATE_KEY}")),
        "executor.owner: the value (not shown) is a number",
    );
    let broken = ["\"http://h/@", "'@", "\"\\@\"", "@", "[@", "{@", "1@", "\"@\" \"@\"", "\"\"\"@"];
    for text in broken.map(|text| text.replace('@', CANARY)) {
        check(file(&format!("[rpc]\nhttp = {text}")), "backstop.toml:2: not TOML: ");
    }
    let config = with("").variable("BACKSTOP_WALLET__PRIVATE_KEY", PRIVATE_KEY).config();
    let debug = format!("{config:?}");
    assert!(!debug.contains(CANARY) && !debug.contains(&PRIVATE_KEY[2..]), "{debug}");
    assert_eq!(config.rpc.http.alias(), "127.0.0.1:8545");
}

#[test]
fn variables_in_the_file_are_replaced_or_named() {
    let unset = "backstop.toml:3: rpc.ws: environment variable MY_WS is not set";
    check(rpc("ws = \"${MY_WS}\""), unset);
    check(rpc("ws = \"${MY_WS\""), "rpc.ws: ${ is not closed: write ${NAME}");
    check(rpc("ws = \"${}\""), "rpc.ws: ${…} holds no name of an environment variable");
    let config =
        rpc("ws = \"wss://u:p@h/${A}\"\nbatch = \"${B}\"").variable("A", "k").variable("B", "7").config();
    assert_eq!(
        config.rpc.ws.as_ref().map(|url| (url.alias(), url.expose())),
        Some(("h:443", "wss://u:p@h/k"))
    );
    assert_eq!(config.rpc.batch, 7);
    let covered = rpc("ws = \"${MY_WS}\"").variable("BACKSTOP_RPC__WS", "").config();
    assert!(covered.rpc.ws.is_none(), "a covered value is not looked at");
    let escaped = with("datadir = \"/x/$${y}\"").config();
    assert_eq!(escaped.datadir, Path::new("/x/${y}"));
}

#[test]
fn a_file_that_cannot_be_read_is_said_alone() {
    let mut named = no_file();
    named.sources.file = Some("elsewhere.toml".into());
    check(named, "elsewhere.toml: there is no such file; --config names it");
    check(
        no_file().variable("BACKSTOP_CONFIG", "x.toml"),
        "x.toml: there is no such file; BACKSTOP_CONFIG names it",
    );
    check_all(
        &file("[rpc]\npoll = \n[log"),
        Need::Read,
        2,
        &[
            "backstop.toml:2: not TOML: string values must be quoted",
            "backstop.toml:3: not TOML: unclosed table",
        ],
    );
}

#[test]
fn all_mistakes_are_said_in_one_go() {
    let given = rpc("poll = \"2\"\nwebsocket = \"\"\nbatch = 0").variable("BACKSTOP_FEES__TIP_SHARE", "2");
    check_all(
        &given,
        Need::Read,
        4,
        &["4 mistakes in the configuration\n", "rpc.poll", "rpc.websocket", "rpc.batch", "tip_share"],
    );
}

#[test]
fn each_command_asks_for_what_it_needs() {
    assert!(with("").config().require(Need::Read).is_ok());
    check_all(
        &with(""),
        Need::Route,
        1,
        &["markets.v30.route: missing: opportunities cannot be priced; add [markets.v30.route]"],
    );
    // A minimum of zero is an operator's right: what would lose money is never sent anyway.
    let live = with(&format!("[profit]\nminimum_wei = \"0\"\n{ROUTE}"));
    check_all(
        &live,
        Need::Live,
        2,
        &[
            "wallet: missing: nothing can be signed",
            "executor.address: missing (`backstop deploy` prints it): set it or BACKSTOP_EXECUTOR__ADDRESS",
        ],
    );
    let deploy = with("[wallet]\nkeystore = \"./key.json\"");
    let phrases = [
        "backstop.toml:7: wallet.keystore: there is no such file",
        "executor.owner: missing",
        "executor.receiver: missing",
        "markets.v30.route: missing",
    ];
    check_all(&deploy, Need::Deploy, 4, &phrases);
    let ready =
        with(&format!("[executor]\naddress = \"{ACCOUNT}\"\n[wallet]\nkeystore = \"./key.json\"\n{ROUTE}"));
    assert_eq!(ready.beside("key.json", "{}").config().require(Need::Live), Ok(()));
}
