//! How the process ends, and what is never printed.

use backstop::config::{Config, Sources, redact};
use backstop::exit::{Exit, ExitExt, line};
use eyre::{WrapErr, eyre};

#[test]
fn nothing_behind_a_host_is_printed() {
    let cases = [
        ("http://h/c4nary", "http://h/…"),
        (
            "error for url (https://u:c4nary@h:8545/v2/c4nary?k=c4nary): refused",
            "error for url (https://h:8545/…): refused",
        ),
        ("wss://[::1]:9/c4nary, then wss://h?c4nary.", "wss://[::1]:9/…, then wss://h/…."),
        ("http://u:c4nary/x@h/", "http://…"),
        ("http://c4na%72y:c4nary", "http://…"),
        (r#"{"url":"https:\/\/h\/c4nary"}"#, r#"{"url":"https://h/…"}"#),
        ("http://h/?to=http://c4nary/c4nary", "http://h/…"),
        ("HTTP://H/c4nary\nhttp://h:1/c4nary\"", "HTTP://H/…\nhttp://h:1/…\""),
        ("write http:// or https://", "write http:// or https://"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
    ];
    for (given, shown) in cases {
        assert_eq!(redact(given), shown);
        assert!(!redact(given).contains("c4nary"));
    }
}

#[test]
fn an_error_is_one_chain_and_keeps_its_code() {
    let failed: eyre::Result<()> = Err(eyre!("connect \u{1b}[31mrefused")).wrap_err("POST https://h/c4nary");
    let report =
        failed.exit(Exit::Network).wrap_err("head").exit(Exit::Check).wrap_err("scan").expect_err("failed");
    assert_eq!(line(&report), "scan: head: POST https://h/…: connect [31mrefused");
    assert_eq!(Exit::of(&report), Exit::Network, "the code nearest the cause stays");
    assert!(!format!("{:?}", report.chain().nth(2)).contains("c4nary"));

    let io = std::io::Error::other("disk");
    let report = Err::<(), _>(io).exit(Exit::Refused).wrap_err("a: disk").expect_err("failed");
    assert_eq!((line(&report).as_str(), Exit::of(&report)), ("a: disk", Exit::Refused));
    assert_eq!(Exit::of(&eyre!("x")), Exit::Unexpected);

    let mistakes = Config::load(&Sources::default()).expect_err("nothing is set");
    let report = Err::<(), _>(mistakes).wrap_err("start").expect_err("failed");
    assert_eq!(Exit::of(&report), Exit::Configuration);
    assert!(line(&report).starts_with("start: 3 mistakes in the configuration\n  "), "{}", line(&report));
}
