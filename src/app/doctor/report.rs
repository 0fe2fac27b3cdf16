//! What was looked at and how it is: lines for people, one object for programs.

use crate::config::redact;
use crate::exit::{Exit, ExitExt};
use crate::io::out;
use eyre::{Report as Error, Result, eyre};
use serde_json::json;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// Works, and could be better.
    Warn,
    Fail(Exit),
    /// Not configured, and not needed as it is.
    Off,
    /// Could not be looked at: something it needs has failed.
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail(_) => "fail",
            Self::Off => "off",
            Self::Skipped => "skip",
        }
    }
}

#[derive(Debug)]
struct Check {
    part: &'static str,
    state: State,
    what: String,
    remedy: Option<String>,
}

/// Everything looked at, in order.
#[derive(Debug, Default)]
pub struct Report(Vec<Check>);

impl Report {
    pub fn ok(&mut self, part: &'static str, what: impl AsRef<str>) {
        self.add(part, State::Ok, what.as_ref(), None);
    }

    pub fn warn(&mut self, part: &'static str, what: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(part, State::Warn, what.as_ref(), Some(remedy.as_ref()));
    }

    pub fn fail(&mut self, part: &'static str, exit: Exit, what: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.add(part, State::Fail(exit), what.as_ref(), Some(remedy.as_ref()));
    }

    /// What to do about the last of several things.
    pub fn advise(&mut self, remedy: &str) {
        if let Some(last) = self.0.last_mut() {
            last.remedy = Some(remedy.to_owned());
        }
    }

    /// What live mode needs and a dry run does not.
    pub fn missing(&mut self, part: &'static str, live: bool, what: &str, remedy: &str) {
        if live {
            self.fail(part, Exit::Configuration, what, remedy);
        } else {
            self.off(part, format!("{what}; a dry run does not need it"));
        }
    }

    pub fn off(&mut self, part: &'static str, what: impl AsRef<str>) {
        self.add(part, State::Off, what.as_ref(), None);
    }

    pub fn skip(&mut self, part: &'static str, why: &str) {
        self.add(part, State::Skipped, &format!("not looked at: {why}"), None);
    }

    /// Nothing that a node, a file or a URL put into a text reaches the terminal as it is.
    fn add(&mut self, part: &'static str, state: State, what: &str, remedy: Option<&str>) {
        let clean = |text: &str| {
            redact(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
        };
        self.0.push(Check {
            part,
            state,
            what: clean(what),
            remedy: remedy.filter(|remedy| !remedy.is_empty()).map(clean),
        });
    }

    /// Prints everything.
    ///
    /// # Errors
    /// The first failure, with its exit code.
    pub fn tell(&self, json: bool) -> Result<()> {
        let count = |wanted: fn(&State) -> bool| self.0.iter().filter(|check| wanted(&check.state)).count();
        let failures = count(|state| matches!(state, State::Fail(_)));
        let warnings = count(|state| *state == State::Warn);
        if json {
            let checks = self.0.iter().map(|check| {
                json!({
                    "part": check.part,
                    "state": check.state.word(),
                    "what": check.what,
                    "remedy": check.remedy,
                })
            });
            let checks = checks.collect::<Vec<_>>();
            out::json(&json!({ "v": 1, "checks": checks, "failures": failures, "warnings": warnings }))?;
        } else {
            for check in &self.0 {
                out::line(&format!("{:<5} {:<18} {}", check.state.word(), check.part, check.what))?;
                if let Some(remedy) = &check.remedy {
                    out::line(&format!("{:24} → {remedy}", ""))?;
                }
            }
            let plural =
                |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
            out::line(&format!("{}, {}", plural(failures, "failure"), plural(warnings, "warning")))?;
        }
        let first = self.0.iter().find_map(|check| match check.state {
            State::Fail(exit) => Some((check, exit)),
            _ => None,
        });
        match first {
            None => Ok(()),
            Some((check, exit)) => Err::<(), Error>(eyre!("{}: {}", check.part, check.what)).exit(exit),
        }
    }
}
