//! The only file that sees a key. Signs EIP-1559 transactions of three forms and refuses every other. Whether
//! one is worth sending is decided elsewhere, and nothing signed here leaves before the journal has it.
//!
//! Nothing that holds the key has `Debug`, `Display`, `Clone` or `Serialize`.

mod keystore;
pub mod wallet;

use crate::abi::executor::Executor;
use crate::domain::units::{FeePerGas, Gas};
use alloy::consensus::{SignableTransaction as _, TxEip1559};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::eips::eip2930::AccessList;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy::signers::{SignerSync as _, local::PrivateKeySigner};
use alloy::sol_types::SolCall as _;
use eyre::{Result, WrapErr as _, bail, ensure, eyre};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a bare transfer costs on most chains; `Policy::with_cancel_gas` is for the others.
const TRANSFER_GAS: Gas = Gas(21_000);

/// The longest init code a chain takes. Source: EIP-3860.
const MAX_INIT_CODE: usize = 49_152;

/// Where the key comes from.
pub enum Source {
    /// A Web3 Secret Storage file, as Foundry and geth write it.
    Keystore { path: PathBuf, password: Password },
    /// 32 bytes of hex out of the environment: seen by whoever may read the process's environment.
    Environment(SecretString),
}

/// What opens a keystore.
pub enum Password {
    /// A file that nobody else may read; a line end behind the password is none of it.
    File(PathBuf),
    /// Typed by a person.
    Typed(SecretString),
}

/// The calls and creations a policy lets through, beside cancels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    Execute,
    Deploy,
    /// And no cancels: the owner's nonces are none of the keeper's.
    Salvage,
}

/// What this key may sign on which chain. The last line of defence: it holds even when the code above errs.
#[derive(Clone, Debug)]
pub struct Policy {
    chain_id: u64,
    executor: Option<Address>,
    max_fee: FeePerGas,
    max_gas: Gas,
    cancel_gas: Gas,
    may: May,
}

impl Policy {
    /// Calls of `executor` (none without one) and cancels, at up to `max_fee` per gas and `max_gas` each.
    pub fn new(chain_id: u64, executor: Option<Address>, max_fee: FeePerGas, max_gas: Gas) -> Self {
        Self { chain_id, executor, max_fee, max_gas, cancel_gas: TRANSFER_GAS, may: May::Execute }
    }

    /// Contract creations and cancels, and no call of anything.
    pub fn deploy(chain_id: u64, max_fee: FeePerGas, max_gas: Gas) -> Self {
        Self { may: May::Deploy, ..Self::new(chain_id, None, max_fee, max_gas) }
    }

    /// `salvage(address)` of `executor`, and nothing else.
    pub fn sweep(chain_id: u64, executor: Address, max_fee: FeePerGas, max_gas: Gas) -> Self {
        Self { may: May::Salvage, ..Self::new(chain_id, Some(executor), max_fee, max_gas) }
    }

    /// The gas limit of a cancel, where a bare transfer takes more than 21 000 (Arbitrum, zkSync).
    pub fn with_cancel_gas(self, cancel_gas: Gas) -> Self {
        Self { cancel_gas, ..self }
    }

    /// Judges a transaction of the account `own` as it stands, whoever made it.
    fn check(&self, own: Address, tx: &TxEip1559) -> Result<(), Refused> {
        let (fee, tip) = (FeePerGas(tx.max_fee_per_gas), FeePerGas(tx.max_priority_fee_per_gas));
        let gas = Gas(tx.gas_limit);
        if tx.chain_id != self.chain_id {
            return Err(Refused::OtherChain { asked: tx.chain_id, ours: self.chain_id });
        }
        if !tx.value.is_zero() {
            return Err(Refused::CarriesValue { value: tx.value });
        }
        if fee > self.max_fee {
            return Err(Refused::FeeAboveCap { fee, cap: self.max_fee });
        }
        if tip > fee {
            return Err(Refused::TipAboveFee { tip, fee });
        }
        if gas > self.max_gas {
            return Err(Refused::GasAboveCap { gas, cap: self.max_gas });
        }
        if !tx.access_list.is_empty() {
            return Err(Refused::AccessList);
        }
        match tx.to {
            TxKind::Create if self.may != May::Deploy => Err(Refused::MayNotDeploy),
            TxKind::Create if tx.input.is_empty() || tx.input.len() > MAX_INIT_CODE => {
                Err(Refused::InitCode { bytes: tx.input.len() })
            }
            TxKind::Create => Ok(()),
            TxKind::Call(to)
                if self.may == May::Salvage && (Some(to) != self.executor || !is_salvage(&tx.input)) =>
            {
                Err(Refused::NotASalvage)
            }
            TxKind::Call(to) if to == own && tx.input.is_empty() => Ok(()),
            TxKind::Call(to) if to == own => Err(Refused::CallsItself),
            TxKind::Call(to) if Some(to) != self.executor => Err(Refused::NotTheExecutor { to }),
            TxKind::Call(_) if tx.input.len() < 4 => Err(Refused::EmptyCall),
            TxKind::Call(_) => Ok(()),
        }
    }
}

/// Exactly the call `salvage(address)`, as the contract's own decoder takes it.
fn is_salvage(input: &[u8]) -> bool {
    Executor::salvageCall::abi_decode_validate(input).is_ok_and(|call| call.abi_encode() == input)
}

/// What the keeper asks to be signed. There is no way to name a recipient or a value.
#[derive(Clone, Debug)]
pub enum Request {
    /// A call of the executor contract.
    Execute { data: Bytes, nonce: u64, gas_limit: Gas, max_fee: FeePerGas, tip: FeePerGas },
    /// Nothing, sent to ourselves: takes the nonce away from an earlier transaction.
    Cancel { nonce: u64, max_fee: FeePerGas, tip: FeePerGas },
    /// A new contract; needs a `Policy::deploy`.
    Deploy { init_code: Bytes, nonce: u64, gas_limit: Gas, max_fee: FeePerGas, tip: FeePerGas },
    /// All the executor holds of `token` to its receiver; the zero address is the native coin. Needs a
    /// `Policy::sweep`.
    Salvage { token: Address, nonce: u64, gas_limit: Gas, max_fee: FeePerGas, tip: FeePerGas },
}

/// What kind of transaction was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Execute,
    Cancel,
    Deploy,
    Salvage,
}

/// Why the signer did not sign. The plan is at fault, not the moment: asking again gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("for chain {asked}, while this key signs for chain {ours} only")]
    OtherChain { asked: u64, ours: u64 },
    #[error("to {to}, which is neither the executor nor this account")]
    NotTheExecutor { to: Address },
    #[error("no executor is configured to be called")]
    NoExecutor,
    #[error("a call of this account itself with data: only an empty cancel is allowed")]
    CallsItself,
    #[error("a call of the executor without a function")]
    EmptyCall,
    #[error("carries {value} wei: liquidations are paid from loans, never from this account")]
    CarriesValue { value: U256 },
    #[error("fee of {} wei per gas, above the cap of {}", fee.0, cap.0)]
    FeeAboveCap { fee: FeePerGas, cap: FeePerGas },
    #[error("tip of {} wei per gas, above the whole fee of {}", tip.0, fee.0)]
    TipAboveFee { tip: FeePerGas, fee: FeePerGas },
    #[error("gas limit of {}, above the cap of {}", gas.0, cap.0)]
    GasAboveCap { gas: Gas, cap: Gas },
    #[error("an access list, which no plan of ours has")]
    AccessList,
    #[error("a contract creation, which only the deploy command may sign")]
    MayNotDeploy,
    #[error("anything but a salvage of the executor, which is all the sweep command may sign")]
    NotASalvage,
    #[error("init code of {bytes} bytes: between 1 and 49152 are possible")]
    InitCode { bytes: usize },
    #[error("the signature failed: {0}")]
    Failed(String),
}

/// A signed transaction that has not left the process. Not `Clone`: the journal takes it, and gives back
/// the only form that can be sent.
pub struct Signed {
    pub(in crate::io) raw: Bytes,
    hash: B256,
    from: Address,
    chain_id: u64,
    nonce: u64,
    max_fee: FeePerGas,
    tip: FeePerGas,
    gas_limit: Gas,
    kind: Kind,
}

impl Signed {
    pub fn hash(&self) -> B256 {
        self.hash
    }
    pub fn from(&self) -> Address {
        self.from
    }
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }
    pub fn nonce(&self) -> u64 {
        self.nonce
    }
    pub fn max_fee(&self) -> FeePerGas {
        self.max_fee
    }
    pub fn tip(&self) -> FeePerGas {
        self.tip
    }
    pub fn gas_limit(&self) -> Gas {
        self.gas_limit
    }
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

/// Without the bytes: whoever reads a log must not be able to send them first.
impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed({:?}, nonce {}, {})", self.kind, self.nonce, self.hash)
    }
}

/// One key under one policy.
pub struct Signer {
    key: PrivateKeySigner,
    policy: Policy,
}

impl Signer {
    /// Reads and decrypts the key. Takes up to seconds: use a blocking thread.
    ///
    /// # Errors
    /// A file that is missing, readable by others, not a keystore, too costly to decrypt (over 1 GiB), under
    /// another password, or whose key is not that of its `address`; a policy whose executor is this account
    /// or zero.
    pub fn load(source: Source, policy: Policy) -> Result<Self> {
        let key = match source {
            Source::Keystore { path, password } => open(&path, &password)?,
            Source::Environment(secret) => {
                tracing::warn!(
                    "the key comes from the environment, where others may see it: prefer a keystore file"
                );
                from_hex(&secret).wrap_err("key from the environment")?
            }
        };
        if let Some(executor) = policy.executor {
            ensure!(
                executor != key.address(),
                "the executor {executor} is the signing account itself: name the contract"
            );
            ensure!(!executor.is_zero(), "the executor is the zero address: name the deployed contract");
        }
        Ok(Self { key, policy })
    }

    /// The account that pays.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Signs in memory. Nothing is durable yet and nothing was sent.
    ///
    /// # Errors
    /// `Refused` for whatever the policy does not name.
    pub fn sign(&self, request: Request) -> Result<Signed, Refused> {
        let (kind, to, input, nonce, gas_limit, max_fee, tip) = match request {
            Request::Execute { data, nonce, gas_limit, max_fee, tip } => {
                let executor = self.policy.executor.ok_or(Refused::NoExecutor)?;
                (Kind::Execute, TxKind::Call(executor), data, nonce, gas_limit, max_fee, tip)
            }
            Request::Cancel { nonce, max_fee, tip } => {
                let own = TxKind::Call(self.address());
                (Kind::Cancel, own, Bytes::new(), nonce, self.policy.cancel_gas, max_fee, tip)
            }
            Request::Deploy { init_code, nonce, gas_limit, max_fee, tip } => {
                (Kind::Deploy, TxKind::Create, init_code, nonce, gas_limit, max_fee, tip)
            }
            Request::Salvage { token, nonce, gas_limit, max_fee, tip } => {
                let executor = self.policy.executor.ok_or(Refused::NoExecutor)?;
                let data = Executor::salvageCall { token }.abi_encode().into();
                (Kind::Salvage, TxKind::Call(executor), data, nonce, gas_limit, max_fee, tip)
            }
        };
        let tx = TxEip1559 {
            chain_id: self.policy.chain_id,
            nonce,
            gas_limit: gas_limit.0,
            max_fee_per_gas: max_fee.0,
            max_priority_fee_per_gas: tip.0,
            to,
            value: U256::ZERO,
            access_list: AccessList::default(),
            input,
        };
        self.policy.check(self.address(), &tx)?;
        let chain_id = tx.chain_id;
        let signature = self
            .key
            .sign_hash_sync(&tx.signature_hash())
            .map_err(|error| Refused::Failed(error.to_string()))?;
        let signed = tx.into_signed(signature);
        let (hash, raw) = (*signed.hash(), signed.encoded_2718().into());
        Ok(Signed { raw, hash, from: self.address(), chain_id, nonce, max_fee, tip, gas_limit, kind })
    }
}

/// Decrypts a keystore, once it has been looked over, and makes sure the key is that of its address.
fn open(path: &Path, password: &Password) -> Result<PrivateKeySigner> {
    let declared = keystore::inspect(path)?;
    let password = password.read()?;
    let key = PrivateKeySigner::decrypt_keystore(path, password.as_slice())
        .map_err(|error| keystore::not_decrypted(path, &error))?;
    if let Some(declared) = declared.filter(|declared| *declared != key.address()) {
        let found = key.address();
        bail!(
            "keystore {}: says {declared} but holds the key of {found}: use an unaltered file",
            path.display()
        );
    }
    Ok(key)
}

impl Password {
    /// Its bytes; wiped when dropped.
    fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        match self {
            Self::Typed(typed) => Ok(Zeroizing::new(typed.expose_secret().as_bytes().to_vec())),
            Self::File(path) => {
                let mut password = keystore::read_private(path, "password file")?;
                for end in [b'\n', b'\r'] {
                    if password.last() == Some(&end) {
                        password.pop();
                    }
                }
                Ok(password)
            }
        }
    }
}

/// A key from 64 hex digits, with or without `0x`. Says nothing of what it read.
fn from_hex(secret: &SecretString) -> Result<PrivateKeySigner> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    let form = "not a private key: expected 64 hex digits";
    hex::decode_to_slice(secret.expose_secret().trim(), bytes.as_mut_slice()).map_err(|_| eyre!(form))?;
    PrivateKeySigner::from_slice(bytes.as_slice()).map_err(|_| eyre!(form))
}

/// Keeps the key out of core dumps, and out of reach of a debugger of the same user. Call it before `load`.
/// Does nothing where the system is not Linux.
///
/// # Errors
/// When the system refuses.
pub fn harden() -> Result<()> {
    #[cfg(target_os = "linux")]
    #[allow(unsafe_code, reason = "the system call has no safe wrapper in std")]
    {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the call reads the struct, which outlives it.
        let limited = unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) };
        ensure!(limited == 0, "no core dumps (RLIMIT_CORE): {}", std::io::Error::last_os_error());
        // SAFETY: takes plain integers and touches no memory of ours.
        let hidden = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
        ensure!(hidden == 0, "hide from debuggers (PR_SET_DUMPABLE): {}", std::io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
