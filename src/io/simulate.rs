//! Runs the exact call before anybody pays for it: as of one block, at the next block's time, with the operator
//! as sender. `eth_simulateV1` where the node has it; else `eth_call` and `eth_estimateGas`. Where no executor
//! is deployed its code and lists are placed by state override.

use super::gather::gather;
use super::reader::block;
use super::rpc::{Doing, Fault, Rpc};
use crate::domain::chain::{Head, Read};
use crate::domain::executor::{self, Listing, profit};
use crate::domain::plan::{Proposal, Trial};
use crate::domain::refusal::refusal;
use crate::domain::units::{FeePerGas, Gas};
use alloy::primitives::{Address, B256, Bytes, U256};
use eyre::{Result, bail};
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
            Err(Fault::Refused { .. } | Fault::Malformed { .. }) => false,
            Err(fault) => return Err(fault).doing("asking whether the node simulates"),
        };
        Ok(Self { rpc, sender: stage.sender, overrides: overrides(stage), gas_limit, simulates })
    }

    /// Whether gas is exact; otherwise it is the node's estimate, which is never less.
    pub fn is_exact(&self) -> bool {
        self.simulates
    }

    /// Tries calls that do not know of one another, each alone on the block.
    ///
    /// # Errors
    /// When the node fails for any of them.
    pub async fn attempt_all(
        &self,
        at: &Head,
        timestamp: u64,
        base_fee: FeePerGas,
        proposals: &[Proposal],
    ) -> Result<Vec<Trial>> {
        let jobs = proposals.iter().map(|proposal| {
            let (simulator, at, proposal) = (self.clone(), *at, proposal.clone());
            async move { simulator.attempt(&at, timestamp, base_fee, &proposal).await }
        });
        gather(jobs, &|_| {}).await
    }

    /// Tries one call.
    ///
    /// # Errors
    /// When the node fails; a refused call is a `Trial::Refused`.
    async fn attempt(
        &self,
        at: &Head,
        timestamp: u64,
        base_fee: FeePerGas,
        proposal: &Proposal,
    ) -> Result<Trial> {
        if self.simulates {
            self.simulate(at, timestamp, base_fee, proposal).await
        } else {
            self.call(at, timestamp, proposal).await
        }
    }

    fn request(&self, proposal: &Proposal) -> Value {
        json!({
            "from": self.sender,
            "to": proposal.to,
            "data": proposal.data,
            "gas": format!("{:#x}", self.gas_limit.0),
        })
    }

    async fn simulate(
        &self,
        at: &Head,
        timestamp: u64,
        base_fee: FeePerGas,
        proposal: &Proposal,
    ) -> Result<Trial> {
        let payload = json!([{
            "blockStateCalls": [{
                "blockOverrides": {
                    "number": format!("{:#x}", at.block.number.saturating_add(1)),
                    "time": format!("{timestamp:#x}"),
                    "baseFeePerGas": format!("{:#x}", base_fee.0),
                },
                "stateOverrides": self.overrides,
                "calls": [self.request(proposal)],
            }],
            "validation": false,
            "traceTransfers": false,
        }, format!("{:#x}", at.block.number)]);
        let blocks: Vec<SimulatedBlock> =
            self.rpc.ask("eth_simulateV1", payload).await.doing("simulating a liquidation")?;
        let Some(call) = blocks.into_iter().next().and_then(|block| block.calls.into_iter().next()) else {
            bail!("the node at {} simulated nothing", self.rpc.node());
        };
        if call.status.is_zero() {
            let data = call.error.as_ref().and_then(|error| bytes(error.data.as_ref()));
            let data = data.unwrap_or(call.return_data);
            let why = if data.is_empty() {
                call.error.map_or_else(|| "no reason given".into(), |error| error.message)
            } else {
                refusal(&data)
            };
            return Ok(Trial::Refused { why });
        }
        Ok(trial(&call.return_data, Gas(call.gas_used.saturating_to())))
    }

    async fn call(&self, at: &Head, timestamp: u64, proposal: &Proposal) -> Result<Trial> {
        let request = self.request(proposal);
        let block = format!("{:#x}", at.block.number);
        let time = json!({ "time": format!("{timestamp:#x}") });
        let with_time = json!([request, block, self.overrides, time]);
        let answer: Result<Bytes, Fault> = match self.rpc.ask("eth_call", with_time).await {
            Err(fault) if fault.is_unsupported() => {
                self.rpc.ask("eth_call", json!([request, block, self.overrides])).await
            }
            other => other,
        };
        let data = match answer {
            Ok(data) => data,
            Err(fault) => {
                return match fault.revert() {
                    Some(data) => Ok(Trial::Refused { why: refusal(&data) }),
                    None => Err(fault).doing("simulating a liquidation"),
                };
            }
        };
        let estimate = json!([request, block, self.overrides]);
        match self.rpc.ask::<_, U256>("eth_estimateGas", estimate).await {
            Ok(gas) => Ok(trial(&data, Gas(gas.saturating_to()))),
            Err(fault) if fault.revert().is_some() => {
                Ok(Trial::Refused { why: "refused when its gas was estimated".into() })
            }
            Err(fault) => Err(fault).doing("estimating gas"),
        }
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
        Some(gross) => Trial::Profit { gross, gas },
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
