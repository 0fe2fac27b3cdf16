//! Log lines go to standard error, as text or JSON. Only our own events: what libraries log may hold URLs.

use crate::config::{Format, Log};
use tracing_subscriber::EnvFilter;

/// Starts logging. A second call changes nothing.
pub fn start(log: &Log) {
    let filter = EnvFilter::new(format!("off,backstop={}", log.level.as_str()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _already_started = match log.format {
        Format::Terminal => builder
            .with_target(false)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        Format::Json => builder.json().with_target(false).try_init(),
    };
}
