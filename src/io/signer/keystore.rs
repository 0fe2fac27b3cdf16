//! Looks a keystore file over before anything is decrypted: whose it is, that it is one, and what it would
//! cost. A keystore is input like any other. Decrypting is left to `signer`; no key passes through here.

use alloy::primitives::Address;
use alloy::signers::local::LocalSignerError;
use eyre::{Report, Result, WrapErr as _, bail, ensure, eyre};
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// A keystore has about 500 bytes, a password fewer.
const MAX_FILE: u64 = 64 * 1024;
/// As much as decrypting may take: 128 bytes x n x r x p.
const MAX_SCRYPT_BYTES: u128 = 1024 * 1024 * 1024;
/// Ten times what wallets use: some ten seconds.
const MAX_PBKDF2_ROUNDS: u64 = 10_000_000;

#[derive(Deserialize)]
struct Keystore {
    address: Option<String>,
    crypto: Crypto,
    version: u64,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: serde_json::Value,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

/// Unknown fields are refused: the decrypting code tells the two kinds by the fields it finds, not by `kdf`,
/// and must not find others than were checked here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scrypt {
    dklen: u64,
    n: u64,
    r: u64,
    p: u64,
    #[serde(rename = "salt")]
    _salt: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pbkdf2 {
    dklen: u64,
    c: u64,
    prf: String,
    #[serde(rename = "salt")]
    _salt: String,
}

/// Checks the keystore at `path`; gives the address it says it is of, if it says so.
///
/// # Errors
/// The file is missing, readable by others, no keystore, or would cost more than a sound one does.
pub(super) fn inspect(path: &Path) -> Result<Option<Address>> {
    let bytes = read_private(path, "keystore")?;
    check(&bytes).wrap_err_with(|| format!("keystore {}", path.display()))
}

fn check(bytes: &[u8]) -> Result<Option<Address>> {
    let form = "not a keystore: expected the JSON file that `cast wallet import` or geth writes";
    // The parser's own words repeat what it read, and somebody may have written a key here.
    let misread =
        |error: serde_json::Error| eyre!("{form} (line {}, column {})", error.line(), error.column());
    let found: Keystore = serde_json::from_slice(bytes).map_err(misread)?;
    let crypto = found.crypto;
    ensure!(
        found.version == 3,
        "version {}, only version 3 is known: write the key into a new file",
        found.version
    );
    ensure!(crypto.cipher == "aes-128-ctr", "another cipher than aes-128-ctr, the only one that is known");
    // The decrypting code takes these lengths for granted.
    for (name, value, digits) in [
        ("iv", &crypto.cipherparams.iv, 32),
        ("ciphertext", &crypto.ciphertext, 64),
        ("mac", &crypto.mac, 64),
    ] {
        let sound = value.len() == digits && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(sound, "{form}; its {name} is not {digits} hex digits");
    }
    match crypto.kdf.as_str() {
        "scrypt" => affordable_scrypt(
            &serde_json::from_value(crypto.kdfparams)
                .map_err(|_| eyre!("{form}; its kdfparams are not those of its kdf"))?,
        )?,
        "pbkdf2" => affordable_pbkdf2(
            &serde_json::from_value(crypto.kdfparams)
                .map_err(|_| eyre!("{form}; its kdfparams are not those of its kdf"))?,
        )?,
        _ => bail!("another key derivation than scrypt and pbkdf2, the only ones that are known"),
    }
    let address = found.address.filter(|address| !address.is_empty());
    address.map(|address| address.parse().map_err(|_| eyre!("{form}; its address is not one"))).transpose()
}

fn affordable_scrypt(kdf: &Scrypt) -> Result<()> {
    let Scrypt { dklen, n, r, p, .. } = *kdf;
    ensure!(dklen == 32, "scrypt dklen {dklen}: only 32 is possible");
    ensure!(n.is_power_of_two() && n > 1, "scrypt n {n}: must be a power of two");
    ensure!(r > 0 && p > 0, "scrypt r {r}, p {p}: must not be zero");
    let bytes = [n, r, p].into_iter().try_fold(128_u128, |bytes, factor| bytes.checked_mul(factor.into()));
    ensure!(
        bytes.is_some_and(|bytes| bytes <= MAX_SCRYPT_BYTES),
        "scrypt n {n}, r {r}, p {p} would take more than 1 GiB: no wallet writes that"
    );
    Ok(())
}

fn affordable_pbkdf2(kdf: &Pbkdf2) -> Result<()> {
    let Pbkdf2 { dklen, c, ref prf, .. } = *kdf;
    ensure!(dklen == 32, "pbkdf2 dklen {dklen}: only 32 is possible");
    ensure!(prf == "hmac-sha256", "another pbkdf2 prf than hmac-sha256, the only one that is known");
    ensure!((1..=MAX_PBKDF2_ROUNDS).contains(&c), "pbkdf2 c {c}: must be between 1 and {MAX_PBKDF2_ROUNDS}");
    Ok(())
}

/// The contents of a file that nobody else may read; wiped when dropped.
///
/// # Errors
/// The file is missing, not a file, readable by group or world, or far too large.
pub(super) fn read_private(path: &Path, what: &str) -> Result<Zeroizing<Vec<u8>>> {
    let shown = path.display();
    let mut file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => eyre!("{what} {shown}: no such file"),
        ErrorKind::PermissionDenied => eyre!("{what} {shown}: no permission to read it"),
        _ => eyre!("{what} {shown}: {error}"),
    })?;
    let meta = file.metadata().wrap_err_with(|| format!("{what} {shown}"))?;
    ensure!(meta.is_file(), "{what} {shown}: not a file");
    ensure!(is_private(&meta), "{what} {shown}: others may read it. Run: chmod 600 {shown}");
    ensure!(meta.len() <= MAX_FILE, "{what} {shown}: {} bytes, far more than a {what} has", meta.len());
    // Room from the start: growing would leave copies behind.
    let room = usize::try_from(MAX_FILE).wrap_err("a 64 KiB buffer")?;
    let mut contents = Zeroizing::new(Vec::with_capacity(room));
    file.by_ref().take(MAX_FILE).read_to_end(&mut contents).wrap_err_with(|| format!("{what} {shown}"))?;
    Ok(contents)
}

#[cfg(unix)]
fn is_private(meta: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let shared = meta.mode() & 0o077;
    // systemd and Kubernetes hand a secret over as root's file, readable by a group made for the service.
    shared == 0 || (shared == 0o040 && meta.uid() == 0 && !is_root())
}

#[cfg(not(unix))]
fn is_private(_: &Metadata) -> bool {
    true
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the system call has no safe wrapper in std")]
fn is_root() -> bool {
    // SAFETY: has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Elsewhere we cannot tell, and so grant nothing.
#[cfg(all(unix, not(target_os = "linux")))]
fn is_root() -> bool {
    true
}

/// After `inspect`, only the password is left to be wrong; anything else is passed on as it is.
pub(super) fn not_decrypted(path: &Path, error: &LocalSignerError) -> Report {
    let path = path.display();
    match error.to_string().as_str() {
        "Mac Mismatch" => eyre!("keystore {path}: the password is wrong"),
        other => eyre!("keystore {path}: cannot be decrypted: {other}"),
    }
}
