//! `doctor` names the planted fault and nothing else: a row a fault, each planted alone into a stand where everything
//! is in order, with an executor of its own, in live mode.

mod planted;

use backstop::bed::operator::Ended;
use eyre::{Result, ensure, eyre};
use serde_json::Value;

use crate::faults::Stand;

/// What is said, by state and part, of everything that is not in order; and the exit code.
struct Said {
    wrong: Vec<(String, String)>,
    text: String,
    code: Option<i32>,
}

fn doctor(stand: &Stand) -> Result<Said> {
    let Ended { code, stdout, stderr } = stand.run(&["doctor", "--json", "-vv"])?;
    let said: Value = serde_json::from_str(&stdout).map_err(|error| eyre!("{error}: {stdout}{stderr}"))?;
    let mut wrong = Vec::new();
    for check in said["checks"].as_array().ok_or_else(|| eyre!("no checks: {said}"))? {
        let [state, part] = ["state", "part"].map(|key| check[key].as_str().unwrap_or_default().to_owned());
        if state == "warn" || state == "fail" {
            let remedy = check["remedy"].as_str().unwrap_or_default();
            ensure!(!remedy.is_empty(), "{part} says no remedy: {said}");
            wrong.push((state, part));
        }
    }
    Ok(Said { wrong, text: stdout, code })
}

/// Exactly this is wrong, told with this phrase, and the process ends with this code.
fn check(stand: &Stand, fault: &str, expected: (&str, &str), phrase: &str, code: i32) -> Result<()> {
    let said = doctor(stand)?;
    let wanted = vec![(expected.0.to_owned(), expected.1.to_owned())];
    ensure!(said.wrong == wanted, "{fault}: {:?} was said: {}", said.wrong, said.text);
    ensure!(said.text.contains(phrase), "{fault}: no {phrase:?} in {}", said.text);
    ensure!(said.code == Some(code), "{fault}: ended with {:?}", said.code);
    eprintln!("{fault}: {} {}, code {code}", expected.0, expected.1);
    Ok(())
}

fn check_sound(stand: &Stand) -> Result<()> {
    let said = doctor(stand)?;
    ensure!(said.wrong.is_empty() && said.code == Some(0), "{:?}: {}", said.wrong, said.text);
    Ok(())
}

/// Everything in order, in live mode.
async fn sound() -> Result<Stand> {
    let mut stand = Stand::live().await?;
    let ws = stand.ws();
    stand.set("BACKSTOP_RPC__WS", &ws);
    // Room for the busiest machine.
    stand.set("BACKSTOP_RPC__TIMEOUT", "10s");
    check_sound(&stand)?;
    Ok(stand)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dry_run_does_not_need_is_said_to_be_off() -> Result<()> {
    let mut stand = Stand::new().await?;
    let ws = stand.ws();
    stand.set("BACKSTOP_RPC__WS", &ws);
    stand.set("BACKSTOP_WALLET__PRIVATE_KEY", "");
    check_sound(&stand)?;
    let shown = stand.run(&["doctor"])?;
    for line in
        ["off   wallet ", "off   executor ", "ok    routes ", "ok    journal ", "0 failures, 0 warnings"]
    {
        ensure!(shown.stdout.contains(line), "no {line:?} in\n{}", shown.stdout);
    }
    eprintln!("{}", shown.stdout);
    ensure!(!stand.operator.folder.join("data").exists(), "doctor made a data directory");
    Ok(())
}
