//! Everything that is wrong with a configuration, each with its place and what to do about it.

use super::secret::redact;
use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Line 0 is the file as a whole.
    File {
        path: PathBuf,
        line: usize,
    },
    Environment(String),
    /// The built-in market of this name.
    Preset(String),
    Flag(&'static str),
    /// Built in: nobody wrote it.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing wrong: at `place`, with `key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// `None` where nothing was written: something is missing.
    pub place: Option<Place>,
    /// The key's path, e.g. `rpc.poll`; empty where the mistake is not about one key.
    pub key: String,
    /// A sentence: what is wrong and what to do. Holds no secret.
    pub what: String,
}

impl Mistake {
    pub fn new(place: Option<Place>, key: impl Into<String>, what: impl AsRef<str>) -> Self {
        Self { place, key: redact(&key.into()), what: redact(what.as_ref()) }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place::Default) => f.write_str("default: ")?,
            Some(place) => write!(f, "{place}: ")?,
            None => {}
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// All mistakes of one configuration, in the order of their places. Shown as a heading and a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Sorted: what is missing first, then the file from top to bottom, the environment, the flags.
    pub fn new(mut all: Vec<Mistake>) -> Self {
        all.sort();
        all.dedup();
        Self(all)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 mistake in the configuration")?,
            count => write!(f, "{count} mistakes in the configuration")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}
