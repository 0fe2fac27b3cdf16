//! The people of a market: lenders, and borrowers of every kind, the same for the same seed.

use alloy::{
    primitives::{Address, U256, keccak256, utils::parse_ether},
    sol_types::SolCall,
};
use eyre::{Result, WrapErr};

use super::{
    abi::{Erc20, Pool},
    assets::{ASSETS, Asset, DOLLAR, STABLECOINS},
    chain::Batch,
    manifest::{Manifest, Market},
    rng::Rng,
    scene::Scene,
};

const VARIABLE: U256 = U256::from_limbs([2, 0, 0, 0]);
const LENDERS: u64 = 3;
/// Between one person's visit and the next, so that indices are crooked numbers and everybody has his own.
const SECONDS_BETWEEN: u64 = 6 * 3600;
/// More than all visits to both markets take together: how far in the past the chain must begin.
pub const AGE: u64 = 40 * 86_400;
/// Of the borrowing limit: interest and rounding must not push a borrower over it while he borrows.
const LIMIT_BPS: u128 = 9950;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// One collateral, one stablecoin borrowed.
    Plain,
    /// Two or three collaterals, one debt.
    ManyCollaterals,
    /// Two or three collaterals, two or three debts.
    ManyDebts,
    /// Stablecoin against stablecoin with the closer limits.
    EfficiencyMode,
    /// Stablecoins as collateral, volatile debt: in danger when prices rise.
    Short,
    /// Like plain, with a second collateral switched off.
    SwitchedOff,
    /// Borrowed once and repaid everything.
    Repaid,
}

/// How many of each: 60 a market.
const KINDS: [(Kind, usize); 7] = [
    (Kind::Plain, 22),
    (Kind::ManyCollaterals, 10),
    (Kind::ManyDebts, 9),
    (Kind::EfficiencyMode, 6),
    (Kind::Short, 6),
    (Kind::SwitchedOff, 4),
    (Kind::Repaid, 3),
];

/// Dollars of all collateral together, from and to.
const SIZES: [(u64, u64); 6] =
    [(300, 900), (900, 2_500), (2_500, 6_000), (6_000, 30_000), (30_000, 120_000), (120_000, 500_000)];

/// Health factors in basis points, from and to.
const HEALTHS: [(u64, u64); 5] =
    [(10_100, 10_300), (10_300, 11_000), (11_000, 13_000), (13_000, 20_000), (20_000, 30_000)];

/// What one borrower will hold.
#[derive(Debug)]
struct Plan {
    kind: Kind,
    user: Address,
    /// Asset, dollars with 8 decimals at the final price, counted as collateral.
    collaterals: Vec<(&'static Asset, u128, bool)>,
    /// Asset, dollars with 8 decimals at the final price.
    debts: Vec<(&'static Asset, u128)>,
}

/// Lends to the market, then lets the borrowers borrow. The feeds must still show the earlier prices.
pub async fn populate(scene: &Scene, name: &str, seed: u64) -> Result<(Vec<Address>, Vec<Address>)> {
    let market = scene.manifest.market(name)?.clone();
    scene.chain.set_automine(false).await?;
    let mut lenders = Vec::new();
    for number in 0..LENDERS {
        let user = account(name, "lender", number);
        lend(scene, &market, user).await.wrap_err_with(|| format!("lender {number} of {name}"))?;
        lenders.push(user);
    }
    let mut borrowers = Vec::new();
    for plan in plans(name, seed)? {
        open(scene, &market, &plan).await.wrap_err_with(|| format!("opening {plan:?} in {name}"))?;
        borrowers.push(plan.user);
    }
    scene.chain.set_automine(true).await?;
    Ok((lenders, borrowers))
}

/// A fixed account of nobody: its key is unknown, the chain sends for it all the same.
pub fn account(market: &str, role: &str, number: u64) -> Address {
    Address::from_word(keccak256(format!("backstop test bed, {market}, {role} {number}")))
}

fn plans(market: &str, seed: u64) -> Result<Vec<Plan>> {
    // Each market has its own people: mix its name into the seed.
    let mut rng = Rng::new(market.bytes().fold(seed, |mixed, byte| mixed.rotate_left(8) ^ u64::from(byte)));
    let kinds = KINDS.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count));
    kinds.enumerate().map(|(index, kind)| plan(market, index, kind, &mut rng)).collect()
}

fn plan(market: &str, index: usize, kind: Kind, rng: &mut Rng) -> Result<Plan> {
    let (low, high) = SIZES[index % SIZES.len()];
    let size = u128::from(rng.between(low, high) * DOLLAR);
    let (low, high) = HEALTHS[index % HEALTHS.len()];
    let health = u128::from(rng.between(low, high));

    let volatile = ["WETH", "WBTC"];
    let stable = STABLECOINS.symbols;
    let shuffled = |rng: &mut Rng, mut symbols: Vec<&'static str>| {
        for last in (1..symbols.len()).rev() {
            symbols.swap(last, rng.below(last as u64 + 1) as usize);
        }
        symbols
    };
    let (collaterals, debts): (Vec<&'static str>, Vec<&'static str>) = match kind {
        Kind::Plain | Kind::SwitchedOff | Kind::Repaid => {
            (vec![*rng.pick(&volatile)], vec![*rng.pick(&stable)])
        }
        Kind::ManyCollaterals => {
            let mut symbols = shuffled(rng, volatile.into_iter().chain(stable).collect());
            let debt = symbols.pop().into_iter().collect();
            symbols.truncate(rng.between(2, 4) as usize);
            (symbols, debt)
        }
        Kind::ManyDebts => {
            let mut symbols = volatile.to_vec();
            symbols.extend(rng.pick(&[&["USDC"][..], &[]]).iter());
            let debts = if rng.below(2) == 0 { vec!["USDC", "DAI"] } else { vec!["DAI", "USDC", "WBTC"] };
            (symbols, debts)
        }
        Kind::EfficiencyMode if rng.below(2) == 0 => (vec![stable[0]], vec![stable[1]]),
        Kind::EfficiencyMode => (vec![stable[1]], vec![stable[0]]),
        Kind::Short => (vec![*rng.pick(&stable)], vec![*rng.pick(&volatile)]),
    };
    let mut collaterals = split(rng, size, &collaterals)?
        .into_iter()
        .map(|(asset, dollars)| (asset, dollars, true))
        .collect::<Vec<_>>();
    let debts = split(rng, debt_for(kind, &collaterals, health), &debts)?;
    let debts = within_limit(kind, &collaterals, debts);
    if kind == Kind::SwitchedOff {
        collaterals.push((Asset::named("USDC")?, size / 3, false));
    }
    Ok(Plan { kind, user: account(market, "borrower", index as u64), collaterals, debts })
}

/// The debt at which the position has this health, at the final prices. Aave's definition, turned round.
fn debt_for(kind: Kind, collaterals: &[(&'static Asset, u128, bool)], health: u128) -> u128 {
    let weighted = |(asset, dollars, _): &(&'static Asset, u128, bool)| {
        let threshold = if kind == Kind::EfficiencyMode { STABLECOINS.threshold } else { asset.threshold };
        dollars * u128::from(threshold)
    };
    collaterals.iter().map(weighted).sum::<u128>() / health
}

/// Shrinks the debts to what the market lends at the earlier prices.
fn within_limit(
    kind: Kind,
    collaterals: &[(&'static Asset, u128, bool)],
    debts: Vec<(&'static Asset, u128)>,
) -> Vec<(&'static Asset, u128)> {
    let before =
        |asset: &Asset, dollars: u128| dollars * u128::from(asset.price_before) / u128::from(asset.price);
    let power = |(asset, dollars, _): &(&'static Asset, u128, bool)| {
        let ltv = if kind == Kind::EfficiencyMode { STABLECOINS.ltv } else { asset.ltv };
        before(asset, *dollars) * u128::from(ltv) / 10_000
    };
    let limit = collaterals.iter().map(power).sum::<u128>() * LIMIT_BPS / 10_000;
    let wanted = debts.iter().map(|(asset, dollars)| before(asset, *dollars)).sum::<u128>();
    if wanted <= limit {
        return debts;
    }
    debts.into_iter().map(|(asset, dollars)| (asset, dollars * limit / wanted)).collect()
}

/// Divides dollars among assets, each getting a part that is worth having.
fn split(rng: &mut Rng, dollars: u128, symbols: &[&str]) -> Result<Vec<(&'static Asset, u128)>> {
    let weights: Vec<u128> = symbols.iter().map(|_| u128::from(rng.between(25, 100))).collect();
    let all: u128 = weights.iter().sum();
    let part = |(symbol, weight): (&&str, &u128)| Ok((Asset::named(symbol)?, dollars * weight / all));
    symbols.iter().zip(&weights).map(part).collect()
}

async fn lend(scene: &Scene, market: &Market, user: Address) -> Result<()> {
    let mut visit = Visit::begin(scene, market, user).await?;
    for asset in &ASSETS {
        visit.supply(asset, asset.whole(asset.lent / LENDERS)).await?;
    }
    visit.batch.mine().await
}

async fn open(scene: &Scene, market: &Market, plan: &Plan) -> Result<()> {
    let mut visit = Visit::begin(scene, market, plan.user).await?;
    for (asset, dollars, counted) in &plan.collaterals {
        visit.supply(asset, asset.worth(*dollars, asset.price)).await?;
        if !counted {
            let off = Pool::setUserUseReserveAsCollateralCall { asset: visit.token(asset)?, r#use: false };
            visit.call(&off).await?;
        }
    }
    if plan.kind == Kind::EfficiencyMode {
        visit.call(&Pool::setUserEModeCall { category: STABLECOINS.category }).await?;
    }
    for (asset, dollars) in &plan.debts {
        visit.borrow(asset, asset.worth(*dollars, asset.price)).await?;
    }
    visit.batch.mine().await?;
    if plan.kind == Kind::Repaid {
        let mut visit = Visit::begin(scene, market, plan.user).await?;
        for (asset, dollars) in &plan.debts {
            visit.repay_all(asset, asset.worth(*dollars, asset.price)).await?;
        }
        visit.batch.mine().await?;
    }
    Ok(())
}

/// All that one person does in one block.
struct Visit<'a> {
    scene: &'a Scene,
    market: &'a Market,
    user: Address,
    batch: Batch<'a>,
}

impl<'a> Visit<'a> {
    async fn begin(scene: &'a Scene, market: &'a Market, user: Address) -> Result<Self> {
        scene.chain.skip(SECONDS_BETWEEN).await?;
        scene.chain.set_balance(user, parse_ether("100").wrap_err("100 ether")?).await?;
        Ok(Self { scene, market, user, batch: Batch::new(&scene.chain) })
    }

    fn token(&self, asset: &Asset) -> Result<Address> {
        Ok(self.scene.manifest.token(asset.symbol)?.address)
    }

    async fn call(&mut self, call: &impl SolCall) -> Result<()> {
        self.batch.add(self.user, self.market.pool, call).await
    }

    /// Gives the user tokens, from the deployer's stock or new ones, and the pool leave to take them.
    async fn provide(&mut self, asset: &Asset, amount: U256) -> Result<()> {
        let Manifest { deployer, wrapped_native, .. } = self.scene.manifest;
        let token = self.token(asset)?;
        if token == wrapped_native {
            self.batch.add(deployer, token, &Erc20::transferCall { to: self.user, amount }).await?;
        } else {
            self.batch.add(deployer, token, &Erc20::mintCall { to: self.user, amount }).await?;
        }
        let approve = Erc20::approveCall { spender: self.market.pool, amount: U256::MAX };
        self.batch.add(self.user, token, &approve).await
    }

    async fn supply(&mut self, asset: &Asset, amount: U256) -> Result<()> {
        self.provide(asset, amount).await?;
        let (asset, user) = (self.token(asset)?, self.user);
        self.call(&Pool::supplyCall { asset, amount, onBehalfOf: user, referral: 0 }).await
    }

    async fn borrow(&mut self, asset: &Asset, amount: U256) -> Result<()> {
        let (asset, user) = (self.token(asset)?, self.user);
        self.call(&Pool::borrowCall { asset, amount, rateMode: VARIABLE, referral: 0, onBehalfOf: user })
            .await
    }

    async fn repay_all(&mut self, asset: &Asset, borrowed: U256) -> Result<()> {
        // A little more than borrowed: interest.
        self.provide(asset, borrowed / U256::from(1000)).await?;
        let (asset, user) = (self.token(asset)?, self.user);
        self.call(&Pool::repayCall { asset, amount: U256::MAX, rateMode: VARIABLE, onBehalfOf: user }).await
    }
}
