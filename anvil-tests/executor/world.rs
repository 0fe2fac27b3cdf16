//! Everything that anybody can do with the executor and around it, drawn at random: strangers' attacks, the operator's
//! plans, good and bad, the owner's rule, gifts, prices, rivals, new borrowers, and a token that changes its habits.

use alloy::{
    primitives::{Address, U256, aliases::U24},
    sol_types::SolCall,
};
use backstop::bed::{Reverted, Rng, assets::DOLLAR, uniswap_v2};
use eyre::{Result, ensure};

use super::{
    Executor, MARKETS, OPERATOR, OWNER, RECEIVER, STRANGER, SUCCESSOR, Shape, Stage,
    doubles::{Meddler, Meddling},
    ledger::{Ledger, Meant, Order, State, VICTIM},
    pairs,
    positions::{
        Form, Funding, USDC_FOR_WETH, WBTC_FOR_DAI, WBTC_FOR_USDC_THROUGH_WETH, WETH_FOR_USDC, WETH_FOR_WETH,
        borrower,
    },
    stage::{Erc20, events},
    zoo::{HOOKS, LONG, PAUSED, PLAIN, RACE, SILENT, Zoo},
};

const RIVAL: Address = Address::with_last_byte(0xb1);
const SHAPES: [&Shape; 5] =
    [&WETH_FOR_USDC, &USDC_FOR_WETH, &WBTC_FOR_USDC_THROUGH_WETH, &WETH_FOR_WETH, &WBTC_FOR_DAI];
const SYMBOLS: [&str; 4] = ["WETH", "USDC", "WBTC", "DAI"];
/// The prices at which nobody can be liquidated, in dollars.
const CALM: [(&str, u64); 2] = [("WETH", 2_000), ("WBTC", 40_000)];

#[derive(Clone, Copy)]
struct Position {
    shape: &'static Shape,
    market: &'static str,
    number: u8,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub struct Counts {
    pub attacks: u32,
    pub runs: u32,
    pub plans: u32,
    pub refused: u32,
    pub salvages: u32,
    pub gifts: u32,
    pub rivals: u32,
}

pub struct World {
    pub stage: Stage,
    pub ledger: Ledger,
    /// What the owner's steps have made of the list and of himself.
    pub order: Order,
    pub rng: Rng,
    positions: Vec<Position>,
    pub intruder: Meddler,
    usdc: Zoo,
    /// Whose borrowers can be liquidated now.
    turned: Option<&'static Shape>,
    pub counts: Counts,
}

impl World {
    pub async fn new(seed: u64) -> Result<Self> {
        let stage = Stage::new().await?;
        let mut positions = Vec::new();
        for shape in SHAPES {
            for market in MARKETS {
                for number in 0..2 {
                    stage.open(shape, market, number).await?;
                    positions.push(Position { shape, market, number });
                }
            }
        }
        let usdc = Zoo::in_place_of(&stage, "USDC").await?;
        let maker = stage.fork.manifest.market_maker;
        for tokens in [["WETH", "USDC"], ["WBTC", "WETH"], ["WETH", "DAI"]] {
            for symbol in tokens.iter().filter(|symbol| **symbol != "WETH") {
                stage.fork.fund(maker, symbol, stage.fork.amount(symbol, 20_000_000_000)?).await?;
            }
            uniswap_v2::create_pair(&stage.fork.chain, &stage.fork.manifest, tokens, 10_000_000).await?;
        }
        let intruder = Meddler::before(&stage, Address::ZERO).await?;
        usdc.hook(&stage, intruder.0).await?;
        for symbol in SYMBOLS {
            stage.fork.fund(VICTIM, symbol, stage.fork.amount(symbol, 1_000_000)?).await?;
            for person in [VICTIM, OWNER, RECEIVER] {
                stage.fork.set_balance(person, U256::from(10).pow(U256::from(20))).await?;
                let all = Erc20::approveCall { spender: stage.executor, amount: U256::MAX };
                stage.fork.chain.invoke(person, stage.token(symbol)?, &all).await?;
            }
        }
        let ledger = Ledger::new(&stage, &[STRANGER, intruder.0]);
        let order = ledger.read(&stage).await?.order;
        let rng = Rng::new(seed);
        let counts = Counts::default();
        Ok(Self { stage, ledger, order, rng, positions, intruder, usdc, turned: None, counts })
    }

    pub async fn read(&self) -> Result<State> {
        self.ledger.read(&self.stage).await
    }

    pub fn judge(&self, before: &State, after: &State, meant: &Meant) -> Result<()> {
        self.ledger.judge(&self.stage, before, after, &self.order, meant)
    }

    /// Does something, and says what.
    pub async fn step(&mut self) -> Result<(&'static str, Meant)> {
        let drawn = self.rng.below(100);
        // Where nobody can be liquidated most plans are refused: a change of prices first.
        let drawn = if (28..=58).contains(&drawn) && self.turned.is_none() && self.rng.below(2) == 0 {
            73
        } else {
            drawn
        };
        Ok(match drawn {
            0..=27 => ("attack", self.attack().await?),
            28..=49 => ("run", self.run().await?),
            50..=58 => ("several", self.several().await?),
            59..=66 => ("rule", self.rule().await?),
            67..=72 => ("gift", self.gift().await?),
            73..=82 => ("price", self.price().await?),
            83..=86 => ("rival", self.rival().await?),
            87..=90 => ("open", self.open().await?),
            91..=94 => ("trade", self.trade().await?),
            _ => ("mood", self.mood().await?),
        })
    }

    pub fn symbol(&mut self) -> &'static str {
        SYMBOLS[self.rng.below(SYMBOLS.len() as u64) as usize]
    }

    pub fn market(&mut self) -> &'static str {
        MARKETS[self.rng.below(MARKETS.len() as u64) as usize]
    }

    /// Somebody's, and rather one that can be liquidated now.
    fn position(&mut self) -> Position {
        let is_turned =
            |position: &&Position| self.turned.is_some_and(|shape| shape.name == position.shape.name);
        let turned: Vec<Position> = self.positions.iter().filter(is_turned).copied().collect();
        let anybody = turned.is_empty() || self.rng.below(4) == 0;
        *self.rng.pick(if anybody { &self.positions } else { &turned })
    }

    // ---- the operator ---------------------------------------------------------------------------------------------

    /// A plan as the keeper would make it, whether its moment has come or not.
    pub fn good_plan(&mut self) -> Result<Executor::Plan> {
        let Position { shape, market, number } = self.position();
        let funding = if self.rng.below(2) == 0 { Funding::Loan } else { Funding::Flash };
        let form = if self.rng.below(2) == 0 { Form::WithDeadline } else { Form::Without };
        let mut plan = self.stage.plan(shape, market, funding, form)?;
        plan.legs = vec![self.stage.leg(shape, market, number, form)?];
        for swap in &mut plan.legs[0].swaps {
            let half = swap.limit / U256::from(2);
            swap.limit = if swap.exactOutput { swap.limit + half } else { half };
        }
        let part = self.stage.fork.amount(shape.collateral, self.rng.between(1, 50))?;
        match self.rng.below(6) {
            0 => pairs::through_pairs(&self.stage, &mut plan),
            1 => pairs::in_two(&self.stage, &mut plan, part, true),
            2 => pairs::in_two(&self.stage, &mut plan, part, false),
            _ => {}
        }
        Ok(plan)
    }

    /// A plan as a mistaken or bought operator could make it.
    fn any_plan(&mut self) -> Result<Executor::Plan> {
        let mut plan = self.good_plan()?;
        let (symbol, market) = (self.symbol(), self.market());
        let token = self.stage.token(symbol)?;
        let leg = &mut plan.legs[0];
        match self.rng.below(24) {
            0 => plan.minProfit = U256::MAX,
            1 => plan.deadline = U256::ZERO,
            2 => leg.swaps.clear(),
            3 => leg.borrower = *self.rng.pick(&[VICTIM, RECEIVER, OWNER]),
            4 => leg.lender = self.stage.lender(market)?,
            5 => leg.repay /= U256::from(2),
            6 => leg.repay = U256::MAX,
            7 => plan.profitToken = token,
            8 => plan.pairFee = U24::from(self.rng.below(4_000)),
            9 => plan.amount *= U256::from(self.rng.between(1, 4)),
            10 => leg.collateral = token,
            11 => plan.minProfit = U256::ZERO,
            12 => plan.source = *self.rng.pick(&[STRANGER, self.intruder.0, self.stage.executor]),
            13 => leg.swaps.iter_mut().for_each(|swap| swap.limit = U256::from(1)),
            14 => leg.swaps.iter_mut().for_each(|swap| swap.limit = U256::MAX),
            _ => {}
        }
        Ok(plan)
    }

    async fn run(&mut self) -> Result<Meant> {
        let plan = self.any_plan()?;
        let least = plan.minProfit;
        let sent = self.stage.send(OPERATOR, &Executor::executeCall { plan: plan.clone() }).await;
        let Some(receipt) = done(sent)? else {
            self.counts.refused += 1;
            return Ok(Meant::Nothing);
        };
        self.counts.runs += 1;
        Ok(Meant::Run { plans: vec![plan], least, receipt: Box::new(receipt) })
    }

    async fn several(&mut self) -> Result<Meant> {
        let mut plans = Vec::new();
        for _ in 0..self.rng.between(1, 4) {
            plans.push(self.any_plan()?);
        }
        let least = *self.rng.pick(&[U256::ZERO, U256::from(1), U256::MAX]);
        let sent = self.stage.send(OPERATOR, &many(plans.clone(), least)).await;
        let Some(receipt) = done(sent)? else {
            self.counts.refused += 1;
            return Ok(Meant::Nothing);
        };
        self.counts.plans += events::<Executor::Executed>(&receipt).len() as u32;
        Ok(Meant::Run { plans, least, receipt: Box::new(receipt) })
    }

    // ---- the owner ------------------------------------------------------------------------------------------------

    async fn rule(&mut self) -> Result<Meant> {
        let owner = self.order.owner;
        let other = if owner == OWNER { SUCCESSOR } else { OWNER };
        let missing: Vec<(Address, u8)> = self
            .stage
            .listing
            .0
            .iter()
            .map(|(listed, role)| (*listed, *role as u8))
            .chain([(OPERATOR, 1)])
            .filter(|(listed, _)| !self.order.roles.contains_key(listed))
            .collect();
        // What is off the list comes back soon: otherwise nothing runs.
        if let Some((account, bits)) = missing.first() {
            let (targets, bits) = (vec![*account], vec![U256::from(*bits)]);
            self.order.roles.insert(targets[0], bits[0]);
            self.stage.send(owner, &Executor::setRolesCall { targets, bits }).await?;
            return Ok(Meant::Rule);
        }
        match self.rng.below(6) {
            0 => {
                let mut listed: Vec<Address> =
                    self.stage.listing.0.iter().map(|(listed, _)| *listed).collect();
                listed.push(OPERATOR);
                let account = *self.rng.pick(&listed);
                self.order.roles.remove(&account);
                let (targets, bits) = (vec![account], vec![U256::ZERO]);
                self.stage.send(owner, &Executor::setRolesCall { targets, bits }).await?;
                Ok(Meant::Rule)
            }
            1 => {
                let offered = *self.rng.pick(&[other, Address::ZERO]);
                self.order.pending = offered;
                self.stage.send(owner, &Executor::transferOwnershipCall { newOwner: offered }).await?;
                Ok(Meant::Rule)
            }
            2 => {
                let accepted = done(self.stage.send(other, &Executor::acceptOwnershipCall {}).await)?;
                if accepted.is_some() {
                    ensure!(self.order.pending == other, "{other} took what was not offered");
                    (self.order.owner, self.order.pending) = (other, Address::ZERO);
                }
                Ok(Meant::Rule)
            }
            _ => {
                let symbol = self.symbol();
                let token = if self.rng.below(4) == 0 { Address::ZERO } else { self.stage.token(symbol)? };
                self.counts.salvages += 1;
                let sent = self.stage.send(owner, &Executor::salvageCall { token }).await;
                Ok(if done(sent)?.is_some() { Meant::Salvage(token) } else { Meant::Nothing })
            }
        }
    }

    // ---- everybody else -------------------------------------------------------------------------------------------

    async fn gift(&mut self) -> Result<Meant> {
        self.counts.gifts += 1;
        if self.rng.below(6) == 0 {
            let has = self.read().await?.held[&(Address::ZERO, self.stage.executor)];
            let amount = U256::from(self.rng.between(1, 1_000_000_000));
            self.stage.fork.set_balance(self.stage.executor, has + amount).await?;
            return Ok(Meant::Gift { token: Address::ZERO, amount });
        }
        let symbol = self.symbol();
        let amount = U256::from(self.rng.between(1, 5_000_000));
        let token = self.stage.token(symbol)?;
        let given = done(self.stage.donate(symbol, amount).await)?.is_some();
        if !given {
            // The token is paused: take back what was to be given.
            let held = self.stage.balance(token, STRANGER).await?;
            ensure!(held == amount, "the gift is with nobody");
            self.usdc.becomes(&self.stage, PLAIN, Address::ZERO).await?;
            let away = Erc20::transferCall { to: RIVAL, amount };
            self.stage.fork.chain.invoke(STRANGER, token, &away).await?;
            return Ok(Meant::Nothing);
        }
        Ok(Meant::Gift { token, amount })
    }

    /// Prices fall or rise so that somebody can be liquidated, or come back.
    async fn price(&mut self) -> Result<Meant> {
        if self.turned.is_none() {
            let shape = *self.rng.pick(&SHAPES);
            let (symbol, dollars) = shape.price;
            let calm = CALM.iter().find(|(named, _)| *named == symbol).map_or(dollars, |(_, calm)| *calm);
            // As far as the shape needs it, or twice as far.
            let twice = (2 * dollars).saturating_sub(calm);
            let dollars = *self.rng.pick(&[dollars, twice]);
            self.stage.fork.set_price(symbol, dollars * DOLLAR).await?;
            self.turned = Some(shape);
        } else {
            for (symbol, dollars) in CALM {
                self.stage.fork.set_price(symbol, dollars * DOLLAR).await?;
            }
            self.turned = None;
        }
        done(self.stage.fork.move_pools_to_feeds().await)?;
        Ok(Meant::Nothing)
    }

    /// Somebody else liquidates, with money of his own.
    async fn rival(&mut self) -> Result<Meant> {
        let Position { shape, market, number } = self.position();
        let pair = (shape.collateral, shape.debt);
        let amount = self.stage.fork.amount(shape.debt, shape.covers)?;
        let sent = self.stage.fork.liquidate(market, RIVAL, pair, borrower(shape, number), amount).await;
        self.counts.rivals += u32::from(done(sent)?.is_some());
        Ok(Meant::Nothing)
    }

    /// Another borrower, where the prices allow it.
    async fn open(&mut self) -> Result<Meant> {
        let (shape, market) = (*self.rng.pick(&SHAPES), self.market());
        let number = self.positions.len() as u8;
        if done(self.stage.open(shape, market, number).await)?.is_some() {
            self.positions.push(Position { shape, market, number });
        }
        done(self.stage.fork.increase_time(self.rng.between(1, 86_400)).await)?;
        Ok(Meant::Nothing)
    }

    /// The pools move away from the feeds.
    async fn trade(&mut self) -> Result<Meant> {
        let percent = self.rng.between(90, 111);
        let price = self.stage.fork.price("WETH").await? / 100 * percent;
        done(self.stage.fork.move_pool_price(("WETH", price), ("USDC", DOLLAR), 500).await)?;
        Ok(Meant::Nothing)
    }

    /// One of the tokens changes its habits.
    async fn mood(&mut self) -> Result<Meant> {
        let quirks = *self.rng.pick(&[PLAIN, PLAIN, SILENT | RACE, HOOKS, LONG, PAUSED]);
        if quirks == HOOKS {
            let plan = self.good_plan()?;
            self.intruder.forgets(&self.stage).await?;
            for call in [
                Executor::executeCall { plan: plan.clone() }.abi_encode(),
                many(vec![plan], U256::ZERO).abi_encode(),
            ] {
                self.intruder.order(&self.stage, self.stage.executor, call).await?;
            }
            self.intruder.plots(&self.stage, Meddling::Intrude).await?;
        }
        let about = if quirks == HOOKS || quirks == LONG { self.stage.executor } else { Address::ZERO };
        self.usdc.becomes(&self.stage, quirks, about).await?;
        Ok(Meant::Nothing)
    }
}

pub fn many(plans: Vec<Executor::Plan>, least: U256) -> Executor::executeManyCall {
    let most = vec![U256::from(3_000_000); plans.len()];
    Executor::executeManyCall { profitToken: plans[0].profitToken, plans, most, minProfit: least }
}

/// A refusal by the contracts is an outcome like any other.
pub fn done<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(report) if report.downcast_ref::<Reverted>().is_some() => Ok(None),
        Err(report) => Err(report),
    }
}
