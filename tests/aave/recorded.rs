//! Recordings of the real contracts (tests/data), replayed from their logs and prices alone: every balance, index, flag,
//! sum and health factor that the contracts answered, and every attempt to liquidate, carried out or refused.

use backstop::app::recording::{Tally, replay};

const V3_0: &str = include_str!("../data/aave_v3.0.jsonl");
const V3_3: &str = include_str!("../data/aave_v3.3.jsonl");
const V3_5: &str = include_str!("../data/aave_v3.5.jsonl");
const V3_7: &str = include_str!("../data/aave_v3.7.jsonl");

/// Nothing differs, and nothing but a payout that lacked liquidity was foretold wrongly.
fn check(recording: &str, release: &str, checks: usize, attempts: usize) {
    let tally = replay(recording, release).unwrap();
    println!(
        "release {release}: {} checks, {} of {} foretold",
        tally.checks, tally.predicted, tally.liquidations
    );
    assert!(tally.mismatches.is_empty(), "{:#?}", tally.mismatches);
    let unforeseeable = |told: &String| told.contains("A10a_illiquid_underlying");
    assert!(tally.missed.iter().all(unforeseeable), "{:#?}", tally.missed);
    assert_eq!((tally.checks, tally.liquidations), (checks, attempts));
    assert!(tally.missed.len() <= 1 && tally.predicted + tally.missed.len() == attempts);
}

#[test]
fn release_3_0_as_recorded() {
    check(V3_0, "3.0", 420, 6);
}

#[test]
fn release_3_3_as_recorded() {
    check(V3_3, "3.3", 1_995, 15);
}

#[test]
fn release_3_5_as_recorded() {
    check(V3_5, "3.5", 1_995, 15);
}

#[test]
fn release_3_7_as_recorded() {
    check(V3_7, "3.7", 1_995, 15);
}

/// The recordings tell the releases apart: under the rules of another one they do not come out.
#[test]
fn the_rules_of_another_release_are_noticed() {
    let wrong = |recording, release| {
        let Tally { mismatches, missed, .. } = replay(recording, release).unwrap();
        (mismatches.len(), missed.len())
    };
    // Interest compounds by another series.
    assert!(wrong(V3_3, "3.4").0 > 0);
    // Balances round another way.
    assert!(wrong(V3_5, "3.4").0 > 0);
    // Close factor, dust and bad debt.
    assert!(wrong(V3_3, "3.2").1 > 1);
    // The last unit of a seizure and of its fee.
    assert!(wrong(V3_5, "3.7").1 > 1);
    assert!(wrong(V3_7, "3.6").1 > 1);
}

#[test]
fn what_is_no_recording_is_refused_with_its_line() {
    let meta = V3_0.lines().find(|line| line.contains("\"meta\"")).unwrap();
    for (text, release, words) in [
        (V3_0, "4.0", "no rules for release 4.0: there are 3.0, 3.1, 3.2, 3.3, 3.4, 3.5, 3.6, 3.7"),
        ("", "3.0", "there is no meta line"),
        ("{\"k\":\"price\"}\nnot json", "3.0", "line 2 is not JSON"),
        (meta, "3.0", "no log makes the pool"),
    ] {
        let refused = format!("{:#}", replay(text, release).unwrap_err());
        assert!(refused.contains(words), "{refused}");
    }
    let stranger = format!("{V3_0}\n{{\"k\":\"surprise\"}}");
    let refused = format!("{:#}", replay(&stranger, "3.0").unwrap_err());
    assert!(refused.contains("a line of the kind surprise is not known"), "{refused}");
}

/// A recording in which one number was changed does not pass.
#[test]
fn one_digit_is_noticed() {
    let changed = V3_7.replacen("\"sd\":\"1", "\"sd\":\"2", 1);
    assert_ne!(changed, V3_7);
    assert_eq!(replay(&changed, "3.7").unwrap().mismatches.len(), 1);
}
