//! T6, T7: a plan that everybody has seen, in blocks that somebody else has put together. He trades before it and behind
//! it, puts it last or behind a competitor, or takes it out of its place. It earns its least profit, or it fails and costs
//! gas.

use alloy::{
    primitives::{Address, B256, I256, U256, address},
    providers::Provider,
    rpc::types::{TransactionReceipt, TransactionRequest},
    sol_types::SolCall,
};
use backstop::bed::{
    abi::{FluxAggregator, Pool, SwapParams, SwapRouter},
    assets::DOLLAR,
};
use eyre::{Result, WrapErr, ensure, eyre};

use super::{
    Executor, OPERATOR, RECEIVER, Shape, Stage, WETH_FOR_USDC,
    bounds::{refused_in_words, stage},
    positions::{Form, Funding, USDC_FOR_WETH, borrower},
    stage::events,
};

// ---- one attack at a time ---------------------------------------------------------------------------------------------

/// Somebody sells WETH first, so that our purchase is dear, and would buy it back behind us.
#[tokio::test(flavor = "multi_thread")]
async fn a_sandwiched_plan_fails_and_loses_nothing() -> Result<()> {
    let stage = stage().await?;
    let fair = stage.plain_plan()?;
    let snapshot = stage.fork.snapshot().await?;
    let profit = stage.run(&fair).await?.profit;
    stage.fork.revert(snapshot).await?;

    // By its limit: 2.7 WETH for 5,000 USDC is 1,852 a piece.
    stage.fork.move_pool_price(("WETH", 1_840 * DOLLAR), ("USDC", DOLLAR), 500).await?;
    let call = Executor::executeCall { plan: fair.clone() };
    let answer = stage.ask(OPERATOR, stage.executor, call.abi_encode()).await?;
    refused_in_words("past the limit", &answer, "STF")?;
    let snapshot = stage.fork.snapshot().await?;
    stage.fails_in_the_block(&fair).await?;
    stage.fork.revert(snapshot).await?;

    // By its least profit, when the limit is loose: nine tenths of the fair profit.
    let mut loose = fair;
    loose.legs[0].swaps[0].limit = stage.fork.amount("WETH", 100_000)?;
    loose.minProfit = profit * U256::from(9) / U256::from(10);
    let call = Executor::executeCall { plan: loose.clone() };
    let answer = stage.ask(OPERATOR, stage.executor, call.abi_encode()).await?;
    refused_in_words("below the least profit", &answer, "BelowMinimumProfit")?;
    let snapshot = stage.fork.snapshot().await?;
    stage.fails_in_the_block(&loose).await?;
    stage.fork.revert(snapshot).await?;

    // So far that what was seized cannot pay the loan back.
    stage.fork.move_pool_price(("WETH", 1_000 * DOLLAR), ("USDC", DOLLAR), 500).await?;
    loose.minProfit = U256::ZERO;
    stage.fails_in_the_block(&loose).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandwiched_sale_fails_by_its_limit() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&USDC_FOR_WETH, &["v36"]).await?;
    stage.fork.move_pool_price(("WETH", 2_300 * DOLLAR), ("USDC", DOLLAR), 500).await?;
    for form in [Form::WithDeadline, Form::Without] {
        let plan = stage.plan(&USDC_FOR_WETH, "v36", Funding::Loan, form)?;
        let call = Executor::executeCall { plan: plan.clone() };
        let answer = stage.ask(OPERATOR, stage.executor, call.abi_encode()).await?;
        refused_in_words("a dear pool", &answer, "Too little received")?;
        stage.fails_in_the_block(&plan).await?;
    }
    Ok(())
}

// ---- blocks in every order -------------------------------------------------------------------------------------------

const FRONT: Address = address!("0x00000000000000000000000000000000000f2017");
const BACK: Address = address!("0x000000000000000000000000000000000000bac2");
const RIVAL: Address = address!("0x0000000000000000000000000000000000021fa1");

/// Enough for each of these transactions; four of them fit into a block.
const GAS: u64 = 5_000_000;
const GWEI: u128 = 1_000_000_000;

/// How far the trade in front moves the pool, in thousandths of the price, and how much of what the pool holds that takes,
/// in millionths: 1 / sqrt(1 - x) - 1, the liquidity being spread over all prices.
const MOVES: [(u64, u64); 4] = [(1, 500), (20, 10_153), (50, 25_978), (300, 195_229)];

/// A transaction of the block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    Front,
    Ours,
    Back,
    /// Liquidates the same borrower, with money of his own.
    Rival,
    /// The feed's next round: the price at which the borrower can be liquidated.
    Price,
}
use Turn::{Back, Front, Ours, Price, Rival};

const ORDERS: [&[Turn]; 10] = [
    &[Front, Ours, Back],
    &[Front, Back, Ours],
    &[Ours, Front, Back],
    &[Ours, Back, Front],
    &[Back, Ours, Front],
    &[Back, Front, Ours],
    &[Rival, Ours],
    &[Ours, Rival],
    &[Rival, Front, Ours, Back],
    &[Front, Ours, Rival, Back],
];

/// What keeps a plan from a bad price.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Guard {
    /// The swap's limit, a hundredth off the fair price. The least profit is one wei.
    Limit,
    /// The least profit, nine tenths of the fair one. The limit is far off.
    LeastProfit,
}

pub struct Sandwich {
    pub stage: Stage,
    shape: &'static Shape,
    market: &'static str,
}

impl Sandwich {
    pub async fn new(shape: &'static Shape, market: &'static str) -> Result<Self> {
        let stage = Stage::new().await?;
        stage.liquidatable(shape, &[market]).await?;
        for trader in [FRONT, BACK] {
            for symbol in ["WETH", "USDC"] {
                stage.fork.fund(trader, symbol, stage.fork.amount(symbol, 1_000_000_000_000)?).await?;
                stage.fork.approve(trader, symbol, stage.fork.manifest.uniswap.router).await?;
            }
        }
        stage.fork.fund(RIVAL, shape.debt, stage.fork.amount(shape.debt, shape.borrows * 2)?).await?;
        stage.fork.approve(RIVAL, shape.debt, stage.lender(market)?).await?;
        Ok(Self { stage, shape, market })
    }

    /// The plan with its guard, and what it brings in a block of its own.
    async fn plan(&self, guard: Guard) -> Result<(Executor::Plan, U256)> {
        let stage = &self.stage;
        let mut plan = stage.plan(self.shape, self.market, Funding::Loan, Form::Without)?;
        let swap = plan.legs[0].swaps[0].clone();
        // Loose: all of what a buyer has, next to nothing for a seller.
        plan.legs[0].swaps[0].limit = if swap.exactOutput { U256::MAX } else { U256::from(1) };
        let snapshot = stage.fork.snapshot().await?;
        let run = stage.run(&plan).await?;
        stage.fork.revert(snapshot).await?;
        match guard {
            Guard::LeastProfit => plan.minProfit = run.profit * U256::from(9) / U256::from(10),
            Guard::Limit => {
                let hundredth = |amount: U256| amount / U256::from(100);
                let seized = events::<Executor::Liquidated>(&run.receipt)[0].seized;
                plan.legs[0].swaps[0].limit = if swap.exactOutput {
                    let spent = seized - run.profit;
                    spent + hundredth(spent)
                } else {
                    // But for the loan's premium.
                    let received = plan.amount + run.profit;
                    received - hundredth(received)
                };
            }
        }
        Ok((plan, run.profit))
    }

    /// Somebody's trade: the front's in the direction of ours, the back's against it.
    async fn trade(&self, turn: Turn, millionths: u64) -> Result<TransactionRequest> {
        let fork = &self.stage.fork;
        let pool = fork.manifest.uniswap.pools.iter().find(|pool| {
            pool.fee == 500
                && pool.tokens.contains(&"WETH".to_owned())
                && pool.tokens.contains(&"USDC".to_owned())
        });
        let pool = pool.ok_or_else(|| eyre!("no pool"))?.address;
        let ours = &self.shape.hops[0];
        let (sold, bought) = (ours.from, ours.to);
        let share = |held: U256| held * U256::from(millionths) / U256::from(1_000_000);
        let (from, sold, bought, amount) = match turn {
            Back => {
                // What the front got: its own sum, and the pool's product of the two sides.
                let (given, got) = (fork.balance(pool, sold).await?, fork.balance(pool, bought).await?);
                (BACK, bought, sold, got * share(given) / (given + share(given)))
            }
            _ => (FRONT, sold, bought, share(fork.balance(pool, sold).await?)),
        };
        let params = SwapParams {
            tokenIn: self.stage.token(sold)?,
            tokenOut: self.stage.token(bought)?,
            fee: alloy::primitives::aliases::U24::from(500),
            recipient: from,
            deadline: U256::MAX,
            amountIn: amount,
            amountOutMinimum: U256::ZERO,
            sqrtPriceLimitX96: alloy::primitives::aliases::U160::ZERO,
        };
        let call = SwapRouter::exactInputSingleCall { params }.abi_encode();
        Ok(TransactionRequest::default().from(from).to(fork.manifest.uniswap.router).input(call.into()))
    }

    fn rival(&self) -> Result<TransactionRequest> {
        let call = Pool::liquidationCallCall {
            collateral: self.stage.token(self.shape.collateral)?,
            debt: self.stage.token(self.shape.debt)?,
            user: borrower(self.shape, 0),
            debtToCover: U256::MAX,
            aToken: false,
        };
        let pool = self.stage.lender(self.market)?;
        Ok(TransactionRequest::default().from(RIVAL).to(pool).input(call.abi_encode().into()))
    }

    async fn price(&self) -> Result<TransactionRequest> {
        let (symbol, dollars) = self.shape.price;
        let manifest = &self.stage.fork.manifest;
        let aggregator = manifest.token(symbol)?.aggregator;
        let last = self.stage.fork.chain.read(aggregator, &FluxAggregator::latestRoundCall {}).await?;
        let round = last + U256::from(1);
        let call = FluxAggregator::submitCall { round, answer: I256::try_from(dollars * DOLLAR)? };
        let request = TransactionRequest::default().from(manifest.submitter).to(aggregator);
        Ok(request.input(call.abi_encode().into()))
    }

    /// One block with these transactions in this order, whoever pays how much. Gives our receipt; the others' have gone
    /// through unless they say so.
    async fn block(
        &self,
        ours: &TransactionRequest,
        order: &[Turn],
        millionths: u64,
    ) -> Result<TransactionReceipt> {
        let stage = &self.stage;
        stage.fork.chain.set_automine(false).await?;
        let mut sent: Vec<B256> = Vec::new();
        for (place, turn) in order.iter().enumerate() {
            let request = match turn {
                Ours => ours.clone(),
                Rival => self.rival()?,
                Price => self.price().await?,
                Front | Back => self.trade(*turn, millionths).await?,
            };
            // The node builds by tips.
            let tip = GWEI * (100 - place as u128);
            let request = request.gas_limit(GAS).max_priority_fee_per_gas(tip).max_fee_per_gas(1_000 * GWEI);
            sent.push(stage.fork.provider.raw_request("eth_sendTransaction".into(), (request,)).await?);
        }
        stage.fork.mine(1).await?;
        stage.fork.chain.set_automine(true).await?;
        let mut found = None;
        for (place, (hash, turn)) in sent.iter().zip(order).enumerate() {
            let receipt = stage.fork.provider.get_transaction_receipt(*hash).await?;
            let receipt = receipt.ok_or_else(|| eyre!("{turn:?} did not get into the block"))?;
            ensure!(receipt.transaction_index == Some(place as u64), "{turn:?} is not at place {place}");
            if *turn == Ours {
                found = Some(receipt);
            } else {
                // A rival behind us may find nothing left to take.
                ensure!(receipt.status() || *turn == Rival, "{turn:?} failed");
            }
        }
        found.ok_or_else(|| eyre!("we were not in the block"))
    }

    /// A block, and what must hold of it whatever its order. Whether our transaction went through.
    pub async fn check(&self, call: &[u8], least: U256, order: &[Turn], millionths: u64) -> Result<bool> {
        let stage = &self.stage;
        let snapshot = stage.fork.snapshot().await?;
        let weth = stage.token("WETH")?;
        let ours =
            TransactionRequest::default().from(OPERATOR).to(stage.executor).input(call.to_vec().into());
        let (money, gas_money) = (stage.money().await?, stage.fork.provider.get_balance(OPERATOR).await?);
        let before = stage.balance(weth, RECEIVER).await?;
        let receipt = self.block(&ours, order, millionths).await?;
        if receipt.status() {
            let profit = stage.balance(weth, RECEIVER).await? - before;
            ensure!(profit >= least, "profit {profit}, at least {least} was wanted");
            stage.is_clean().await?;
        } else {
            ensure!(stage.money().await? == money, "a failed run moved something");
            stage.has_no_allowances().await?;
        }
        let paid = gas_money - stage.fork.provider.get_balance(OPERATOR).await?;
        let cost = U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
        ensure!(paid == cost && receipt.gas_used <= GAS, "{paid} wei were paid for gas worth {cost}");
        stage.fork.revert(snapshot).await?;
        Ok(receipt.status())
    }

    /// Every order with every move. With no more than a trifle before it, the plan goes through; behind the great moves it
    /// does not.
    async fn all(&self, what: &str, call: &[u8], least: U256) -> Result<()> {
        let mut counts = [0, 0];
        for order in ORDERS {
            let trades = order.contains(&Front);
            for (thousandths, millionths) in if trades { &MOVES[..] } else { &MOVES[..1] } {
                let row = || format!("{what}: {order:?}, {thousandths} thousandths");
                let passed = self.check(call, least, order, *millionths).await.wrap_err_with(row)?;
                counts[usize::from(passed)] += 1;
                let place = order.iter().position(|turn| *turn == Ours).unwrap_or_default();
                match &order[..place] {
                    [] | [Back] => ensure!(passed, "{}: failed though nothing was worse", row()),
                    [Rival, ..] => ensure!(!passed, "{}: there was nothing left to take", row()),
                    [Front] => ensure!(passed == (*thousandths == 1), "{}: {passed}", row()),
                    _ => {}
                }
            }
        }
        eprintln!("{what}: {} of {} blocks went through", counts[1], counts[0] + counts[1]);
        Ok(())
    }
}

/// The plan alone, under each guard.
async fn alone(what: &str, shape: &'static Shape, market: &'static str) -> Result<()> {
    let sandwich = Sandwich::new(shape, market).await?;
    for guard in [Guard::Limit, Guard::LeastProfit] {
        let (plan, _) = sandwich.plan(guard).await?;
        let least = plan.minProfit;
        let call = Executor::executeCall { plan }.abi_encode();
        sandwich.all(&format!("{what}, {guard:?}"), &call, least).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_in_any_block_earns_its_least_profit_or_costs_gas_alone() -> Result<()> {
    alone("purchase", &WETH_FOR_USDC, "v30").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_in_any_block_earns_its_least_profit_or_costs_gas_alone() -> Result<()> {
    alone("sale", &USDC_FOR_WETH, "v36").await
}

/// Several plans in one transaction, guarded each by itself and all together.
#[tokio::test(flavor = "multi_thread")]
async fn several_plans_in_any_block_earn_the_least_over_all_or_cost_gas_alone() -> Result<()> {
    let sandwich = Sandwich::new(&WETH_FOR_USDC, "v30").await?;
    let (plan, fair) = sandwich.plan(Guard::LeastProfit).await?;
    let mut hopeless = plan.clone();
    hopeless.minProfit = fair * U256::from(2);
    let least = plan.minProfit;
    let call = Executor::executeManyCall {
        profitToken: plan.profitToken,
        plans: vec![hopeless, plan],
        most: vec![U256::from(2_000_000); 2],
        minProfit: least,
    };
    sandwich.all("several", &call.abi_encode(), least).await
}
