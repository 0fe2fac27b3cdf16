//! What strangers try with the executor: every entry of its own, and everybody else's entries that lead to it.

use alloy::{
    primitives::{Address, U256},
    sol_types::SolCall,
};
use eyre::Result;

use super::{
    Executor, OWNER, RECEIVER, STRANGER,
    ledger::{Meant, VICTIM},
    mutations::edit,
    roles::plan_data,
    world::{World, done, many},
};

alloy::sol! {
    interface IOthers {
        function flashLoanSimple(address receiver, address asset, uint256 amount, bytes params, uint16 referral) external;
        function flashLoan(address receiver, address[] assets, uint256[] amounts, uint256[] modes, address onBehalfOf, bytes params, uint16 referral) external;
        function flash(address recipient, uint256 amount0, uint256 amount1, bytes data) external;
        function liquidationCall(address collateral, address debt, address user, uint256 debtToCover, bool receiveAToken) external;
        function transferFrom(address from, address to, uint256 amount) external;
    }
}

impl World {
    /// One attempt, by a person or by a contract.
    pub async fn attack(&mut self) -> Result<Meant> {
        self.counts.attacks += 1;
        let (target, data) = self.attack_call()?;
        if self.rng.below(2) == 0 {
            done(self.intruder.call(&self.stage, target, data).await)?;
        } else {
            done(self.stage.fork.send(STRANGER, target, data).await.map(drop))?;
        }
        Ok(Meant::Nothing)
    }

    fn attack_call(&mut self) -> Result<(Address, Vec<u8>)> {
        let plan = self.good_plan()?;
        let (symbol, market) = (self.symbol(), self.market());
        let stage = &self.stage;
        let executor = stage.executor;
        let (token, lender) = (stage.token(symbol)?, stage.lender(market)?);
        let thief = if self.rng.below(2) == 0 { STRANGER } else { self.intruder.0 };
        let (amount, debt) = (plan.amount, plan.legs[0].debt);
        let data = plan_data(&plan);
        let uint = |number: u64| U256::from(number);
        Ok(match self.rng.below(15) {
            0 => (executor, Executor::executeCall { plan }.abi_encode()),
            1 => (executor, many(vec![plan], U256::ZERO).abi_encode()),
            2 => {
                let initiator = executor;
                let call = Executor::executeOperationCall {
                    token: debt,
                    amount,
                    premium: U256::ZERO,
                    initiator,
                    data,
                };
                (executor, call.abi_encode())
            }
            3 => {
                let call = Executor::uniswapV3FlashCallbackCall { fee0: uint(1), fee1: uint(1), data };
                (executor, call.abi_encode())
            }
            4 => {
                let bits = uint(1 << self.rng.below(6));
                (executor, Executor::setRolesCall { targets: vec![thief], bits: vec![bits] }.abi_encode())
            }
            5 => (executor, Executor::transferOwnershipCall { newOwner: thief }.abi_encode()),
            6 => (executor, Executor::acceptOwnershipCall {}.abi_encode()),
            7 => (executor, Executor::salvageCall { token }.abi_encode()),
            8 => {
                let mut call = Executor::executeCall { plan }.abi_encode();
                edit(&mut self.rng, &mut call);
                call[..4].copy_from_slice(&(self.rng.next_u64() as u32).to_be_bytes());
                (executor, call)
            }
            9 => {
                let (receiver, asset) = (executor, debt);
                let call =
                    IOthers::flashLoanSimpleCall { receiver, asset, amount, params: data, referral: 0 };
                (lender, call.abi_encode())
            }
            10 => {
                let call = IOthers::flashLoanCall {
                    receiver: executor,
                    assets: vec![debt],
                    amounts: vec![uint(1_000_000)],
                    modes: vec![uint(self.rng.below(3))],
                    onBehalfOf: *self.rng.pick(&[executor, VICTIM, thief]),
                    params: data,
                    referral: 0,
                };
                (lender, call.abi_encode())
            }
            11 => {
                let pool = self.rng.pick(&stage.fork.manifest.uniswap.pools).address;
                let call =
                    IOthers::flashCall { recipient: executor, amount0: uint(1), amount1: uint(1), data };
                (pool, call.abi_encode())
            }
            12 => {
                let from = *self.rng.pick(&[executor, VICTIM, RECEIVER, OWNER]);
                (token, IOthers::transferFromCall { from, to: thief, amount: uint(1) }.abi_encode())
            }
            13 => {
                let user = *self.rng.pick(&[executor, VICTIM, RECEIVER]);
                let (collateral, debt) = (plan.legs[0].collateral, debt);
                let cover = U256::MAX;
                let call = IOthers::liquidationCallCall {
                    collateral,
                    debt,
                    user,
                    debtToCover: cover,
                    receiveAToken: self.rng.below(2) == 0,
                };
                (lender, call.abi_encode())
            }
            _ => {
                let noise = (0..self.rng.below(200)).map(|_| self.rng.below(256) as u8);
                (executor, noise.collect())
            }
        })
    }
}
