//! What emptied other people's contracts, tried on this one. One test for each cause that the other files do not hold
//! already; docs/executor.md says which test stands for which incident.

use alloy::{
    primitives::{Address, U256, address},
    providers::Provider,
    sol_types::SolCall,
};
use backstop::bed::assets::DOLLAR;
use eyre::{Result, WrapErr, ensure};

use super::{
    Executor, MARKETS, OPERATOR, OWNER, RECEIVER, STRANGER, Stage, WETH_FOR_USDC,
    doubles::Spoofer,
    lists::PLACES,
    pairs,
    pools::{pool, surplus_sale},
    positions::{Form, Funding},
    roles::plan_data,
    sandwich::{Sandwich, Turn},
    stage::is_refusal,
    zoo::{FEE, PLAIN, Zoo},
};

alloy::sol! {
    interface IOthers {
        function approve(address spender, uint256 amount) external;
        function approveDelegation(address delegatee, uint256 amount) external;
        function balanceOf(address holder) external view returns (uint256);
        function allowance(address holder, address spender) external view returns (uint256);
        function transfer(address to, uint256 amount) external;
        function transferFrom(address from, address to, uint256 amount) external;
        function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
        function supply(address asset, uint256 amount, address onBehalfOf, uint16 referral) external;
        function withdraw(address asset, uint256 amount, address to) external;
        function borrow(address asset, uint256 amount, uint256 rateMode, uint16 referral, address onBehalfOf) external;
        function flashLoan(address receiver, address[] assets, uint256[] amounts, uint256[] modes, address onBehalfOf, bytes params, uint16 referral) external;
        function liquidationCall(address collateral, address debt, address user, uint256 debtToCover, bool receiveAToken) external;
        function flashLoanSimple(address receiver, address asset, uint256 amount, bytes params, uint16 referral) external;
        function flash(address recipient, uint256 amount0, uint256 amount1, bytes data) external;
        function swap(address recipient, bool zeroForOne, int256 amount, uint160 limit, bytes data) external;
        function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address);
        function multicall(bytes[] data) external;
        function decimals() external view returns (uint8);
        function symbol() external view returns (string);
        function getReserveTokensAddresses(address asset) external view returns (address aToken, address stable, address variable);
    }
    interface RouterV1 {
        struct In { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline; uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96; }
        struct Out { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline; uint256 amountOut; uint256 amountInMaximum; uint160 sqrtPriceLimitX96; }
        function exactInputSingle(In params) external;
        function exactOutputSingle(Out params) external;
    }
    interface RouterV2 {
        struct In { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96; }
        struct Out { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 amountOut; uint256 amountInMaximum; uint160 sqrtPriceLimitX96; }
        function exactInputSingle(In params) external;
        function exactOutputSingle(Out params) external;
    }
    interface RouterPairs {
        function swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] path, address to, uint256 deadline) external;
        function swapTokensForExactTokens(uint256 amountOut, uint256 amountInMax, address[] path, address to, uint256 deadline) external;
    }
}

/// Every call the executor knows how to make.
const TYPED: [[u8; 4]; 14] = [
    IOthers::balanceOfCall::SELECTOR,
    IOthers::allowanceCall::SELECTOR,
    IOthers::approveCall::SELECTOR,
    IOthers::transferCall::SELECTOR,
    IOthers::liquidationCallCall::SELECTOR,
    IOthers::flashLoanSimpleCall::SELECTOR,
    IOthers::flashCall::SELECTOR,
    IOthers::getPoolCall::SELECTOR,
    RouterV1::exactInputSingleCall::SELECTOR,
    RouterV1::exactOutputSingleCall::SELECTOR,
    RouterV2::exactInputSingleCall::SELECTOR,
    RouterV2::exactOutputSingleCall::SELECTOR,
    RouterPairs::swapExactTokensForTokensCall::SELECTOR,
    RouterPairs::swapTokensForExactTokensCall::SELECTOR,
];

/// What others could be robbed with, and what a token is not asked.
const FOREIGN: [[u8; 4]; 10] = [
    IOthers::transferFromCall::SELECTOR,
    IOthers::permitCall::SELECTOR,
    IOthers::supplyCall::SELECTOR,
    IOthers::withdrawCall::SELECTOR,
    IOthers::borrowCall::SELECTOR,
    IOthers::flashLoanCall::SELECTOR,
    IOthers::swapCall::SELECTOR,
    IOthers::multicallCall::SELECTOR,
    IOthers::decimalsCall::SELECTOR,
    IOthers::symbolCall::SELECTOR,
];

/// Several plans with their shares, for the operator.
fn many(plans: &[Executor::Plan]) -> Executor::executeManyCall {
    Executor::executeManyCall {
        plans: plans.to_vec(),
        most: vec![U256::from(3_000_000); plans.len()],
        profitToken: plans[0].profitToken,
        minProfit: U256::from(1),
    }
}

/// 2021-03, the salmonella token: it paid out a tenth of what its pool said, and bots that believed the pool bought it. Here
/// a tenth is missing, which is enough.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_that_paid_out_less_than_its_pool_said() -> Result<()> {
    let stage = Stage::new().await?;
    let money = Zoo::listed(&stage, PLAIN).await?;
    let salmon = Zoo::listed(&stage, PLAIN).await?;
    pool(&stage, money, salmon).await?;
    for form in [Form::WithDeadline, Form::Without] {
        let mut plan = surplus_sale(&stage, money, salmon, form).await?;
        let snapshot = stage.fork.snapshot().await?;
        let fair = stage.run(&plan).await?.profit;
        stage.fork.revert(snapshot).await?;
        salmon.becomes(&stage, FEE, stage.executor).await?;
        let received = fair - fair / U256::from(10);
        plan.legs[0].swaps[0].limit = fair;
        let below = Executor::BelowLimit { token: salmon.0, received, limit: fair };
        stage.refuses_plan("by its limit", &plan, below).await?;
        (plan.legs[0].swaps[0].limit, plan.minProfit) = (U256::from(1), fair);
        let below = Executor::BelowMinimumProfit { profit: received, minimum: fair };
        stage.refuses_plan("by its least profit", &plan, below).await?;
        salmon.becomes(&stage, PLAIN, Address::ZERO).await?;
    }
    Ok(())
}

/// 2022-11-08, 0x0ad8; 2024-08-28, Aave's ParaSwap repay adapter; 2026-04-07, Squid; 2026-04-19, an Aave rebalancer;
/// 2026-07-30, UnprotectedArbBot: contracts that made whatever call their caller wrote. This one makes fourteen calls, to
/// whom the list names, and has no others in its code.
#[tokio::test(flavor = "multi_thread")]
async fn the_calls_that_the_caller_could_write() -> Result<()> {
    let stage = Stage::new().await?;
    let code = stage.fork.provider.get_code_at(stage.executor).await?;
    let has = |selector: &[u8; 4]| {
        // A leading zero is not written out.
        let written = if selector[0] == 0 { &selector[1..] } else { &selector[..] };
        code.windows(written.len()).any(|window| window == written)
    };
    for selector in &TYPED {
        ensure!(has(selector), "{selector:x?} is not in the code: the search is wrong");
    }
    for selector in &FOREIGN {
        ensure!(!has(selector), "{selector:x?} is in the code");
    }

    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    let mut plans = [
        stage.plan(&WETH_FOR_USDC, "v30", Funding::Loan, Form::WithDeadline)?,
        stage.plan(&WETH_FOR_USDC, "v36", Funding::Flash, Form::Without)?,
    ];
    pairs::pair(&stage).await?;
    pairs::in_two(&stage, &mut plans[0], stage.fork.amount("USDC", 2_000_000)?, true);
    let receipt = stage.send(OPERATOR, &many(&plans)).await?;
    let pools = stage.fork.manifest.uniswap.pools.iter().map(|pool| pool.address);
    let known: Vec<Address> = stage.listing.0.iter().map(|(listed, _)| *listed).chain(pools).collect();
    let mut made = Vec::new();
    for frame in stage.calls(receipt.transaction_hash).await? {
        if frame.from != stage.executor {
            continue;
        }
        let (selector, to) = (frame.selector(), frame.to.unwrap_or_default());
        if to == stage.executor {
            ensure!(selector[..] == Executor::executeCall::SELECTOR, "it called {selector} of itself");
            continue;
        }
        ensure!(TYPED.iter().any(|typed| selector[..] == typed[..]), "it called {selector} of {to}");
        ensure!(known.contains(&to), "it called {to}");
        made.push(selector);
    }
    made.sort();
    made.dedup();
    // Purchases through three routers, a loan and a flash: all but the three sales.
    ensure!(made.len() == TYPED.len() - 3, "{} different calls were made", made.len());
    Ok(())
}

/// 2024-07-23, 0xdd7c; 2025-07, an unverified contract at 0x6883: callbacks that judged their caller by what it looked
/// like. Here it has a real pool's code; and here it is named by a factory that the caller brought along.
#[tokio::test(flavor = "multi_thread")]
async fn the_pool_that_only_looked_real() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let plan = stage.plan(&WETH_FOR_USDC, "v30", Funding::Flash, Form::Without)?;
    let (debt, pair) = (plan.legs[0].debt, plan.pairToken);
    let ask = IOthers::getPoolCall { tokenA: debt, tokenB: pair, fee: plan.pairFee };
    let real = stage.fork.chain.read(stage.fork.manifest.uniswap.factory, &ask).await?;
    let twin = address!("0x0000000000000000000000000000000000007713");
    stage.fork.chain.set_code(twin, stage.fork.provider.get_code_at(real).await?).await?;
    stage.fork.set_balance(twin, U256::from(10).pow(U256::from(18))).await?;
    for caller in [twin, real] {
        for fee in [U256::ZERO, plan.amount] {
            let data = plan_data(&plan);
            let callback = Executor::uniswapV3FlashCallbackCall { fee0: fee, fee1: fee, data };
            let refusal = Executor::CallbackRefused { caller };
            stage.refuses("out of the blue", caller, &callback, refusal).await?;
        }
    }
    let factory = Spoofer::deploy(&stage).await?;
    stage.fork.fund(factory.0, "USDC", stage.fork.amount("USDC", 1_000_000_000)?).await?;
    factory.pair(&stage, debt, pair).await?;
    let mut brought = plan.clone();
    brought.source = factory.0;
    let refusal = Executor::NotListed { account: factory.0, bit: U256::from(16) };
    stage.refuses_plan("a factory of one's own", &brought, refusal).await?;
    // The control: what was wrong with it was that nobody had listed it.
    stage.set_role(factory.0, 16).await?;
    stage.run(&brought).await?;
    Ok(())
}

/// 2026-03-24, the Xocolatl liquidator: it dealt with a reserve contract that its caller named. This one pays well, and is
/// refused all the same: that a run would be profitable is no reason to trust anybody.
#[tokio::test(flavor = "multi_thread")]
async fn the_reserve_that_the_caller_brought_along() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let reserve = Spoofer::deploy(&stage).await?;
    for symbol in ["WETH", "USDC"] {
        stage.fork.fund(reserve.0, symbol, stage.fork.amount(symbol, 1_000_000_000)?).await?;
    }
    reserve.seizes(&stage, stage.fork.amount("WETH", 9_000)?).await?;
    let refusal = || Executor::NotListed { account: reserve.0, bit: U256::from(2) };
    let mut leg = stage.plain_plan()?;
    leg.legs[0].lender = reserve.0;
    stage.refuses_plan("in a leg", &leg, refusal()).await?;
    let mut source = stage.plain_plan()?;
    source.source = reserve.0;
    stage.refuses_plan("as the source", &source, refusal()).await?;
    stage.fails_in_the_block(&leg).await?;
    let left = stage.allowance(leg.legs[0].debt, reserve.0).await?;
    ensure!(left.is_zero(), "{left} approved");
    // The control: listed, it is dealt with, and pays.
    stage.set_role(reserve.0, 2).await?;
    stage.run(&leg).await?;
    Ok(())
}

/// 2023-04-03: a builder took bundles apart, and put the halves that were meant to come second into blocks of their own. A
/// plan that waits for a price fails without it, before it, and again where the block with both of them is orphaned.
#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_that_was_taken_apart() -> Result<()> {
    use Turn::{Ours, Price};
    let sandwich = Sandwich::new(&WETH_FOR_USDC, "v30").await?;
    let stage = &sandwich.stage;
    let plan = stage.plain_plan()?;
    let least = plan.minProfit;
    let call = Executor::executeCall { plan: plan.clone() }.abi_encode();
    // Back to health: the price that the plan waits for is the scene's own, once more.
    stage.fork.set_price("WETH", 2_100 * DOLLAR).await?;
    for (order, goes) in [
        (&[Ours][..], false),
        (&[Ours, Price], false),
        (&[Price, Ours], true),
        // The block above is gone; on the other branch our half stands alone.
        (&[Ours], false),
        (&[Price, Ours], true),
    ] {
        let went = sandwich.check(&call, least, order, 0).await.wrap_err_with(|| format!("{order:?}"))?;
        ensure!(went == goes, "{order:?}: {went}");
    }
    let refusal = Executor::NotListed { account: STRANGER, bit: U256::from(1) };
    stage.refuses("the builder himself", STRANGER, &Executor::executeCall { plan }, refusal).await
}

/// 2024-07-23, 0xdd7c; 2024-08-28 and 2025-06-25, users of ParaSwap's contracts; 2026-04-07, Squid; 2026-04-19, an Aave
/// rebalancer; 2026-07-30, UnprotectedArbBot: what others had allowed the contract, tokens or credit, was used against
/// them. Here the owner, the receiver and a stranger have allowed the executor everything there is.
#[tokio::test(flavor = "multi_thread")]
async fn the_allowances_that_others_had_given() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &MARKETS).await?;
    let victim = address!("0x000000000000000000000000000000000071c711");
    let amount = stage.fork.amount("USDC", 10_000_000)?;
    let mut purse = Vec::new();
    for person in [victim, OWNER, RECEIVER] {
        for market in MARKETS {
            stage.fork.supply(market, person, "USDC", amount).await?;
            for symbol in ["WETH", "USDC"] {
                let data_provider = stage.fork.manifest.market(market)?.data_provider;
                let ask = IOthers::getReserveTokensAddressesCall { asset: stage.token(symbol)? };
                let reserve = stage.fork.chain.read(data_provider, &ask).await?;
                let lend = IOthers::approveDelegationCall { delegatee: stage.executor, amount: U256::MAX };
                stage.fork.chain.invoke(person, reserve.variable, &lend).await?;
                purse.extend([(reserve.aToken, person), (reserve.variable, person)]);
            }
        }
        for symbol in ["WETH", "USDC"] {
            stage.fork.fund(person, symbol, stage.fork.amount(symbol, 5_000)?).await?;
            purse.push((stage.token(symbol)?, person));
        }
        for (token, _) in purse.iter().filter(|(_, holder)| *holder == person) {
            let approve = IOthers::approveCall { spender: stage.executor, amount: U256::MAX };
            // A debt token has no allowances of this kind, only the delegation above.
            let _ = stage.fork.chain.invoke(person, *token, &approve).await;
        }
    }
    let before = worth(&stage, &purse).await?;

    // All that the operator can do with it: runs, and plans with each of them in every place.
    let good = [
        stage.plan(&WETH_FOR_USDC, "v30", Funding::Loan, Form::WithDeadline)?,
        stage.plan(&WETH_FOR_USDC, "v36", Funding::Flash, Form::Without)?,
    ];
    stage.send(OPERATOR, &many(&good)).await?;
    for person in [victim, OWNER, RECEIVER] {
        for (place, _, put) in PLACES {
            let mut plan = good[0].clone();
            put(&mut plan, person);
            let call = Executor::executeCall { plan }.abi_encode();
            let answer = stage.ask(OPERATOR, stage.executor, call).await?;
            ensure!(answer.is_err(), "{person} as {place}");
        }
        let mut plan = good[0].clone();
        plan.legs[0].borrower = person;
        stage.fails_in_the_block(&plan).await.wrap_err("liquidating the healthy")?;
    }
    // All that strangers can do with it.
    for token in [stage.token("USDC")?, stage.token("WETH")?] {
        let take = IOthers::transferFromCall { from: victim, to: STRANGER, amount: U256::from(1) };
        let answer = stage.ask(STRANGER, stage.executor, take.abi_encode()).await?;
        is_refusal("through a fallback", &answer, &[])?;
        let salvage = Executor::salvageCall { token };
        let refusal = Executor::NotOwner { account: STRANGER };
        stage.refuses("a salvage", STRANGER, &salvage, refusal).await?;
        // And the owner: a salvage moves what the executor holds.
        stage.send(OWNER, &salvage).await?;
    }
    for market in MARKETS {
        let loan = IOthers::flashLoanCall {
            receiver: stage.executor,
            assets: vec![stage.token("USDC")?],
            amounts: vec![U256::from(1_000_000)],
            modes: vec![U256::from(2)],
            onBehalfOf: victim,
            params: plan_data(&good[0]),
            referral: 0,
        };
        let answer = stage.ask(STRANGER, stage.lender(market)?, loan.abi_encode()).await?;
        ensure!(answer.is_err(), "{market}: a loan to the executor on somebody's credit");
    }
    let after = worth(&stage, &purse).await?;
    for ((held, before), after) in purse.iter().zip(before).zip(after) {
        // The receiver is paid, and deposits bear interest. Nobody has come to owe anything.
        ensure!(after >= before, "{held:?}: {before} became {after}");
    }
    for person in [victim, OWNER, RECEIVER] {
        for market in MARKETS {
            for symbol in ["WETH", "USDC"] {
                let owed = stage.fork.debt(market, person, symbol).await?;
                ensure!(owed.is_zero(), "{person} owes {owed} {symbol} in {market}");
            }
        }
    }
    Ok(())
}

async fn worth(stage: &Stage, purse: &[(Address, Address)]) -> Result<Vec<U256>> {
    let mut worth = Vec::new();
    for (token, holder) in purse {
        worth.push(stage.balance(*token, *holder).await?);
    }
    Ok(worth)
}
