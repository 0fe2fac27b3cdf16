//! How the process ends: one line on stderr, and an exit code that scripts can branch on.

use crate::config::{Mistakes, redact};
use eyre::Report;
use std::error::Error;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// The exit codes; the numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    /// A fault nobody foresaw.
    Unexpected = 1,
    /// The command line.
    Usage = 2,
    /// The configuration.
    Configuration = 3,
    /// Nothing found, where the caller asked to be told so.
    NothingFound = 4,
    /// The node did not answer, or not in time.
    Network = 5,
    /// A comparison with the chain came out different.
    Check = 6,
    /// The chain reverted a transaction, or the node refused it.
    Refused = 7,
}

impl Exit {
    /// The code of a report: that of its tag, `Configuration` for `Mistakes`, else `Unexpected`.
    pub fn of(report: &Report) -> Self {
        Self::tag(report).unwrap_or(Self::Unexpected)
    }

    fn tag(report: &Report) -> Option<Self> {
        report.chain().find_map(|cause| match cause.downcast_ref::<Tagged>() {
            Some(tagged) => Some(tagged.exit),
            None => cause.is::<Mistakes>().then_some(Self::Configuration),
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with its exit code. Reads like the error itself.
pub struct Tagged {
    pub exit: Exit,
    pub report: Report,
}

impl fmt::Display for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.report)
    }
}

impl fmt::Debug for Tagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(&self.report))
    }
}

impl Error for Tagged {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.report.source()
    }
}

/// Gives an error its exit code.
pub trait ExitExt<T> {
    /// Tags the error with `exit`, unless it has a code already: the one nearest the cause knows best, so a
    /// caller may tag whatever comes through it.
    ///
    /// # Errors
    /// The same error, tagged.
    fn exit(self, exit: Exit) -> eyre::Result<T>;
}

impl<T, E: Into<Report>> ExitExt<T> for Result<T, E> {
    fn exit(self, exit: Exit) -> eyre::Result<T> {
        self.map_err(|error| {
            let report: Report = error.into();
            match Exit::tag(&report) {
                Some(_) => report,
                None => Report::new(Tagged { exit, report }),
            }
        })
    }
}

/// Writes the report to stderr as `error: a: b: c`, once and without secrets, and gives its exit code.
pub fn print(report: &Report) -> ExitCode {
    // Where stderr is closed there is nobody to tell; the code still says it.
    let _ = writeln!(std::io::stderr().lock(), "error: {}", line(report));
    Exit::of(report).into()
}

/// The chain of causes joined by colons. A cause its parent already repeats is left out, URLs are cut down,
/// and control characters, which a node may send us, do not reach the terminal.
pub fn line(report: &Report) -> String {
    let mut out = String::new();
    for cause in report.chain() {
        let text = cause.to_string();
        if out.is_empty() {
            out = text;
        } else if !out.ends_with(&text) {
            out.push_str(": ");
            out.push_str(&text);
        }
    }
    redact(&out).chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}
