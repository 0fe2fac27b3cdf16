//! Every command line of docs/walkthrough.md is one of the present command line. Nothing is run: `scripts/walkthrough`
//! does that.

use backstop::cli::Cli;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../docs/walkthrough.md");

/// What is typed on a page: the lines of its shell blocks, but for what they printed.
fn typed(page: &str) -> Vec<&str> {
    let mut block = "";
    let mut found = Vec::new();
    for line in page.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(language), "") => block = language,
            (Some(_), _) => block = "",
            (None, "sh") => found.push(line),
            (None, "console") => found.extend(line.strip_prefix("$ ")),
            _ => {}
        }
    }
    found
}

/// The simple commands of a shell's line as words: without pipes, redirections, assignments, and quotes.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![vec![]];
    let (mut word, mut quote): (Option<String>, Option<char>) = (None, None);
    for c in line.chars().chain([';']) {
        match (c, quote) {
            (_, Some(open)) if c == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => (quote, word) = (Some(c), Some(word.unwrap_or_default())),
            (' ' | '|' | ';' | '&' | '(' | ')' | '{' | '}', None) => {
                all.last_mut().unwrap().extend(word.take());
                if c != ' ' {
                    all.push(vec![]);
                }
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    for words in &mut all {
        let assignments = words.iter().take_while(|word| word.contains('=')).count();
        words.drain(..assignments);
        let redirects = |word: &String| word.trim_start_matches(char::is_numeric).starts_with(['>', '<']);
        while let Some(at) = words.iter().position(redirects) {
            words.drain(at..words.len().min(at + 2));
        }
    }
    all
}

/// The lines of `page` that run the keeper, as it gets them.
fn ours(page: &str) -> Vec<Vec<String>> {
    let all = typed(page).into_iter().flat_map(commands);
    let ours = all.filter_map(|mut words| match words.first()?.as_str() {
        "backstop" => Some(words),
        "scripts/demo" => {
            words.splice(..1, ["backstop", "demo"].map(str::to_owned));
            Some(words)
        }
        _ => None,
    });
    ours.collect()
}

/// The complaints about a page.
fn check(page: &str) -> Vec<String> {
    let parse = |words: Vec<String>| Cli::read_from(&words).err().map(|error| format!("{words:?}: {error}"));
    ours(page).into_iter().filter_map(parse).collect()
}

#[test]
fn every_command_line_of_the_walk_is_understood() {
    assert_eq!(check(PAGE), [""; 0]);
}

#[test]
fn the_walk_passes_by_every_command_of_an_operator() {
    let walked = ours(PAGE).iter().filter_map(|words| words.get(1).cloned()).collect::<BTreeSet<_>>();
    let named = "config demo deploy doctor explain history pause positions resume run scan sweep wallet";
    for command in named.split(' ') {
        assert!(walked.contains(command), "{command} is not in the walk: {walked:?}");
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_found_wherever_it_stands() {
    let wrong = |line: &str| check(&format!("text\n```console\n$ {line}\nbackstop frobnicate\n```\n")).len();
    assert_eq!(wrong("backstop scan -q | tail -n 1; backstop pause --why 'a b'"), 0);
    assert_eq!(wrong("backstop positions --audit > file 2> other"), 0);
    assert_eq!(wrong("X=$(backstop wallet address hot) MODE=live backstop run --blocks 2"), 0);
    for line in ["backstop frobnicate", "A=b backstop scan --nothing", "ls; X=$(backstop wallet)"] {
        assert_eq!(wrong(line), 1, "{line}");
    }
    assert_eq!(check("```sh\nscripts/demo --stay\nscripts/demo --leave\n```").len(), 1);
}
