//! Standard output: results only, a line at a time. A reader that has gone is no error of ours.

use eyre::Result;
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// One line of text.
///
/// # Errors
/// When standard output cannot be written, other than because nobody reads it any more.
pub fn line(text: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// One line of JSON.
///
/// # Errors
/// As `line`.
pub fn json(value: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string(value)?)
}

/// One line to standard error, for what is not a result.
pub fn aside(text: &str) {
    let _nobody_reads = writeln!(std::io::stderr().lock(), "{text}");
}
