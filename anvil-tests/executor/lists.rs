//! T4, T8: nothing is called and nothing is touched that is not on the list, in exactly its role.

use alloy::{
    primitives::{Address, U256},
    sol_types::{SolCall, SolError},
};
use backstop::domain::executor::Role;
use eyre::{Result, ensure};

use super::{
    Executor, OPERATOR, OWNER, RECEIVER, STRANGER, Stage, WETH_FOR_USDC,
    positions::{Form, Funding},
    stage::is_refusal,
};

const EVERY_ROLE: [u8; 9] = [0, 1, 2, 4, 8, 16, 32, 64, 128];
const ANY_ROUTER: u8 = 76;
const ANY_TOKEN: u8 = 160;

/// Each address of a plan in turn loses its role, or has another one instead; then the plan is refused by name.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_address_needs_its_own_role() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let uniswap = stage.fork.manifest.uniswap.clone();
    let loan = stage.plan(&WETH_FOR_USDC, "v30", Funding::Loan, Form::WithDeadline)?;
    let flash = stage.plan(&WETH_FOR_USDC, "v30", Funding::Flash, Form::Without)?;
    let mut paired = flash.clone();
    (paired.pairToken, paired.pairFee) = (stage.token("DAI")?, alloy::primitives::aliases::U24::from(100));
    let lender = stage.lender("v30")?;
    let rows = [
        ("the source of a loan", &loan, lender, 2),
        ("the lender of a leg", &flash, lender, 2),
        ("the router with a deadline", &loan, uniswap.router, ANY_ROUTER),
        ("the router without", &flash, uniswap.router02, ANY_ROUTER),
        ("the factory", &flash, uniswap.factory, 16),
        ("the profit token, here the collateral", &loan, stage.token("WETH")?, ANY_TOKEN),
        ("the debt token", &loan, stage.token("USDC")?, ANY_TOKEN),
        ("the pool's other token", &paired, stage.token("DAI")?, ANY_TOKEN),
    ];
    for (what, plan, account, bits) in rows {
        let was = stage.fork.chain.read(stage.executor, &Executor::rolesCall { account }).await?;
        ensure!(stage.ask(OPERATOR, stage.executor, call(plan)).await?.is_ok(), "{what}: refused as listed");
        for other in EVERY_ROLE.into_iter().filter(|role| role & bits == 0) {
            stage.set_role(account, other).await?;
            let refusal = Executor::NotListed { account, bit: U256::from(bits) };
            stage.refuses_plan(&format!("{what} as {other}"), plan, refusal).await?;
        }
        stage.set_role(account, was.to::<u8>()).await?;
    }
    Ok(())
}

/// Puts an address into one place of a plan.
type Put = fn(&mut Executor::Plan, Address);

/// The places of a plan that take an address with a role.
pub const PLACES: [(&str, u8, Put); 9] = [
    ("source", 2, |plan, address| plan.source = address),
    ("factory", 16, |plan, address| (plan.funding, plan.source) = (1, address)),
    ("profit token", ANY_TOKEN, |plan, address| plan.profitToken = address),
    ("lender", 2, |plan, address| plan.legs[0].lender = address),
    ("collateral", ANY_TOKEN, |plan, address| plan.legs[0].collateral = address),
    ("debt", ANY_TOKEN, |plan, address| plan.legs[0].debt = address),
    ("router", ANY_ROUTER, |plan, address| plan.legs[0].swaps[0].router = address),
    ("sold", ANY_TOKEN, |plan, address| plan.legs[0].swaps[0].tokenIn = address),
    ("bought", ANY_TOKEN, |plan, address| plan.legs[0].swaps[0].tokenOut = address),
];

/// A listed address of the wrong kind in each place of a plan.
#[tokio::test(flavor = "multi_thread")]
async fn no_address_serves_in_a_place_that_is_not_its_own() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let loan = stage.plain_plan()?;
    let flash = stage.plan(&WETH_FOR_USDC, "v30", Funding::Flash, Form::WithDeadline)?;
    let mut suspects: Vec<(Address, u8)> =
        stage.listing.0.iter().map(|(at, role)| (*at, *role as u8)).collect();
    suspects.extend([OPERATOR, OWNER, RECEIVER, STRANGER, stage.executor, Address::ZERO].map(|at| (at, 0)));
    for (place, bits, put) in PLACES {
        for (account, role) in suspects.iter().filter(|(_, role)| role & bits == 0) {
            let mut plan = if place == "factory" { flash.clone() } else { loan.clone() };
            put(&mut plan, *account);
            let refusal = Executor::NotListed { account: *account, bit: U256::from(bits) };
            stage.refuses_plan(&format!("{role} as {place}"), &plan, refusal).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_asked_of_the_factory_and_of_nobody_else() -> Result<()> {
    let stage = Stage::new().await?;
    stage.liquidatable(&WETH_FOR_USDC, &["v30"]).await?;
    let mut plan = stage.plan(&WETH_FOR_USDC, "v30", Funding::Flash, Form::WithDeadline)?;
    plan.pairFee = alloy::primitives::aliases::U24::from(77);
    let debt = plan.legs[0].debt;
    let no_pool = |pair, fee| Executor::NoPool { tokenA: debt, tokenB: pair, fee };
    stage.refuses_plan("an unknown tier", &plan, no_pool(plan.pairToken, plan.pairFee)).await?;
    plan.pairToken = debt;
    stage.refuses_plan("a pool of one token", &plan, no_pool(debt, plan.pairFee)).await?;
    plan.funding = 3;
    stage.refuses_plan("a fourth funding", &plan, Executor::UnknownFunding { funding: 3 }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_takes_one_role_an_address_and_never_the_receiver_or_itself() -> Result<()> {
    let stage = Stage::new().await?;
    let set = |targets: &[Address], bits: &[u64]| Executor::setRolesCall {
        targets: targets.to_vec(),
        bits: bits.iter().copied().map(U256::from).collect(),
    };
    let bad = |account, bits: u64| Executor::BadRole { account, bits: U256::from(bits) };
    for bits in [3, 12, 33, 63, 65, 76, 127, 129, 160, 255, 256, 1 << 40] {
        stage
            .refuses("two roles, or none known", OWNER, &set(&[STRANGER], &[bits]), bad(STRANGER, bits))
            .await?;
    }
    for role in EVERY_ROLE.into_iter().skip(1).map(u64::from) {
        for account in [RECEIVER, stage.executor] {
            stage.refuses("a role for it", OWNER, &set(&[account], &[role]), bad(account, role)).await?;
        }
    }
    stage.refuses("nobody", OWNER, &set(&[Address::ZERO], &[32]), Executor::ZeroAddress {}).await?;
    let differ = Executor::LengthsDiffer { one: U256::from(1), other: U256::from(2) };
    stage.refuses("lengths", OWNER, &set(&[STRANGER], &[1, 2]), differ).await?;
    // One bad row undoes the good ones before it.
    ensure!(stage.send(OWNER, &set(&[STRANGER, RECEIVER], &[32, 32])).await.is_err());
    let role = stage.fork.chain.read(stage.executor, &Executor::rolesCall { account: STRANGER }).await?;
    ensure!(role.is_zero());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_constructor_refuses_what_cannot_be_meant() -> Result<()> {
    let stage = Stage::new().await?;
    let zero = Executor::ZeroAddress {}.abi_encode();
    let bad = |account| Executor::BadRole { account, bits: U256::from(1) }.abi_encode();
    let rows = [
        ("no owner", [Address::ZERO, OPERATOR, RECEIVER], zero.clone()),
        ("no operator", [OWNER, Address::ZERO, RECEIVER], zero.clone()),
        ("no receiver", [OWNER, OPERATOR, Address::ZERO], zero),
        ("the operator is paid", [OWNER, RECEIVER, RECEIVER], bad(RECEIVER)),
    ];
    for (what, [owner, operator, receiver], error) in rows {
        let init = stage.listing.init_code(owner, operator, receiver);
        is_refusal(what, &stage.deploy_answer(init).await?, &error)?;
    }
    let mut listing = stage.listing.clone();
    listing.0.push((RECEIVER, Role::Token));
    let init = listing.init_code(OWNER, OPERATOR, RECEIVER);
    let paid = Executor::BadRole { account: RECEIVER, bits: U256::from(32) }.abi_encode();
    is_refusal("a token is paid", &stage.deploy_answer(init).await?, &paid)
}

fn call(plan: &Executor::Plan) -> Vec<u8> {
    Executor::executeCall { plan: plan.clone() }.abi_encode()
}
