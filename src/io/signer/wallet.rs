//! A folder of keystores, kept the way Foundry keeps them: one encrypted file an account, named like the account.
//! A key goes into a file here and never out of one; who asks for the password, and where the folder is, is left
//! to the caller.

use super::super::sqlite::{private_options, refused, sync_folder};
use super::{Password, from_hex, keystore, open};
use alloy::primitives::{Address, hex};
use alloy::signers::k256::elliptic_curve::rand_core::{OsRng, RngCore as _};
use alloy::signers::local::PrivateKeySigner;
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Longer names are not taken by every file system.
const LONGEST_NAME: usize = 200;

/// Where the keystores are.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

/// One file of the folder, as far as it can be told without its password.
#[derive(Clone, Debug)]
pub struct Listed {
    pub name: String,
    /// Whose it says it is. Foundry's own files do not say.
    pub address: Option<Address>,
    /// Why it would not be used: no keystore, readable by others.
    pub trouble: Option<String>,
}

impl Folder {
    /// The file of the account `name`.
    ///
    /// # Errors
    /// When it is no name; the name is not repeated, as it may be a key typed in the wrong place.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        check_name(name).map_err(|why| eyre!("the name {why}"))?;
        Ok(self.0.join(name))
    }

    /// A new random key, encrypted.
    ///
    /// # Errors
    /// There is such a name already, the password is empty, or the folder cannot be written.
    pub fn create(&self, name: &str, password: &Password) -> Result<Address> {
        self.store(name, &PrivateKeySigner::random_with(&mut OsRng), password)
    }

    /// A key from elsewhere, encrypted: 64 hex digits.
    ///
    /// # Errors
    /// As `create`; also when it is not a key, which is not repeated.
    pub fn import(&self, name: &str, key: &SecretString, password: &Password) -> Result<Address> {
        self.store(name, &from_hex(key)?, password)
    }

    /// The account of a keystore, found by opening it.
    ///
    /// # Errors
    /// As `Signer::load`.
    pub fn address(&self, name: &str, password: &Password) -> Result<Address> {
        Ok(open(&self.file(name)?, password)?.address())
    }

    /// Every file, by name.
    ///
    /// # Errors
    /// When the folder cannot be read; one that is not there has no files.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let files = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
            other => other.map_err(|error| refused(&self.0, error))?,
        };
        let mut found = Vec::new();
        for file in files {
            let file = file.map_err(|error| refused(&self.0, error))?;
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || !file.path().is_file() {
                continue;
            }
            let (address, trouble) = match keystore::inspect(&file.path()) {
                Ok(address) => (address, None),
                Err(report) => (None, Some(format!("{report:#}"))),
            };
            found.push(Listed { name, address, trouble });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Encrypts in a folder of its own, out of everybody's reach; what gets the name is whole, and never replaces
    /// what has it already.
    fn store(&self, name: &str, key: &PrivateKeySigner, password: &Password) -> Result<Address> {
        let file = self.file(name)?;
        ensure!(!file.exists(), "{}: there is such a keystore already: choose another name", file.display());
        let password = password.read()?;
        ensure!(!password.is_empty(), "the password is empty: anybody could open the keystore");
        folder(&self.0)?;
        let draft = self.0.join(format!(".new-{}-{:08x}", std::process::id(), OsRng.next_u32()));
        folder(&draft)?;
        let stored = encrypted(&draft, key, &password).and_then(|text| place(&draft, &file, &text));
        fs::remove_dir_all(&draft).map_err(|error| refused(&draft, error))?;
        stored?;
        sync_folder(&file)?;
        Ok(key.address())
    }
}

/// What may be the name of an account: what Foundry takes too, and nothing that leads out of the folder.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that does not repeat it.
pub fn check_name(name: &str) -> Result<(), String> {
    let digits = name.strip_prefix("0x").unwrap_or(name);
    if digits.len() >= 64 && digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(
            "looks like a private key, which has no place on a command line: a new key is safer".into()
        );
    }
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(format!("must have 1 to {LONGEST_NAME} characters"));
    }
    if name.starts_with('.') || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
        return Err("must not begin with a dot, nor hold a slash".into());
    }
    Ok(())
}

/// The keystore as text, with the address in it, by which other tools and ours know whose it is.
fn encrypted(draft: &Path, key: &PrivateKeySigner, password: &[u8]) -> Result<String> {
    let bytes = Zeroizing::new(key.to_bytes().0);
    PrivateKeySigner::encrypt_keystore(draft, &mut OsRng, bytes.as_slice(), password, Some("plain"))
        .map_err(|error| eyre!("encrypting the key: {error}"))?;
    let text = fs::read(draft.join("plain")).wrap_err("reading the new keystore back")?;
    let mut keystore: serde_json::Value = serde_json::from_slice(&text).wrap_err("the new keystore")?;
    let Some(fields) = keystore.as_object_mut() else { bail!("the new keystore is no object") };
    fields.insert("address".into(), hex::encode(key.address()).into());
    Ok(keystore.to_string())
}

fn place(draft: &Path, file: &Path, text: &str) -> Result<()> {
    let whole = draft.join("whole");
    private_options()
        .write(true)
        .create_new(true)
        .open(&whole)
        .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()))
        .map_err(|error| refused(&whole, error))?;
    // A link, unlike a rename, refuses to take a name that is taken.
    fs::hard_link(&whole, file).map_err(|error| refused(file, error))
}

fn folder(path: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| refused(path, error)).wrap_err("keystore folder")
}

/// The key in a file that nobody else may read: 64 hex digits.
///
/// # Errors
/// The file is missing, readable by others or not text.
pub fn key_file(path: &Path) -> Result<SecretString> {
    let bytes = keystore::read_private(path, "key file")?;
    let text = std::str::from_utf8(&bytes).map_err(|_| eyre!("key file {}: not text", path.display()))?;
    Ok(SecretString::from(text.trim().to_owned()))
}

/// Whether two secrets are the same, for a password that is typed twice.
pub fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    fn typed(password: &str) -> Password {
        Password::Typed(SecretString::from(password))
    }

    #[test]
    fn what_is_put_in_is_opened_by_its_password_and_by_no_other() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder(root.path().join("foundry/keystores"));
        assert!(folder.list().unwrap().is_empty());
        let key = SecretString::from(format!("0x{KEY}"));
        let address = folder.import("hot", &key, &typed("open sesame")).unwrap();
        assert_eq!(address.to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert_eq!(folder.address("hot", &typed("open sesame")).unwrap(), address);
        let wrong = folder.address("hot", &typed("open barley")).unwrap_err().to_string();
        assert!(wrong.ends_with("the password is wrong"), "{wrong}");
        let other = folder.create("cold", &typed("x")).unwrap();
        let listed = folder.list().unwrap();
        let told = listed.iter().map(|one| (one.name.as_str(), one.address)).collect::<Vec<_>>();
        assert_eq!(told, [("cold", Some(other)), ("hot", Some(address))]);
    }

    #[cfg(unix)]
    #[test]
    fn a_keystore_is_for_its_owner_alone_and_never_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let folder = Folder(root.path().join("keystores"));
        folder.create("hot", &typed("x")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.0), mode(&folder.0.join("hot"))), (0o700, 0o600));
        let before = fs::read(folder.0.join("hot")).unwrap();
        let said = folder.create("hot", &typed("x")).unwrap_err().to_string();
        assert!(said.contains("choose another name"), "{said}");
        assert_eq!(fs::read(folder.0.join("hot")).unwrap(), before);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left behind");
        fs::set_permissions(folder.0.join("hot"), fs::Permissions::from_mode(0o644)).unwrap();
        let trouble = folder.list().unwrap().remove(0).trouble.unwrap();
        assert!(trouble.contains("chmod 600"), "{trouble}");
        assert!(folder.address("hot", &typed("x")).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn names_stay_in_the_folder_and_are_no_keys() {
        let wrong = |name: &str| check_name(name).unwrap_err();
        for name in ["", "a/b", "..", ".hidden", "a\nb", "a\\b"] {
            let said = wrong(name);
            assert!(said.starts_with("must"), "{said}");
        }
        for name in [KEY.to_owned(), format!("0x{KEY}")] {
            let said = wrong(&name);
            assert!(said.contains("private key") && !said.contains(KEY), "{said}");
        }
        for name in ["hot", "ledger-1", "UTC--2026", "hot key.json"] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn an_empty_password_and_what_is_no_key_are_refused_without_a_file() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder(root.path().to_owned());
        assert!(folder.create("hot", &typed("")).unwrap_err().to_string().contains("is empty"));
        let nearly = SecretString::from(&KEY[1..]);
        let said = folder.import("hot", &nearly, &typed("x")).unwrap_err().to_string();
        assert!(said.contains("64 hex digits") && !said.contains(&KEY[2..10]), "{said}");
        assert!(folder.list().unwrap().is_empty());
    }
}
