//! The wallet as a process of its own: what is put into a keystore is never seen again, on either output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const KEY: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const ADDRESS: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const PASSWORD: &str = "c4nary of a password";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write("key", &format!("0x{KEY}\n"), 0o600);
        home.write("password", PASSWORD, 0o600);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }

    /// The exit code and everything that was said, which never holds the key or the password.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_backstop"))
            .args(arguments)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let said = said.concat();
        assert!(!said.contains(&KEY[4..40]), "the key was told: {said}");
        assert!(!said.contains("c4nary"), "the password was told: {said}");
        (output.status.code(), said)
    }

    fn check(&self, arguments: &[&str], code: i32, words: &str) {
        let (found, said) = self.run(arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_goes_into_foundrys_folder_and_never_out() {
    let home = Home::new();
    home.check(&["wallet", "list"], 0, "no keystores in");
    home.check(&["wallet", "import", "hot", "--key-file", "key", "--password-file", "password"], 0, ADDRESS);
    let file = home.path(".foundry/keystores/hot");
    assert_eq!(mode(&file), 0o600);
    let stored = fs::read_to_string(&file).unwrap();
    assert!(!stored.contains(&KEY[4..40]), "{stored}");
    let json: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert_eq!((json["version"].as_u64(), json["crypto"]["kdf"].as_str()), (Some(3), Some("scrypt")));
    home.check(&["wallet", "list"], 0, &format!("{ADDRESS}  hot"));
    home.check(&["wallet", "address", "hot", "--password-file", "password"], 0, ADDRESS);
    let json = ["wallet", "address", "hot", "--password-file", "password", "--json"];
    home.check(&json, 0, "\"name\":\"hot\"");
    home.check(
        &["wallet", "new", "cold", "--password-file", "password", "--dir", "elsewhere"],
        0,
        "elsewhere/cold",
    );
    assert_eq!(mode(&home.path("elsewhere/cold")), 0o600);
}

#[test]
fn what_is_wrong_is_said_without_what_is_secret() {
    let home = Home::new();
    home.check(&["wallet", "import", "hot", "--key-file", "key", "--password-file", "password"], 0, ADDRESS);
    let import = |name| ["wallet", "import", name, "--key-file", "key", "--password-file", "password"];
    home.check(&import("hot"), 3, "choose another name");
    home.check(&import("../hot"), 2, "nor hold a slash");
    home.write("wrong", "c4nary too", 0o600);
    home.check(&["wallet", "address", "hot", "--password-file", "wrong"], 3, "the password is wrong");
    home.check(&["wallet", "address", "none", "--password-file", "password"], 3, "no such file");
    home.check(&["wallet", "address", "hot"], 2, "--password-file");
    home.check(&["wallet", "import", "other"], 2, "--key-file");
    home.write("shared", PASSWORD, 0o644);
    home.check(&["wallet", "new", "other", "--password-file", "shared"], 3, "chmod 600");
    home.write("key", &KEY[2..], 0o600);
    home.check(&import("other"), 3, "64 hex digits");
    home.write("empty", "\n", 0o600);
    home.check(&["wallet", "new", "other", "--password-file", "empty"], 3, "is empty");
    home.write(".foundry/keystores/costly", &costly(&home), 0o600);
    home.check(&["wallet", "address", "costly", "--password-file", "password"], 3, "more than 1 GiB");
    home.check(&["wallet", "list"], 0, "more than 1 GiB");
}

/// The keystore of `hot`, with a key derivation that no wallet writes.
fn costly(home: &Home) -> String {
    let text = fs::read(home.path(".foundry/keystores/hot")).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    json["crypto"]["kdfparams"]["n"] = (1_u64 << 30).into();
    json.to_string()
}

#[test]
fn a_key_typed_where_it_does_not_belong_is_not_repeated() {
    let home = Home::new();
    let with_0x = format!("0x{KEY}");
    for key in [KEY, &with_0x] {
        for line in [
            vec!["wallet", "new", key],
            vec!["wallet", "import", key],
            vec!["wallet", "import", "hot", key],
            vec!["wallet", "import", "hot", "--key", key],
            vec!["wallet", key],
            vec![key],
            vec!["sweep", "--token", key],
        ] {
            let (code, said) = home.run(&line);
            assert_eq!(code, Some(2), "{said}");
        }
    }
    let (code, said) = home.run(&["wallet", "new", "hot", "--password", PASSWORD]);
    assert_eq!(code, Some(2), "{said}");
    assert!(!home.path(".foundry").exists());
}
