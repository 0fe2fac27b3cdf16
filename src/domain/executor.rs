//! The executor contract as the keeper sees it: the call it encodes, the list it must carry, and the storage
//! that lets a dry run place it where none is deployed. `docs/executor.md` has the layout.

use super::plan::{Funding, Loan};
use super::route::{PoolKind, Venue};
use super::units::{Gas, Wei};
use crate::abi::executor::Executor;
use alloy::primitives::{Address, B256, Bytes, U256, address, aliases::U24, keccak256};
use alloy::sol_types::{SolCall, SolValue};

/// Where a dry run places the executor when none is deployed: an address without key or code.
pub const PLACEHOLDER: Address = address!("bac0000000000000000000000000000000e5ec01");
/// Who sends in a dry run without a wallet.
pub const NOBODY: Address = address!("bac000000000000000000000000000000000caf1");

/// What an address may be to the executor. One role an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Operator = 1,
    Lender = 2,
    RouterV1 = 4,
    RouterV2 = 8,
    Factory = 16,
    Token = 32,
    /// The router of Uniswap V2, whose pools are pairs.
    RouterPairs = 64,
    /// A token of which the owner may put some in, to be paid for shares with.
    Purse = 128,
}

impl Role {
    pub fn bit(self) -> U256 {
        U256::from(self as u8)
    }

    /// Whether an address with these bits on the list serves in this role: a purse does as a token.
    pub fn is_served_by(self, bits: U256) -> bool {
        bits == self.bit() || (self == Self::Token && bits == Self::Purse.bit())
    }

    /// Which form of the swap calls this router code takes: the one with a deadline in its structs, or the
    /// one without. `None` for code that has neither.
    pub fn of_router(code: &[u8]) -> Option<Self> {
        // exactInputSingle and exactOutputSingle of each form.
        let has = |selector| answers(code, selector);
        if has([0x41, 0x4b, 0xf3, 0x89]) && has([0xdb, 0x3e, 0x21, 0x98]) {
            Some(Self::RouterV1)
        } else if has([0x04, 0xe4, 0x5a, 0xaf]) && has([0x50, 0x23, 0xb4, 0xdf]) {
            Some(Self::RouterV2)
        } else {
            None
        }
    }

    /// Whether this is the code of a router of Uniswap V2: swapExactTokensForTokens, swapTokensForExactTokens.
    pub fn is_pair_router(code: &[u8]) -> bool {
        answers(code, [0x38, 0xed, 0x17, 0x39]) && answers(code, [0x88, 0x03, 0xdb, 0xee])
    }
}

/// Whether the code's dispatcher compares with this selector.
fn answers(code: &[u8], selector: [u8; 4]) -> bool {
    let push = [0x63, selector[0], selector[1], selector[2], selector[3]];
    code.windows(5).any(|window| window == push)
}

/// Everything an executor must list to serve a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing(pub Vec<(Address, Role)>);

impl Listing {
    /// `tokens`: the market's; `purses`: those of them that shares may be paid with; `shares`: those that may be taken.
    pub fn new(
        lender: Address,
        venue: &Venue,
        router: Role,
        tokens: &[Address],
        (purses, shares): (&[Address], &[Address]),
    ) -> Self {
        let mut entries =
            vec![(lender, Role::Lender), (venue.router, router), (venue.factory, Role::Factory)];
        entries.extend(venue.pairs.map(|pairs| (pairs.router, Role::RouterPairs)));
        let mut tokens = [tokens, shares].concat();
        tokens.push(venue.wrapped_native);
        tokens.sort_unstable();
        tokens.dedup();
        let role = |token| if purses.contains(&token) { Role::Purse } else { Role::Token };
        entries.extend(tokens.into_iter().map(|token| (token, role(token))));
        Self(entries)
    }

    /// The listed tokens.
    pub fn tokens(&self) -> Vec<Address> {
        let is_token = |role| matches!(role, Role::Token | Role::Purse);
        self.0.iter().filter(|(_, role)| is_token(*role)).map(|(token, _)| *token).collect()
    }

    /// Storage that makes the code at an address without constructor behave as deployed: `roles` at slot 0,
    /// the receiver at slot 3.
    pub fn storage(&self, operator: Address, receiver: Address) -> Vec<(B256, B256)> {
        let roles = self.0.iter().copied().chain([(operator, Role::Operator)]);
        let receiver = (B256::from(U256::from(3)), receiver.into_word());
        roles.map(|(target, role)| (role_slot(target), role.bit().into())).chain([receiver]).collect()
    }

    /// Init code: the compiled contract and its constructor's arguments.
    pub fn init_code(&self, owner: Address, operator: Address, receiver: Address) -> Bytes {
        let targets = self.0.iter().map(|(target, _)| *target).collect::<Vec<_>>();
        let bits = self.0.iter().map(|(_, role)| role.bit()).collect::<Vec<_>>();
        let arguments = (owner, operator, receiver, targets, bits).abi_encode_params();
        [Executor::BYTECODE.as_ref(), &arguments].concat().into()
    }
}

/// The storage slot of `roles[target]`.
pub fn role_slot(target: Address) -> B256 {
    keccak256((target, U256::ZERO).abi_encode())
}

/// The code every deployment has.
pub fn code() -> &'static Bytes {
    &Executor::DEPLOYED_BYTECODE
}

/// The hash of `code`, as the chain gives it.
pub fn code_hash() -> B256 {
    keccak256(code())
}

/// What one plan of the executor needs to know.
pub struct Order<'a> {
    pub lender: Address,
    pub account: Address,
    pub loan: &'a Loan,
    pub venue: &'a Venue,
    pub min_profit: Wei,
    /// Last block the plan may run in.
    pub deadline: u64,
}

impl Order<'_> {
    /// The plan as the contract takes it.
    pub fn encode(&self) -> Executor::Plan {
        let Loan { funding, borrowed, calls, swaps, .. } = self.loan;
        let swaps = swaps.iter().map(|swap| {
            let (router, fee) = match swap.pool {
                PoolKind::V3(tier) => (self.venue.router, tier),
                // Without a venue for it nobody plans it, and nobody lists that router.
                PoolKind::V2 => (self.venue.pairs.map_or(Address::ZERO, |pairs| pairs.router), 0),
            };
            Executor::Swap {
                router,
                exactOutput: swap.buys,
                tokenIn: swap.sold,
                tokenOut: swap.bought,
                fee: U24::from(fee),
                amount: swap.part.map_or(U256::ZERO, |part| part.0),
                limit: swap.limit.0,
            }
        });
        let legs = calls.iter().map(|call| Executor::Leg {
            lender: self.lender,
            collateral: call.collateral_asset,
            debt: call.debt_asset,
            borrower: self.account,
            repay: call.outcome.cover,
            swaps: vec![],
        });
        let mut legs = legs.collect::<Vec<_>>();
        if let Some(last) = legs.last_mut() {
            last.swaps = swaps.collect();
        }
        let (funding, source, pair_token, pair_fee) = match *funding {
            Funding::Lender(lender) => (0, lender, Address::ZERO, 0),
            Funding::Pool { partner, tier, .. } => (1, self.venue.factory, partner, tier),
            Funding::Purse(_) => (2, Address::ZERO, Address::ZERO, 0),
        };
        let (profit_token, min_profit) = match self.loan.funding {
            Funding::Purse(shares) => (shares.token, shares.least.0),
            Funding::Lender(_) | Funding::Pool { .. } => (self.venue.wrapped_native, self.min_profit.0),
        };
        Executor::Plan {
            funding,
            source,
            amount: borrowed.0,
            pairToken: pair_token,
            pairFee: U24::from(pair_fee),
            profitToken: profit_token,
            minProfit: min_profit,
            deadline: U256::from(self.deadline),
            legs,
        }
    }
}

/// The call data that carries plans out: one by `execute`, several by `executeMany`, each whole or not at all, with at
/// most so much gas, and at least `min_profit` over all.
pub fn call_data(mut plans: Vec<(Executor::Plan, Gas)>, profit_token: Address, min_profit: Wei) -> Bytes {
    if plans.len() == 1
        && let Some((plan, _)) = plans.pop()
    {
        return Executor::executeCall { plan }.abi_encode().into();
    }
    let (plans, most) = plans.into_iter().map(|(plan, most)| (plan, U256::from(most.0))).unzip();
    let call = Executor::executeManyCall { plans, most, profitToken: profit_token, minProfit: min_profit.0 };
    call.abi_encode().into()
}

/// The profit that `execute` and `executeMany` answer with, of a plan that takes shares in units of these, and how many
/// plans they carried out.
pub fn profit(data: &[u8]) -> Option<(Wei, usize)> {
    let (profit, done) = match data.len() {
        32 => (data, 1),
        64 => {
            let (profit, done) = data.split_at_checked(32)?;
            (profit, U256::from_be_slice(done).count_ones())
        }
        _ => return None,
    };
    Some((Wei(U256::from_be_slice(profit)), done))
}
