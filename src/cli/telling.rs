//! What the command line tells about itself: mistakes in it, completions for a shell, the manual page.

use super::Cli;
use crate::config;
use crate::exit::{Exit, ExitExt};
use clap::CommandFactory;
use std::process::ExitCode;

/// Prints as clap does, except that what was typed may hold a URL.
pub(super) fn mistake(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Where stdout is closed nobody reads the help.
        let _ = error.print();
        return Exit::Ok.into();
    }
    let text = error.render().to_string();
    let redacted = without_keys(&config::redact(&text));
    if redacted == text {
        let _ = error.print();
    } else {
        use std::io::Write;
        let _ = std::io::stderr().lock().write_all(redacted.as_bytes());
    }
    Exit::Usage.into()
}

/// Cuts out what looks like a private key: clap repeats what was typed, and somebody may type one by mistake.
fn without_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let (before, after) = rest.split_at(at);
        let end = after.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(after.len());
        let (run, tail) = after.split_at(end);
        out.push_str(before);
        out.push_str(if run.len() >= 60 { "…" } else { run });
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The script that completes our command line in `shell`.
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "backstop", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page of `command`, or of the whole.
///
/// # Errors
/// Exit code 2 when there is no such command.
pub fn man(command: Option<&str>) -> eyre::Result<String> {
    let mut all = Cli::command();
    all.build();
    let page = match command {
        None => all,
        Some(name) => all
            .find_subcommand(name)
            .cloned()
            .ok_or_else(|| eyre::eyre!("there is no such command; `backstop --help` lists them"))
            .exit(Exit::Usage)?,
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page).render(&mut roff)?;
    Ok(String::from_utf8_lossy(&roff).into_owned())
}
