//! The tables of attacks in docs/executor.md against the tests they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What is between single backticks and names a test: `file::test`.
fn named(text: &str) -> BTreeSet<(String, String)> {
    let is_word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let pair = |quoted: &str| -> Option<(String, String)> {
        let (file, test) = quoted.split_once("::")?;
        (is_word(file) && is_word(test)).then(|| (file.to_owned(), test.to_owned()))
    };
    text.split('`').skip(1).step_by(2).filter_map(pair).collect()
}

/// The tests of a file of anvil-tests/executor.
fn tests(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_test = |pair: &&[&str]| pair[0].starts_with("#[tokio::test");
    let name = |pair: &[&str]| {
        pair[1].trim_start_matches("async fn ").split('(').next().unwrap_or_default().to_owned()
    };
    lines.windows(2).filter(is_test).map(name).collect()
}

fn section() -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/executor.md")).unwrap();
    let section =
        text.split("\n## Under attack\n").nth(1).expect("docs/executor.md has a section Under attack");
    section.split("\n## ").next().unwrap_or_default().to_owned()
}

#[test]
fn the_tables_of_attacks_name_tests_that_exist_and_leave_none_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("anvil-tests/executor");
    let section = section();
    let named = named(&section);
    assert!(named.len() > 50, "only {} tests are named", named.len());
    let mut there = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        // Whole runs, and what the code is: no attacks. Some of them are named all the same.
        let is_attack = !["paths", "code"].contains(&file.as_str());
        for test in tests(&path) {
            let test = (file.clone(), test);
            assert!(
                !is_attack || named.contains(&test),
                "docs/executor.md does not name {}::{}",
                test.0,
                test.1
            );
            there.insert(test);
        }
    }
    for (file, test) in &named {
        assert!(
            there.contains(&(file.clone(), test.clone())),
            "docs/executor.md names {file}::{test}, which is not there"
        );
    }
    for rule in 1..=12 {
        assert!(section.contains(&format!("\n| T{rule} |")), "no attack on T{rule} is listed");
    }
}
