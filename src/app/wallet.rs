//! `wallet`: keystores in Foundry's folder. Keys come from a terminal, a file or chance, go into a file, and are
//! never printed.

use crate::cli::{Import, Named, Wallet, WalletCommand, Where};
use crate::config::Sources;
use crate::exit::{Exit, ExitExt};
use crate::io::signer::wallet::{self, Folder};
use crate::io::signer::{self, Password};
use crate::io::{out, person};
use eyre::{Result, WrapErr, eyre};
use secrecy::SecretString;
use serde_json::json;

/// # Errors
/// Exit code 2 where somebody would have to be asked and nobody is there; 3 for whatever is wrong with a file.
pub fn wallet(sources: &Sources, arguments: &Wallet, json: bool) -> Result<()> {
    signer::harden().wrap_err("closing the process to core dumps")?;
    match &arguments.command {
        WalletCommand::New(named) => {
            let folder = folder(sources, &named.place)?;
            folder.file(&named.name).exit(Exit::Usage)?;
            let password = new_password(named)?;
            let address = folder.create(&named.name, &password).exit(Exit::Configuration)?;
            say(&folder, &named.name, address, json)
        }
        WalletCommand::Import(import) => {
            let folder = folder(sources, &import.named.place)?;
            folder.file(&import.named.name).exit(Exit::Usage)?;
            let key = key(import)?;
            let password = new_password(&import.named)?;
            let address = folder.import(&import.named.name, &key, &password).exit(Exit::Configuration)?;
            say(&folder, &import.named.name, address, json)
        }
        WalletCommand::Address(named) => {
            let folder = folder(sources, &named.place)?;
            folder.file(&named.name).exit(Exit::Usage)?;
            let password = password(named, "Password of the keystore")?;
            let address = folder.address(&named.name, &password).exit(Exit::Configuration)?;
            if json {
                return out::json(&json!({ "v": 1, "name": named.name, "address": address }));
            }
            out::line(&address.to_string())
        }
        WalletCommand::List(place) => list(&folder(sources, place)?, json),
    }
}

fn folder(sources: &Sources, place: &Where) -> Result<Folder> {
    place
        .dir
        .clone()
        .or_else(|| sources.keystores())
        .map(Folder)
        .ok_or_else(|| {
            eyre!("HOME is not set, so there is no ~/.foundry/keystores: name the folder with --dir")
        })
        .exit(Exit::Usage)
}

fn say(folder: &Folder, name: &str, address: alloy::primitives::Address, json: bool) -> Result<()> {
    let file = folder.file(name)?;
    if json {
        return out::json(&json!({ "v": 1, "name": name, "address": address, "file": file }));
    }
    out::line(&format!("{address}  {}", file.display()))
}

fn list(folder: &Folder, json: bool) -> Result<()> {
    let listed = folder.list().exit(Exit::Configuration)?;
    if listed.is_empty() && !json {
        out::aside(&format!("no keystores in {}", folder.0.display()));
    }
    for one in listed {
        if json {
            let told = json!({ "v": 1, "name": one.name, "address": one.address, "trouble": one.trouble });
            out::json(&told)?;
        } else {
            let address =
                one.address.map_or_else(|| format!("{:42}", "(not in the file)"), |a| a.to_string());
            let trouble = one.trouble.map_or(String::new(), |why| format!("  {why}"));
            out::line(&plain(&format!("{address}  {}{trouble}", one.name)))?;
        }
    }
    Ok(())
}

/// File names may hold anything.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn key(import: &Import) -> Result<SecretString> {
    match &import.key_file {
        Some(path) => wallet::key_file(path).exit(Exit::Configuration),
        None => ask("Private key (64 hex digits, not shown)", "--key-file"),
    }
}

fn password(named: &Named, prompt: &str) -> Result<Password> {
    match &named.password_file {
        Some(path) => Ok(Password::File(path.clone())),
        None => ask(prompt, "--password-file").map(Password::Typed),
    }
}

/// Typed twice, as a slip would lock the key away for good.
fn new_password(named: &Named) -> Result<Password> {
    let first = password(named, "New password")?;
    if let Password::Typed(typed) = &first
        && !wallet::same(typed, &ask("The same again", "--password-file")?)
    {
        return Err(eyre!("the two passwords differ: nothing was written")).exit(Exit::Usage);
    }
    Ok(first)
}

fn ask(prompt: &str, instead: &str) -> Result<SecretString> {
    if !person::is_there() {
        return Err(eyre!("there is no terminal to ask on: use {instead}")).exit(Exit::Usage);
    }
    person::secret(prompt)
}
