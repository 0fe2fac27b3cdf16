//! The token double: what it can be, and how a test makes it so. contracts/test-doubles/Zoo.sol says what each bit does.

use alloy::{
    primitives::{Address, I256, U256},
    sol_types::SolCall,
};
use eyre::Result;

use super::{
    doubles,
    stage::{STRANGER, Stage},
};

alloy::sol! {
    interface IZoo {
        function mint(address to, uint256 amount) external;
        function become(uint256 quirks, address about) external;
        function only(uint256 when, address builder) external;
        function round(int256 more, int256 dearer) external;
        function setHook(address hook) external;
        function setBlocked(address account, bool blocked) external;
        function setDecimals(uint8 decimals) external;
        function plant(address holder, address spender, uint256 amount) external;
        function decimals() external view returns (uint8);
    }
}

pub const PLAIN: u64 = 0;
pub const SILENT: u64 = 1 << 0;
pub const FALSE: u64 = 1 << 1;
pub const FEE: u64 = 1 << 2;
pub const RACE: u64 = 1 << 3;
pub const NO_ZERO: u64 = 1 << 4;
pub const KEEPS: u64 = 1 << 5;
pub const WITHHOLDS: u64 = 1 << 6;
pub const STICKY: u64 = 1 << 7;
pub const PAUSED: u64 = 1 << 8;
pub const LONG: u64 = 1 << 9;
pub const BOMB: u64 = 1 << 10;
pub const BURN: u64 = 1 << 11;
pub const HOOKS: u64 = 1 << 12;
pub const OLD_SYMBOL: u64 = 1 << 13;

/// When alone the bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Where gas has a price.
    Priced,
    /// In this builder's blocks.
    BuiltBy(Address),
}

#[derive(Clone, Copy, Debug)]
pub struct Zoo(pub Address);

impl Zoo {
    /// Deploys one and puts it on the list.
    pub async fn listed(stage: &Stage, quirks: u64) -> Result<Self> {
        let token = Self::unlisted(stage, quirks).await?;
        stage.set_role(token.0, 32).await?;
        Ok(token)
    }

    /// One that nobody has listed; its bits are for everybody.
    pub async fn unlisted(stage: &Stage, quirks: u64) -> Result<Self> {
        let token = Self(doubles::deploy(stage, "Zoo").await?);
        token.becomes(stage, quirks, Address::ZERO).await?;
        Ok(token)
    }

    /// Puts its code in the place of a token of the bed, which keeps its holders.
    pub async fn in_place_of(stage: &Stage, symbol: &str) -> Result<Self> {
        let token = stage.token(symbol)?;
        stage.fork.chain.set_code(token, doubles::code("Zoo", "deployedBytecode")?).await?;
        Ok(Self(token))
    }

    /// Sets its bits and whom they are about; zero is everybody.
    pub async fn becomes(&self, stage: &Stage, quirks: u64, about: Address) -> Result<()> {
        self.order(stage, &IZoo::becomeCall { quirks: U256::from(quirks), about }).await
    }

    pub async fn only(&self, stage: &Stage, when: When) -> Result<()> {
        let (when, builder) = match when {
            When::Priced => (1, Address::ZERO),
            When::BuiltBy(builder) => (2, builder),
        };
        self.order(stage, &IZoo::onlyCall { when: U256::from(when), builder }).await
    }

    /// So much more arrives, and so much more leaves, than was said.
    pub async fn rounds(&self, stage: &Stage, more: i64, dearer: i64) -> Result<()> {
        let (more, dearer) = (I256::try_from(more)?, I256::try_from(dearer)?);
        self.order(stage, &IZoo::roundCall { more, dearer }).await
    }

    pub async fn hook(&self, stage: &Stage, hook: Address) -> Result<()> {
        self.order(stage, &IZoo::setHookCall { hook }).await
    }

    pub async fn block(&self, stage: &Stage, account: Address, blocked: bool) -> Result<()> {
        self.order(stage, &IZoo::setBlockedCall { account, blocked }).await
    }

    pub async fn decimals(&self, stage: &Stage, decimals: u8) -> Result<()> {
        self.order(stage, &IZoo::setDecimalsCall { decimals }).await
    }

    pub async fn mint(&self, stage: &Stage, to: Address, amount: U256) -> Result<()> {
        self.order(stage, &IZoo::mintCall { to, amount }).await
    }

    pub async fn plant(&self, stage: &Stage, holder: Address, spender: Address, amount: U256) -> Result<()> {
        self.order(stage, &IZoo::plantCall { holder, spender, amount }).await
    }

    async fn order(&self, stage: &Stage, call: &impl SolCall) -> Result<()> {
        stage.fork.chain.invoke(STRANGER, self.0, call).await?;
        Ok(())
    }
}
