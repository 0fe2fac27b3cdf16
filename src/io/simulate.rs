//! Runs the exact call before anybody pays for it: as of one block, at the next block's time, with the operator
//! as sender. `eth_simulateV1` where the node has it; else `eth_call` and `eth_estimateGas`. Where no executor
//! is deployed its code and lists are placed by state override.

use super::gather::gather;
use super::reader::block;
use super::rpc::{Doing, Fault, Rpc};
use crate::domain::chain::{Head, Read};
use crate::domain::executor::{self, Listing, profit};
use crate::domain::plan::{Call, Trial};
use crate::domain::refusal::refusal;
use crate::domain::units::{FeePerGas, Gas};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::json_rpc::RpcRecv;
use eyre::{Result, ensure, eyre};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What the sender is made to hold, so that gas is never the reason a trial fails: a million coins.
const PLENTY: U256 = U256::from_limbs([0x1bce_cced_a100_0000, 0xd3c2, 0, 0]);

/// How trials are run.
#[derive(Clone)]
pub struct Simulator {
    rpc: Rpc,
    sender: Address,
    overrides: Value,
    gas_limit: Gas,
    simulates: bool,
    /// The chain holds all that the call needs: overrides only make sure of the sender's balance.
    stands_alone: bool,
}

/// Where a trial runs: on this block, at this time, at this base fee.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub at: Head,
    /// Seconds since 1970; later than the block's own.
    pub timestamp: u64,
    pub base_fee: FeePerGas,
}

/// What the sender and the executor are given for the trial.
pub struct Stage<'a> {
    pub executor: Address,
    pub sender: Address,
    /// No executor is deployed: place one that lists this.
    pub place: Option<&'a Listing>,
    /// An executor is deployed but the sender is not its operator: make it so.
    pub promote: bool,
}

#[derive(Debug, Deserialize)]
struct SimulatedBlock {
    calls: Vec<SimulatedCall>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SimulatedCall {
    return_data: Bytes,
    gas_used: U256,
    status: U256,
    error: Option<SimulatedError>,
}

#[derive(Debug, Deserialize)]
struct SimulatedError {
    message: String,
    data: Option<Value>,
}

impl Simulator {
    /// Finds out once whether the node simulates whole blocks.
    ///
    /// # Errors
    /// When the node does not answer at all.
    pub async fn new(rpc: Rpc, stage: &Stage<'_>, gas_limit: Gas) -> Result<Self> {
        let probe = json!([{ "blockStateCalls": [{ "calls": [] }] }, "latest"]);
        let simulates = match rpc.ask::<_, Value>("eth_simulateV1", probe).await {
            Ok(_) => true,
            Err(fault) if fault.is_passing() => return Err(fault).doing("asking whether the node simulates"),
            Err(Fault::Refused { .. } | Fault::Malformed { .. }) => false,
            Err(fault) => return Err(fault).doing("asking whether the node simulates"),
        };
        let stands_alone = stage.place.is_none() && !stage.promote;
        let (sender, overrides) = (stage.sender, overrides(stage));
        Ok(Self { rpc, sender, overrides, gas_limit, simulates, stands_alone })
    }

    /// Whether the node simulates blocks: gas is exact then, and calls can be tried one after another. Otherwise
    /// gas is the node's estimate, which is never less.
    pub fn simulates(&self) -> bool {
        self.simulates
    }

    /// Tries calls that do not know of one another, each alone on the block.
    ///
    /// # Errors
    /// When the node fails for any of them.
    pub async fn attempt_all(&self, when: &Moment, calls: &[Call]) -> Result<Vec<Trial>> {
        let jobs = calls.iter().map(|call| {
            let (simulator, when, call) = (self.clone(), *when, call.clone());
            async move { simulator.attempt(&when, call).await }
        });
        gather(jobs, &|_| {}).await
    }

    /// Tries calls one after another, each on what those before it left.
    ///
    /// # Errors
    /// When the node fails, or does not simulate blocks.
    pub async fn attempt_in_sequence(&self, when: &Moment, calls: &[Call]) -> Result<Vec<Trial>> {
        ensure!(self.simulates, "the node at {} cannot try one call after another", self.rpc.node());
        self.simulate(when, calls).await
    }

    /// Tries one call.
    async fn attempt(&self, when: &Moment, call: Call) -> Result<Trial> {
        if !self.simulates {
            return self.call(when, &call).await;
        }
        let trials = self.simulate(when, &[call]).await?;
        trials.into_iter().next().ok_or_else(|| eyre!("nothing was tried"))
    }

    fn request(&self, call: &Call) -> Value {
        json!({
            "from": self.sender,
            "to": call.to,
            "data": call.data,
            "gas": format!("{:#x}", self.gas_limit.0),
        })
    }

    async fn simulate(&self, when: &Moment, calls: &[Call]) -> Result<Vec<Trial>> {
        let number = when.at.block.number;
        // Room for every call's own limit, whatever the chain's block would hold.
        let room = self.gas_limit.0.saturating_mul(calls.len() as u64).max(when.at.gas_limit.0);
        let payload = json!([{
            "blockStateCalls": [{
                "blockOverrides": {
                    "number": format!("{:#x}", number.saturating_add(1)),
                    "time": format!("{:#x}", when.timestamp),
                    "baseFeePerGas": format!("{:#x}", when.base_fee.0),
                    "gasLimit": format!("{room:#x}"),
                },
                "stateOverrides": self.overrides,
                "calls": calls.iter().map(|call| self.request(call)).collect::<Vec<_>>(),
            }],
            "validation": false,
            "traceTransfers": false,
        }, format!("{number:#x}")]);
        let blocks: Vec<SimulatedBlock> = match self.rpc.ask("eth_simulateV1", payload).await {
            Ok(blocks) => blocks,
            // Refused as a whole: that says nothing of the node's health, and nothing of other calls.
            Err(fault @ Fault::Refused { .. }) if !fault.is_passing() => {
                let why = format!("not simulated: {fault}");
                return Ok(calls.iter().map(|_| Trial::Refused { why: why.clone() }).collect());
            }
            Err(fault) => return Err(fault).doing("simulating a liquidation"),
        };
        let results = blocks.into_iter().next().map(|block| block.calls).unwrap_or_default();
        ensure!(
            results.len() == calls.len(),
            "the node at {} was given {} calls to simulate and answered for {}",
            self.rpc.node(),
            calls.len(),
            results.len()
        );
        Ok(results.into_iter().map(SimulatedCall::trial).collect())
    }

    async fn call(&self, when: &Moment, call: &Call) -> Result<Trial> {
        let request = self.request(call);
        let block = format!("{:#x}", when.at.block.number);
        let time = json!({ "time": format!("{:#x}", when.timestamp) });
        let with_overrides = json!([request, block, self.overrides]);
        // From the most faithful question to the one that every node understands.
        let mut forms = vec![json!([request, block, self.overrides, time]), with_overrides.clone()];
        let mut estimates = vec![with_overrides];
        if self.stands_alone {
            forms.push(json!([request, block]));
            estimates.push(json!([request, block]));
        }
        let data: Bytes = match self.first_understood("eth_call", &forms).await {
            Ok(data) => data,
            Err(fault) => return refused(fault, "simulating a liquidation"),
        };
        match self.first_understood::<U256>("eth_estimateGas", &estimates).await {
            Ok(gas) => Ok(trial(&data, Gas(gas.saturating_to()))),
            Err(fault) if fault.revert().is_some() => {
                Ok(Trial::Refused { why: "refused when its gas was estimated".into() })
            }
            Err(fault) => refused(fault, "estimating gas"),
        }
    }

    /// The answer to the first of these forms that the node does not call unknown.
    async fn first_understood<R: RpcRecv>(&self, method: &'static str, forms: &[Value]) -> Result<R, Fault> {
        let (last, others) = forms.split_last().unwrap_or((&Value::Null, &[]));
        for form in others {
            match self.rpc.ask(method, form.clone()).await {
                Err(fault) if fault.is_unsupported() => {}
                other => return other,
            }
        }
        self.rpc.ask(method, last.clone()).await
    }
}

/// The contract's refusal, or the node's: what it cannot simulate is left alone, and says so. A node that did not
/// answer is an error.
fn refused(fault: Fault, doing: &str) -> Result<Trial> {
    match fault.revert() {
        Some(data) => Ok(Trial::Refused { why: refusal(&data) }),
        None if fault.is_unsupported() => Ok(Trial::Refused { why: format!("not simulated: {fault}") }),
        None => Err(fault).doing(doing),
    }
}

impl SimulatedCall {
    fn trial(self) -> Trial {
        let gas = Gas(self.gas_used.saturating_to());
        if !self.status.is_zero() {
            return trial(&self.return_data, gas);
        }
        let data = self.error.as_ref().and_then(|error| bytes(error.data.as_ref()));
        let data = data.unwrap_or(self.return_data);
        let why = if data.is_empty() {
            self.error.map_or_else(|| "no reason given".into(), |error| error.message)
        } else {
            refusal(&data)
        };
        Trial::Refused { why }
    }
}

/// What a contract answers `from` at the block `at`, or the bytes with which it refuses.
///
/// # Errors
/// When the node fails.
pub async fn answer(rpc: &Rpc, at: B256, from: Address, read: &Read) -> Result<Result<Bytes, Bytes>> {
    let call = json!({ "from": from, "to": read.to, "data": read.data });
    match rpc.ask("eth_call", json!([call, block(at)])).await {
        Ok(data) => Ok(Ok(data)),
        Err(fault) => match fault.revert() {
            Some(data) => Ok(Err(data)),
            None => Err(fault).doing("asking a contract"),
        },
    }
}

fn trial(data: &Bytes, gas: Gas) -> Trial {
    match profit(data) {
        Some((gross, done)) => Trial::Profit { gross, gas, done },
        None => Trial::Refused { why: "the address of the executor does not answer as one".into() },
    }
}

fn bytes(value: Option<&Value>) -> Option<Bytes> {
    value.and_then(Value::as_str).and_then(|text| text.parse().ok())
}

fn overrides(stage: &Stage<'_>) -> Value {
    let mut accounts = Map::new();
    accounts.insert(stage.sender.to_string(), json!({ "balance": PLENTY }));
    let storage = |slots: Vec<(B256, B256)>| {
        slots.into_iter().map(|(slot, word)| (slot.to_string(), json!(word))).collect::<Map<_, _>>()
    };
    let executor = if let Some(listing) = stage.place {
        // The receiver must be somebody else than the operator and hold no role.
        let receiver = executor::PLACEHOLDER.create(0);
        Some(json!({
            "code": executor::code(),
            "stateDiff": storage(listing.storage(stage.sender, receiver)),
        }))
    } else if stage.promote {
        let slot = (executor::role_slot(stage.sender), executor::Role::Operator.bit().into());
        Some(json!({ "stateDiff": storage(vec![slot]) }))
    } else {
        None
    };
    if let Some(executor) = executor {
        accounts.insert(stage.executor.to_string(), executor);
    }
    Value::Object(accounts)
}
