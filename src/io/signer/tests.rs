//! The signer's rules, by name: what it refuses to sign, and what it refuses to load. The key is a public
//! test key.

use super::*;
use alloy::consensus::TxEnvelope;
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::{address, keccak256};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

const KEY: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const OWN: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const EXECUTOR: Address = Address::repeat_byte(0xee);
const GWEI: u128 = 1_000_000_000;

fn policy() -> Policy {
    Policy::new(1, Some(EXECUTOR), FeePerGas(40 * GWEI), Gas(2_000_000))
}

fn signer(policy: Policy) -> Signer {
    Signer::load(Source::Environment(SecretString::from(KEY)), policy).unwrap()
}

fn sound() -> TxEip1559 {
    TxEip1559 {
        chain_id: 1,
        nonce: 7,
        gas_limit: 1_000_000,
        max_fee_per_gas: 30 * GWEI,
        max_priority_fee_per_gas: 2 * GWEI,
        to: TxKind::Call(EXECUTOR),
        input: Bytes::from_static(&[1, 2, 3, 4]),
        ..TxEip1559::default()
    }
}

/// The sound transaction, altered, gets this answer from the policy.
fn check(policy: &Policy, alter: impl FnOnce(&mut TxEip1559), expected: Result<(), Refused>) {
    let mut tx = sound();
    alter(&mut tx);
    assert_eq!(policy.check(OWN, &tx), expected);
}

#[test]
fn the_policy_refuses_all_it_does_not_name() {
    let ours = policy();
    let stranger = Address::repeat_byte(9);
    let cap = FeePerGas(40 * GWEI);
    check(&ours, |_| {}, Ok(()));
    check(&ours, |tx| tx.chain_id = 10, Err(Refused::OtherChain { asked: 10, ours: 1 }));
    check(&ours, |tx| tx.to = TxKind::Call(stranger), Err(Refused::NotTheExecutor { to: stranger }));
    check(&ours, |tx| tx.to = TxKind::Call(OWN), Err(Refused::CallsItself));
    check(&ours, |tx| tx.value = U256::ONE, Err(Refused::CarriesValue { value: U256::ONE }));
    check(&ours, |tx| tx.input = Bytes::new(), Err(Refused::EmptyCall));
    check(&ours, |tx| tx.max_fee_per_gas = cap.0, Ok(()));
    let fee = FeePerGas(cap.0 + 1);
    check(&ours, |tx| tx.max_fee_per_gas = fee.0, Err(Refused::FeeAboveCap { fee, cap }));
    let (tip, fee) = (FeePerGas(30 * GWEI + 1), FeePerGas(30 * GWEI));
    check(&ours, |tx| tx.max_priority_fee_per_gas = tip.0, Err(Refused::TipAboveFee { tip, fee }));
    let (gas, cap) = (Gas(2_000_001), Gas(2_000_000));
    check(&ours, |tx| tx.gas_limit = gas.0, Err(Refused::GasAboveCap { gas, cap }));
    check(&ours, |tx| tx.to = TxKind::Create, Err(Refused::MayNotDeploy));
    check(&ours, |tx| tx.access_list = AccessList(vec![Default::default()]), Err(Refused::AccessList));
}

#[test]
fn a_cancel_is_empty_and_without_value() {
    let cancel = |tx: &mut TxEip1559| (tx.to, tx.input) = (TxKind::Call(OWN), Bytes::new());
    check(&policy(), cancel, Ok(()));
    let value = U256::from(5);
    check(&policy(), |tx| (cancel(tx), tx.value = value).1, Err(Refused::CarriesValue { value }));
}

#[test]
fn a_deploying_key_calls_nothing() {
    let deploy = Policy::deploy(1, FeePerGas(40 * GWEI), Gas(2_000_000));
    check(&deploy, |tx| tx.to = TxKind::Create, Ok(()));
    check(&deploy, |_| {}, Err(Refused::NotTheExecutor { to: EXECUTOR }));
    let code =
        |bytes: usize| move |tx: &mut TxEip1559| (tx.to, tx.input) = (TxKind::Create, vec![0; bytes].into());
    check(&deploy, code(0), Err(Refused::InitCode { bytes: 0 }));
    check(&deploy, code(49_152), Ok(()));
    check(&deploy, code(49_153), Err(Refused::InitCode { bytes: 49_153 }));
    check(
        &deploy,
        |tx| (tx.to, tx.value) = (TxKind::Create, U256::ONE),
        Err(Refused::CarriesValue { value: U256::ONE }),
    );
}

#[test]
fn what_is_signed_is_what_was_asked_and_nothing_more() {
    let signer = signer(policy().with_cancel_gas(Gas(100_000)));
    let (max_fee, tip, gas_limit) = (FeePerGas(30 * GWEI), FeePerGas(GWEI), Gas(900_000));
    let data = Bytes::from_static(b"plan");
    let execute =
        signer.sign(Request::Execute { data: data.clone(), nonce: 3, gas_limit, max_fee, tip }).unwrap();
    let cancel = signer.sign(Request::Cancel { nonce: 3, max_fee, tip }).unwrap();
    for (signed, to, input, gas) in
        [(execute, EXECUTOR, data, gas_limit), (cancel, OWN, Bytes::new(), Gas(100_000))]
    {
        let read = TxEnvelope::decode_2718(&mut signed.raw.as_ref()).unwrap();
        assert_eq!((keccak256(&signed.raw), *read.hash()), (signed.hash(), signed.hash()));
        let read = read.as_eip1559().unwrap();
        assert_eq!(read.signature().recover_address_from_prehash(&read.signature_hash()).unwrap(), OWN);
        let tx = read.tx();
        assert_eq!((tx.chain_id, tx.nonce, tx.to, &tx.input), (1, 3, TxKind::Call(to), &input));
        assert_eq!((tx.max_fee_per_gas, tx.max_priority_fee_per_gas), (max_fee.0, tip.0));
        assert_eq!((tx.gas_limit, tx.value), (gas.0, U256::ZERO));
        assert!(!format!("{signed:?}").contains(&hex::encode(&signed.raw[..40])));
    }
}

#[test]
fn without_an_executor_nothing_is_executed() {
    let signer = signer(Policy::new(1, None, FeePerGas(40 * GWEI), Gas(2_000_000)));
    let (max_fee, tip) = (FeePerGas(GWEI), FeePerGas(GWEI));
    let data = Bytes::from_static(b"plan");
    let refused = signer.sign(Request::Execute { data, nonce: 0, gas_limit: Gas(1), max_fee, tip });
    assert_eq!(refused.err(), Some(Refused::NoExecutor));
}

#[test]
fn the_executor_is_neither_this_account_nor_zero() {
    for executor in [OWN, Address::ZERO] {
        let policy = Policy::new(1, Some(executor), FeePerGas(1), Gas(1));
        assert!(Signer::load(Source::Environment(SecretString::from(KEY)), policy).is_err());
    }
}

#[test]
fn a_bad_key_in_the_environment_is_not_repeated() {
    for bad in
        ["", "0xzz0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80", "ac0974", &"0".repeat(64)]
    {
        let said = refusal(Source::Environment(SecretString::from(bad)));
        assert!(said.contains("expected 64 hex digits"), "{said}");
        assert!(bad.is_empty() || !said.contains(bad), "{said}");
    }
}

// Keystores.

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        /// Making one takes a second or more: made once.
        static KEYSTORE: OnceLock<String> = OnceLock::new();
        let keystore = KEYSTORE.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let key = hex::decode(KEY).unwrap();
            let mut chance = alloy::signers::k256::elliptic_curve::rand_core::OsRng;
            PrivateKeySigner::encrypt_keystore(dir.path(), &mut chance, key, "open sesame", Some("key"))
                .unwrap();
            fs::read_to_string(dir.path().join("key")).unwrap()
        });
        let files = Self(tempfile::tempdir().unwrap());
        files.write("key", keystore);
        files.write("password", "open sesame\n");
        files
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn write(&self, name: &str, contents: &str) {
        fs::write(self.path(name), contents).unwrap();
        mode(&self.path(name), 0o600);
    }
    /// Rewrites the keystore's JSON.
    fn alter(&self, alter: impl FnOnce(&mut serde_json::Value)) {
        let mut json = serde_json::from_slice(&fs::read(self.path("key")).unwrap()).unwrap();
        alter(&mut json);
        self.write("key", &json.to_string());
    }
    fn source(&self) -> Source {
        Source::Keystore { path: self.path("key"), password: Password::File(self.path("password")) }
    }
}

fn mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

fn refusal(source: Source) -> String {
    format!("{:#}", Signer::load(source, policy()).err().expect("a refusal"))
}

/// A sound keystore, harmed, is refused with these words.
fn check_keystore(harm: impl FnOnce(&Files), words: &str) {
    let files = Files::new();
    harm(&files);
    let said = refusal(files.source());
    assert!(said.contains(words), "{said}");
    assert!(!said.contains("sesame"), "{said}");
}

#[test]
fn a_keystore_opens_with_its_password_with_or_without_a_line_end() {
    for password in ["open sesame", "open sesame\n", "open sesame\r\n"] {
        let files = Files::new();
        files.write("password", password);
        files.alter(|json| json["address"] = OWN.to_string().to_lowercase()[2..].into());
        assert_eq!(Signer::load(files.source(), policy()).unwrap().address(), OWN);
    }
}

#[test]
fn files_that_are_missing_or_open_to_others_are_refused() {
    check_keystore(|files| fs::remove_file(files.path("key")).unwrap(), "key: no such file");
    check_keystore(|files| fs::remove_file(files.path("password")).unwrap(), "password: no such file");
    check_keystore(|files| mode(&files.path("key"), 0o644), "chmod 600");
    check_keystore(|files| mode(&files.path("key"), 0o640), "chmod 600");
    check_keystore(|files| mode(&files.path("password"), 0o604), "chmod 600");
    check_keystore(
        |files| {
            fs::remove_file(files.path("key")).unwrap();
            fs::create_dir(files.path("key")).unwrap();
        },
        "not a file",
    );
}

#[test]
fn a_wrong_password_and_a_wrong_address_are_said_plainly() {
    check_keystore(|files| files.write("password", "open barley"), "is wrong");
    check_keystore(
        |files| files.alter(|json| json["address"] = EXECUTOR.to_string().into()),
        "holds the key of",
    );
    check_keystore(|files| files.alter(|json| json["address"] = "0x12".into()), "its address is not one");
}

#[test]
fn what_is_no_keystore_is_refused_before_the_password_is_read() {
    check_keystore(|files| files.write("key", "{ not json"), "not a keystore");
    check_keystore(|files| files.write("key", "{}"), "not a keystore");
    check_keystore(|files| files.alter(|json| json["crypto"]["cipherparams"]["iv"] = "00".into()), "its iv");
    check_keystore(|files| files.alter(|json| json["crypto"]["ciphertext"] = "zz".into()), "its ciphertext");
    check_keystore(|files| files.alter(|json| json["crypto"]["cipher"] = "rot13".into()), "another cipher");
    check_keystore(|files| files.alter(|json| json["version"] = 1.into()), "version 1");
}

#[test]
fn a_keystore_that_would_eat_the_memory_is_refused() {
    let scrypt = |name: &'static str, value: u64, words: &str| {
        check_keystore(|files| files.alter(|json| json["crypto"]["kdfparams"][name] = value.into()), words);
    };
    scrypt("n", 1 << 21, "more than 1 GiB");
    scrypt("r", 1 << 40, "more than 1 GiB");
    scrypt("p", u64::MAX, "more than 1 GiB");
    scrypt("n", 8_191, "power of two");
    scrypt("n", 1, "power of two");
    scrypt("p", 0, "must not be zero");
    scrypt("dklen", 31, "only 32");
    // The decrypting code goes by the fields it finds, not by the name above them.
    check_keystore(
        |files| {
            files.alter(|json| {
                json["crypto"]["kdfparams"]["prf"] = "hmac-sha256".into();
                json["crypto"]["kdfparams"]["c"] = 4_000_000_000_u64.into();
            })
        },
        "its kdfparams are not those of its kdf",
    );
    check_keystore(
        |files| {
            files.alter(|json| {
                let salt = json["crypto"]["kdfparams"]["salt"].clone();
                json["crypto"]["kdf"] = "pbkdf2".into();
                json["crypto"]["kdfparams"] =
                    serde_json::json!({ "c": 1_u64 << 32, "dklen": 32, "prf": "hmac-sha256", "salt": salt });
            })
        },
        "pbkdf2 c",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_hardened_process_dumps_no_core() {
    harden().unwrap();
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
}

#[test]
fn a_sweeping_key_salvages_and_does_nothing_else() {
    let sweep = Policy::sweep(1, EXECUTOR, FeePerGas(40 * GWEI), Gas(2_000_000));
    let call = |token: Address| Bytes::from(Executor::salvageCall { token }.abi_encode());
    let salvage = call(Address::repeat_byte(7));
    let with = |input: Bytes| move |tx: &mut TxEip1559| tx.input = input;
    check(&sweep, with(salvage.clone()), Ok(()));
    check(&sweep, with(call(Address::ZERO)), Ok(()));
    check(&sweep, |_| {}, Err(Refused::NotASalvage));
    check(&sweep, with([salvage.as_ref(), &[0]].concat().into()), Err(Refused::NotASalvage));
    check(&sweep, with(salvage[..35].to_vec().into()), Err(Refused::NotASalvage));
    let mut dirty = salvage.to_vec();
    dirty[4] = 1;
    check(&sweep, with(dirty.into()), Err(Refused::NotASalvage));
    let grant = Executor::setRolesCall { targets: vec![OWN], bits: vec![U256::ONE] }.abi_encode();
    check(&sweep, with(grant.into()), Err(Refused::NotASalvage));
    let elsewhere = |tx: &mut TxEip1559| (tx.to, tx.input) = (TxKind::Call(OWN), salvage.clone());
    check(&sweep, elsewhere, Err(Refused::NotASalvage));
    check(&sweep, |tx| (tx.to, tx.input) = (TxKind::Call(OWN), Bytes::new()), Err(Refused::NotASalvage));
    check(&sweep, |tx| tx.to = TxKind::Create, Err(Refused::MayNotDeploy));
    let signed = signer(sweep)
        .sign(Request::Salvage {
            token: Address::ZERO,
            nonce: 3,
            gas_limit: Gas(90_000),
            max_fee: FeePerGas(9),
            tip: FeePerGas(1),
        })
        .unwrap();
    assert_eq!((signed.kind(), signed.nonce()), (Kind::Salvage, 3));
}
