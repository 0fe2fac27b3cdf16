//! One random thing that one random user does: what differential tests feed a market with.

use alloy::{
    eips::BlockId,
    primitives::{Address, U256},
};
use eyre::Result;

use super::{
    assets::{ASSETS, Asset, DOLLAR},
    chain::Reverted,
    rng::Rng,
    scene::Scene,
};

/// What was tried, and whether the contracts took it.
#[derive(Debug, Clone)]
pub struct Action {
    pub description: String,
    /// The contracts' reason when they refused. That is no failure: the tests want refusals too.
    pub refused: Option<String>,
}

impl Action {
    pub fn is_done(&self) -> bool {
        self.refused.is_none()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wish {
    Supply,
    Borrow,
    Repay,
    Withdraw,
    /// Transfers aTokens to somebody else.
    Give,
    /// Switches a collateral off or on.
    Switch,
    EfficiencyMode,
}

/// Drawn from with these frequencies.
const WISHES: [Wish; 10] = [
    Wish::Supply,
    Wish::Supply,
    Wish::Borrow,
    Wish::Borrow,
    Wish::Repay,
    Wish::Repay,
    Wish::Withdraw,
    Wish::Give,
    Wish::Switch,
    Wish::EfficiencyMode,
];

impl Scene {
    /// One action in `market` by one of its borrowers or lenders.
    ///
    /// # Errors
    /// Only when the chain does not answer; a refusal by the contracts is an [`Action`] that was not done.
    pub async fn random_action(&self, rng: &mut Rng, market: &str) -> Result<Action> {
        let people = self.manifest.market(market)?;
        // A lender now and then: he moves the rates without being a position.
        let crowd = if rng.below(8) == 0 { &people.lenders } else { &people.borrowers };
        let user = *rng.pick(crowd);
        let other = *rng.pick(&people.borrowers);
        let wish = *rng.pick(&WISHES);
        let mut likely = Vec::new();
        for asset in &ASSETS {
            let reserve = self.user_reserve(market, user, asset.symbol).await?;
            let holds = match wish {
                Wish::Repay => !reserve.variableDebt.is_zero(),
                Wish::Withdraw | Wish::Give | Wish::Switch => !reserve.aTokenBalance.is_zero(),
                Wish::Supply | Wish::Borrow | Wish::EfficiencyMode => true,
            };
            if holds {
                likely.push(asset);
            }
        }
        // Nonsense now and then: the contracts' refusals are part of what is tested.
        let asset =
            if likely.is_empty() || rng.below(10) == 0 { rng.pick(&ASSETS) } else { *rng.pick(&likely) };
        let description = format!("{market}: {user}, {wish:?} {}", asset.symbol);
        let outcome = self.attempt(rng, market, (user, other), wish, asset.symbol).await;
        let refused = match outcome {
            Ok(()) => None,
            Err(report) => match report.downcast_ref::<Reverted>() {
                Some(refusal) => Some(refusal.reason.clone()),
                None => return Err(report.wrap_err(description)),
            },
        };
        Ok(Action { description, refused })
    }

    async fn attempt(
        &self,
        rng: &mut Rng,
        market: &str,
        (user, other): (Address, Address),
        wish: Wish,
        symbol: &str,
    ) -> Result<()> {
        let asset = Asset::named(symbol)?;
        let dollars = u128::from(rng.between(10, 20_000) * DOLLAR);
        let amount = asset.worth(dollars, asset.price);
        let all = rng.below(4) == 0;
        let reserve = self.user_reserve(market, user, symbol).await?;
        let receipt = match wish {
            Wish::Supply => self.supply(market, user, symbol, amount).await,
            Wish::Borrow => {
                let room = self.account_data(market, user, BlockId::latest()).await?.availableBorrowsBase;
                // A little beyond the limit at most.
                let dollars = room * U256::from(rng.between(1, 105)) / U256::from(100);
                let amount = dollars * asset.unit() / U256::from(self.price(symbol).await?);
                self.borrow(market, user, symbol, amount).await
            }
            Wish::Repay => {
                let amount = if all { U256::MAX } else { part(rng, reserve.variableDebt) };
                self.repay(market, user, symbol, amount).await
            }
            Wish::Withdraw => {
                let amount = if all { U256::MAX } else { part(rng, reserve.aTokenBalance) };
                self.withdraw(market, user, symbol, amount).await
            }
            Wish::Give => {
                let amount = if all { reserve.aTokenBalance } else { part(rng, reserve.aTokenBalance) };
                self.transfer_a_token(market, user, other, symbol, amount).await
            }
            Wish::Switch => self.set_collateral(market, user, symbol, !reserve.usedAsCollateral).await,
            Wish::EfficiencyMode => self.set_emode(market, user, !all).await,
        };
        receipt.map(drop)
    }
}

/// Between a hundredth and nearly all of it.
fn part(rng: &mut Rng, whole: U256) -> U256 {
    whole * U256::from(rng.between(1, 99)) / U256::from(100)
}
