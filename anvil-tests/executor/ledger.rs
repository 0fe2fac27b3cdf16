//! What must hold whoever does what: everybody's money, every leave to take, and who is who, read in one call and judged
//! after each step.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, Bytes, U256, address},
    rpc::types::TransactionReceipt,
    sol_types::SolCall,
};
use eyre::{Result, ensure, eyre};

use super::{
    Executor, OPERATOR, OWNER, RECEIVER, SUCCESSOR, Stage,
    stage::{Erc20, events},
};

alloy::sol! {
    interface IMulticall {
        struct Call { address target; bool allowFailure; bytes callData; }
        struct Answer { bool success; bytes returnData; }
        function aggregate3(Call[] calldata calls) external payable returns (Answer[] memory answers);
        function getEthBalance(address account) external view returns (uint256);
    }
}

const MULTICALL: Address = address!("0xcA11bde05977b3631167028862bE2a173976CA11");
/// Has allowed the executor everything, and never acts.
pub const VICTIM: Address = address!("0x000000000000000000000000000000000071c711");
/// A rebasing token's rounding: what may stay behind.
const DUST: U256 = U256::from_limbs([2, 0, 0, 0]);

/// What the executor's own storage says, and what it must say.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub owner: Address,
    pub pending: Address,
    pub receiver: Address,
    pub roles: BTreeMap<Address, U256>,
}

/// One reading of everything that is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// By token (zero: native coin) and holder. Native coin is watched with the executor only: all others pay gas with it.
    pub held: BTreeMap<(Address, Address), U256>,
    /// What may be taken from the executor, by token and spender; those that are nothing are left out.
    pub leaves: BTreeMap<(Address, Address), U256>,
    pub order: Order,
}

/// What a step was meant to do.
#[derive(Debug)]
pub enum Meant {
    /// Nothing that is watched: an attack, a price, other people's affairs, anything refused.
    Nothing,
    Gift {
        token: Address,
        amount: U256,
    },
    Salvage(Address),
    /// A change of the list or of the owner, which is in the order that is expected.
    Rule,
    /// Plans that the operator sent and that were carried out; of several, some.
    Run {
        plans: Vec<Executor::Plan>,
        least: U256,
        receipt: Box<TransactionReceipt>,
    },
}

/// Reads what is watched.
pub struct Ledger {
    tokens: Vec<Address>,
    /// They send nothing, ever.
    savers: Vec<Address>,
    /// They are given nothing, ever.
    thieves: Vec<Address>,
    spenders: Vec<Address>,
}

impl Ledger {
    pub fn new(stage: &Stage, thieves: &[Address]) -> Self {
        let pools = stage.fork.manifest.uniswap.pools.iter().map(|pool| pool.address);
        let tokens = stage.listing.tokens();
        let listed =
            stage.listing.0.iter().map(|(listed, _)| *listed).filter(|listed| !tokens.contains(listed));
        let spenders = listed.chain(pools).chain(thieves.iter().copied()).collect();
        Self {
            spenders,
            tokens,
            savers: vec![RECEIVER, OWNER, SUCCESSOR, OPERATOR, VICTIM],
            thieves: thieves.to_vec(),
        }
    }

    pub async fn read(&self, stage: &Stage) -> Result<State> {
        let executor = stage.executor;
        let people: Vec<Address> =
            self.savers.iter().chain(&self.thieves).copied().chain([executor]).collect();
        let listed = stage.listing.0.iter().map(|(listed, _)| *listed);
        let watched: Vec<Address> = listed.chain([OPERATOR]).chain(people.iter().copied()).collect();
        let mut asked: Vec<(Address, Vec<u8>)> = Vec::new();
        for token in &self.tokens {
            asked.extend(
                people.iter().map(|holder| (*token, Erc20::balanceOfCall { holder: *holder }.abi_encode())),
            );
            for spender in &self.spenders {
                let leave = Erc20::allowanceCall { holder: executor, spender: *spender };
                asked.push((*token, leave.abi_encode()));
            }
        }
        asked.push((MULTICALL, IMulticall::getEthBalanceCall { account: executor }.abi_encode()));
        asked.extend(
            watched.iter().map(|account| (executor, Executor::rolesCall { account: *account }.abi_encode())),
        );
        asked.push((executor, Executor::ownerCall {}.abi_encode()));
        asked.push((executor, Executor::pendingOwnerCall {}.abi_encode()));
        asked.push((executor, Executor::receiverCall {}.abi_encode()));

        let calls = asked.into_iter().map(|(target, data)| IMulticall::Call {
            target,
            allowFailure: false,
            callData: data.into(),
        });
        let call = IMulticall::aggregate3Call { calls: calls.collect() };
        let mut words =
            stage.fork.chain.read(MULTICALL, &call).await?.into_iter().map(|answer| word(&answer.returnData));
        let mut next = || words.next().ok_or_else(|| eyre!("an answer is missing"));
        let (mut held, mut leaves) = (BTreeMap::new(), BTreeMap::new());
        for token in &self.tokens {
            for holder in &people {
                held.insert((*token, *holder), next()?);
            }
            for spender in &self.spenders {
                let leave = next()?;
                if !leave.is_zero() {
                    leaves.insert((*token, *spender), leave);
                }
            }
        }
        held.insert((Address::ZERO, executor), next()?);
        let mut roles = BTreeMap::new();
        for account in watched {
            let bits = next()?;
            if !bits.is_zero() {
                roles.insert(account, bits);
            }
        }
        let mut person = || -> Result<Address> { Ok(Address::from_word(next()?.into())) };
        let order = Order { owner: person()?, pending: person()?, receiver: person()?, roles };
        Ok(State { held, leaves, order })
    }

    /// Whether the step kept every rule. `expected` is the order as the owner's own steps have made it.
    pub fn judge(
        &self,
        stage: &Stage,
        before: &State,
        after: &State,
        expected: &Order,
        meant: &Meant,
    ) -> Result<()> {
        ensure!(after.order == *expected, "the order is {:?}, not {expected:?}", after.order);
        ensure!(after.leaves.is_empty(), "somebody may take from the executor: {:?}", after.leaves);
        for token in &self.tokens {
            let of = |state: &State, holder: Address| state.held[&(*token, holder)];
            for saver in &self.savers {
                let (had, has) = (of(before, *saver), of(after, *saver));
                ensure!(has >= had, "{saver} had {had} of {token} and has {has}");
                let is_paid = *saver == RECEIVER && matches!(meant, Meant::Run { .. } | Meant::Salvage(_));
                ensure!(has == had || is_paid, "{saver} was given {} of {token}", has - had);
            }
            for thief in &self.thieves {
                let (had, has) = (of(before, *thief), of(after, *thief));
                ensure!(has <= had, "{thief} gained {} of {token}", has - had);
            }
        }
        let tokens = self.tokens.iter().copied().chain([Address::ZERO]);
        for token in tokens {
            let (had, has) = (before.held[&(token, stage.executor)], after.held[&(token, stage.executor)]);
            match meant {
                Meant::Nothing | Meant::Rule => {
                    ensure!(had == has, "the executor had {had} of {token} and has {has}")
                }
                Meant::Gift { token: given, amount } => {
                    let added = if *given == token { *amount } else { U256::ZERO };
                    ensure!(
                        has == had + added,
                        "the executor had {had} of {token}, was given {added} and has {has}"
                    );
                }
                Meant::Salvage(salvaged) => {
                    let left = if *salvaged == token { U256::ZERO } else { had };
                    ensure!(has == left, "the executor had {had} of {token} and has {has} after a salvage");
                    if *salvaged == token && token != Address::ZERO {
                        let key = (token, RECEIVER);
                        ensure!(
                            after.held[&key] == before.held[&key] + had,
                            "the salvage of {token} went astray"
                        );
                    }
                }
                Meant::Run { plans, .. } => {
                    let touched = plans.iter().any(|plan| touches(plan, token));
                    ensure!(
                        has == had || touched && has <= DUST,
                        "{has} of {token} are left, of {had} before"
                    );
                }
            }
        }
        if let Meant::Run { plans, least, receipt } = meant {
            self.judge_run(before, after, stage, (plans, *least), receipt)?;
        }
        Ok(())
    }

    /// The profit is at least what was wanted, and all of it and of what was here before is with the receiver.
    fn judge_run(
        &self,
        before: &State,
        after: &State,
        stage: &Stage,
        (plans, least): (&[Executor::Plan], U256),
        receipt: &TransactionReceipt,
    ) -> Result<()> {
        let executed = events::<Executor::Executed>(receipt);
        let mut gains: BTreeMap<Address, U256> = BTreeMap::new();
        for event in &executed {
            *gains.entry(event.profitToken).or_default() += event.profit;
        }
        let failed = events::<Executor::Failed>(receipt);
        let done =
            (0..plans.len()).filter(|place| !failed.iter().any(|event| event.place == U256::from(*place)));
        let done: Vec<&Executor::Plan> = done.map(|place| &plans[place]).collect();
        ensure!(executed.len() == done.len(), "{} plans were done, {} say so", done.len(), executed.len());
        for (event, plan) in executed.iter().zip(&done) {
            ensure!(event.profit >= plan.minProfit, "profit {}, at least {}", event.profit, plan.minProfit);
        }
        let total = gains.get(&plans[0].profitToken).copied().unwrap_or_default();
        ensure!(total >= least, "profit {total} over all, at least {least}");
        for (token, gain) in gains {
            let (had, has) = (before.held[&(token, RECEIVER)], after.held[&(token, RECEIVER)]);
            let stray = before.held[&(token, stage.executor)];
            let left = after.held[&(token, stage.executor)];
            let due = gain + stray - left;
            ensure!(has - had == due, "the receiver was due {due} of {token} and got {}", has - had);
        }
        Ok(())
    }
}

fn word(answer: &Bytes) -> U256 {
    U256::from_be_slice(answer.get(..32).unwrap_or_default())
}

fn touches(plan: &Executor::Plan, token: Address) -> bool {
    let in_leg = |leg: &Executor::Leg| {
        let in_swap = |swap: &Executor::Swap| swap.tokenIn == token || swap.tokenOut == token;
        leg.debt == token || leg.collateral == token || leg.swaps.iter().any(in_swap)
    };
    plan.profitToken == token || plan.legs.iter().any(in_leg)
}
