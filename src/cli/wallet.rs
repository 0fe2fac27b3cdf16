//! What may be typed about keystores. No argument takes a key or a password: other users see the process list.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Clone, Debug, Args)]
pub struct Wallet {
    #[command(subcommand)]
    pub command: WalletCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum WalletCommand {
    /// Make a new random key, and keep it in an encrypted file
    New(Named),
    /// Keep a key from elsewhere in an encrypted file; it is asked for, or read from --key-file
    Import(Import),
    /// List the keystores, with the addresses they say they are of
    List(Where),
    /// Open a keystore and print its address
    Address(Named),
}

#[derive(Clone, Debug, Args)]
pub struct Named {
    /// The account's name, which is the file's
    #[arg(value_name = "NAME")]
    pub name: String,

    #[command(flatten)]
    pub place: Where,

    /// The file with the password; without one it is asked for
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct Import {
    #[command(flatten)]
    pub named: Named,

    /// A file with the key as 64 hex digits, readable by nobody else; without one the key is asked for
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct Where {
    /// The folder of the keystores [default: ~/.foundry/keystores]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
