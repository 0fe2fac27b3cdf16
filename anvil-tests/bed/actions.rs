//! One random thing that one random user does: what differential tests feed a market with.

use alloy::primitives::{Address, U256};
use eyre::Result;

use super::{
    assets::{ASSETS, Asset},
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
        let asset = rng.pick(&ASSETS);
        let (description, outcome) = self.attempt(rng, market, user, other, asset).await?;
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
        user: Address,
        other: Address,
        asset: &'static Asset,
    ) -> Result<(String, Result<()>)> {
        let symbol = asset.symbol;
        let dollars = u128::from(rng.between(10, 20_000)) * 100_000_000;
        let amount = asset.worth(dollars, asset.price);
        let all = rng.below(4) == 0;
        let (what, outcome) = match rng.below(10) {
            0 | 1 => ("supplies", self.supply(market, user, symbol, amount).await),
            2 | 3 => ("borrows", self.borrow(market, user, symbol, amount).await),
            4 | 5 => {
                let part = if all { U256::MAX } else { part(rng, self.debt(market, user, symbol).await?) };
                ("repays", self.repay(market, user, symbol, part).await)
            }
            6 => {
                let part =
                    if all { U256::MAX } else { part(rng, self.supplied(market, user, symbol).await?) };
                ("withdraws", self.withdraw(market, user, symbol, part).await)
            }
            7 => {
                let supplied = self.supplied(market, user, symbol).await?;
                let part = if all { supplied } else { part(rng, supplied) };
                ("gives away aTokens of", self.transfer_a_token(market, user, other, symbol, part).await)
            }
            8 => {
                let on = !self.user_reserve(market, user, symbol).await?.usedAsCollateral;
                ("switches as collateral", self.set_collateral(market, user, symbol, on).await)
            }
            _ => ("changes the efficiency mode, not about", self.set_emode(market, user, all).await),
        };
        Ok((format!("{market}: {user} {what} {symbol}"), outcome.map(drop)))
    }
}

/// Between a hundredth and nearly all of it.
fn part(rng: &mut Rng, whole: U256) -> U256 {
    whole * U256::from(rng.between(1, 99)) / U256::from(100)
}
