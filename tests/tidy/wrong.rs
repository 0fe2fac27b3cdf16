//! Every rule of `tidy`, broken on purpose, and beside it what looks alike and is right.

use super::code::{is_float, module, paths, tokens};
use super::violations;

/// The file at `path` with `body` after its opening line breaks exactly the rules whose sentences contain these.
fn check(path: &str, body: &str, expected: &[&str]) {
    let found = violations(path, &format!("//! A file.\n{body}\n"));
    let each = expected.iter().all(|part| found.iter().any(|sentence| sentence.contains(part)));
    assert!(
        each && found.len() == expected.len(),
        "{path}: {body}\nexpected {expected:?}\nfound    {found:#?}"
    );
}

#[test]
fn the_domain_knows_nobody_outside() {
    check("src/domain/judge.rs", "use crate::io::rpc::Rpc;", &["`domain` does not know `io`"]);
    check("src/domain/judge.rs", "fn f(c: &crate::config::Config) {}", &["`domain` does not know `config`"]);
    check("src/domain/judge.rs", "use super::super::app::wire;", &["`domain` does not know `app`"]);
    check("src/domain/judge.rs", "use crate::{abi::aave, io::{rpc, reader}};", &["know `io`", "know `io`"]);
    check("src/domain/judge.rs", "mod tests {\n use super::super::super::io::rpc;\n}", &[":3: `domain`"]);
    check("src/domain/judge.rs", "use super::units::Wei;\nuse crate::abi::aave::Pool;", &[]);
    check("src/domain/judge.rs", "mod tests { use super::*; use super::super::units; }", &[]);
}

#[test]
fn the_domain_is_pure() {
    check("src/domain/judge.rs", "use tokio::sync::mpsc;", &["`tokio`: return an Effect"]);
    check("src/domain/judge.rs", "fn f() { tracing::info!(\"x\"); }", &["`tracing`: put it into the Report"]);
    check("src/domain/judge.rs", "use std::{collections::BTreeMap, env};", &["`std::env`"]);
    check("src/domain/judge.rs", "use std::time::Instant;", &["`std::time`", "no clock"]);
    check("src/domain/judge.rs", "async fn f() {}", &["it never waits"]);
    check("src/domain/judge.rs", "static mut COUNT: u8 = 0;", &["no globals"]);
    check("src/domain/judge.rs", "use rusqlite::Connection;", &["the journal is in io"]);
    check("src/domain/judge.rs", "// use tokio::spawn;\nconst S: &'static str = \"std::env::var\";", &[]);
    check("src/io/rpc.rs", "use tokio::sync::mpsc; use std::time::Instant;", &[]);
}

#[test]
fn the_arrows_have_one_direction() {
    check("src/io/rpc.rs", "use crate::app::wire::Wire;", &["`io` does not know `app`"]);
    check(
        "src/io/journal/read.rs",
        "use super::super::super::config::Config;",
        &["`io` does not know `config`"],
    );
    check("src/config/check.rs", "use crate::io::out;", &["`config` does not know `io`"]);
    check("src/config/check.rs", "use crate::exit::Exit;", &["`config` does not know `exit`"]);
    check("src/abi.rs", "use crate::domain::units::Wei;", &["`abi` does not know `domain`"]);
    check("src/main.rs", "use backstop::domain::units::Wei;", &["`main` does not know `domain`"]);
    check("src/app/run.rs", "use crate::bed::Bed;", &["`app` does not know `bed`"]);
    check("src/app/demo.rs", "use crate::bed::Bed;", &[]);
    check("src/helpers/mod.rs", "", &["say in ARROWS"]);
    check("src/app/run.rs", "use crate::{io::rpc, domain::keeper::Keeper, config::Config};", &[]);
}

#[test]
fn protocols_do_not_know_each_other() {
    let blue = "src/domain/protocols/morpho_blue/health.rs";
    check(blue, "use crate::domain::protocols::aave_v3::math;", &["`morpho_blue` does not import `aave_v3`"]);
    check(blue, "use super::super::aave_v3::math;", &["`morpho_blue` does not import `aave_v3`"]);
    check(blue, "use super::math; use crate::domain::units::mul_div;", &[]);
    check("src/domain/keeper.rs", "use super::protocols::aave_v3::Market;", &["by the trait only"]);
}

#[test]
fn keys_stay_with_the_signer() {
    check(
        "src/app/run.rs",
        "use alloy::signers::local::PrivateKeySigner;",
        &["`signers`", "`PrivateKeySigner`"],
    );
    check("src/io/signer/keystore.rs", "use alloy::signers::local::PrivateKeySigner;", &[]);
}

#[test]
fn nothing_is_a_float() {
    check("src/domain/judge.rs", "fn f(x: f64) {}", &["`f64` is a float"]);
    check("src/app/run.rs", "const X: u8 = (1.5 * 2e3) as u8;", &["`1.5`", "`2e3`"]);
    check("src/app/run.rs", "let s = passed.as_secs_f64();", &["`as_secs_f64`"]);
    check(
        "src/app/run.rs",
        "let r = 0..5; let h = 0xe5; let t = (1, 2).0; let u = 1_u64; let z = 7usize;",
        &[],
    );
}

#[test]
fn work_is_finished_and_files_have_a_size_and_an_opening() {
    check("src/app/run.rs", "fn f() { todo!(\"later\") }", &["`todo!` ships"]);
    check("src/app/run.rs", &"\n".repeat(450), &["two files"]);
    check("tests/cli.rs", "#[test]\n#[ignore]\nfn slow() {}", &[":3: say why"]);
    check("tests/cli.rs", "#[test]\n#[ignore = \"serves until interrupted\"]\nfn serves() {}", &[]);
    let found = violations("src/app/run.rs", "fn main() {}\n");
    assert!(found.len() == 1 && found[0].contains("open it with `//!`"), "{found:?}");
}

#[test]
fn the_reader_of_code_is_not_fooled() {
    let words =
        |source: &str| tokens(source).into_iter().map(|token| token.text).collect::<Vec<_>>().join(" ");
    assert_eq!(words("a /* b /* c */ d */ e // f\ng"), "a e g");
    assert_eq!(
        words(r##"x("a\"b", r#"c"d"#, b"e", 'f', '\'', '"')"##),
        "x ( \"\" , \"\" , \"\" , 'f' , '\\'' , '\"' )"
    );
    assert_eq!(words("fn f<'a>(b: &'a str) -> r#type"), "fn f < 'a > ( b : & 'a str ) - > r # type");
    assert_eq!(words("0..5 1.max(2) 1.5"), "0 . . 5 1 . max ( 2 ) 1.5");
    assert!(is_float("1.5") && is_float("2e3") && is_float("1f64"));
    assert!(!is_float("0xe") && !is_float("1_u64") && !is_float("e5") && !is_float("7usize"));
    let full = |source: &str| {
        let named = paths(&module("src/io/journal/read.rs"), source);
        named.into_iter().map(|name| name.path.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(
        full("use super::{store::{self, SHAPE}, types};"),
        ["crate::io::journal::store::self", "crate::io::journal::store::SHAPE", "crate::io::journal::types"]
    );
    assert_eq!(full("use a::b as c;\nfn f() { d::e::<F>() }"), ["a::b", "d::e"]);
    assert_eq!(
        full("mod tests { use super::*; }\nuse super::x;"),
        ["crate::io::journal::read::*", "crate::io::journal::x"]
    );
}
