//! What may be typed to see it work on a local chain.

use clap::{Args, ValueEnum};

#[derive(Clone, Debug, Args)]
pub struct Demo {
    /// The protocol's version: v30 is Aave 3.0, v36 is Aave 3.6
    // The same identifier as the global flag, whose place it takes below `demo`.
    #[arg(short, long, id = "market", value_name = "VERSION", value_parser = ["v30", "v36"], default_value = "v36")]
    pub(super) market: String,

    /// Without the pauses that make it readable
    #[arg(long)]
    pub fast: bool,

    /// Without the keeper: both chains stay up until Ctrl-C, with a backstop.toml to try the commands on
    #[arg(long)]
    pub stay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoMarket {
    V30,
    V36,
}

impl Demo {
    pub fn market(&self) -> DemoMarket {
        // `Cli::read_from` lets nothing else through.
        if self.market == "v30" { DemoMarket::V30 } else { DemoMarket::V36 }
    }
}
