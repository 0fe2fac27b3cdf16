//! What contracts say when they refuse, as the keeper tells it.

use alloy::primitives::{Address, Bytes, U256, hex, keccak256};
use alloy::sol_types::SolValue;
use backstop::domain::refusal::refusal;

/// `Error(string)`.
fn sentence(text: &str) -> Vec<u8> {
    [hex!("08c379a0").to_vec(), (text,).abi_encode_params()].concat()
}

fn custom(signature: &str, arguments: &[u8]) -> Vec<u8> {
    [&keccak256(signature)[..4], arguments].concat()
}

fn check(data: &[u8], said: &str) {
    assert_eq!(refusal(data), said);
}

#[test]
fn aave_from_3_4_on_by_selector() {
    for (selector, name) in [
        (hex!("44511af1"), "SelfLiquidation"),
        (hex!("90cd6f24"), "ReserveInactive"),
        (hex!("d37f5f1c"), "ReservePaused"),
        (hex!("91037009"), "PriceOracleSentinelCheckFailed"),
        (hex!("9e3e6060"), "LiquidationGraceSentinelCheckFailed"),
        (hex!("930bb771"), "HealthFactorNotBelowThreshold"),
        (hex!("979b5ce8"), "CollateralCannotBeLiquidated"),
        (hex!("3653732b"), "SpecifiedCurrencyNotBorrowedByUser"),
        (hex!("b629b0e4"), "MustNotLeaveDust"),
        (hex!("2075cc10"), "InvalidBurnAmount"),
        (hex!("ccfad018"), "InvalidMintAmount"),
    ] {
        check(&selector, &format!("Aave: {name}"));
    }
    let arguments = (Address::repeat_byte(1), U256::from(3)).abi_encode_params();
    check(
        &custom("InvalidDebtInEmode(address,uint256)", &arguments),
        "Aave: InvalidDebtInEmode { reserve: 0x0101010101010101010101010101010101010101, categoryId: 3 }",
    );
}

#[test]
fn aave_before_3_4_by_number() {
    for (code, name) in [
        ("1", "CALLER_NOT_POOL_ADMIN"),
        ("27", "RESERVE_INACTIVE"),
        ("45", "HEALTH_FACTOR_NOT_BELOW_THRESHOLD"),
        ("46", "COLLATERAL_CANNOT_BE_LIQUIDATED"),
        ("47", "SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER"),
        ("59", "PRICE_ORACLE_SENTINEL_CHECK_FAILED"),
        ("91", "FLASHLOAN_DISABLED"),
        ("97", "LIQUIDATION_GRACE_SENTINEL_CHECK_FAILED"),
        ("100", "NOT_BORROWABLE_IN_EMODE"),
        ("103", "MUST_NOT_LEAVE_DUST"),
    ] {
        check(&sentence(code), &format!("Aave: {name} ({code})"));
    }
    for unknown in ["0", "48", "104", "999999999999999999999999"] {
        check(&sentence(unknown), unknown);
    }
}

#[test]
fn solidity_uniswap_and_tokens() {
    let panic = |code: u64| [hex!("4e487b71").to_vec(), U256::from(code).abi_encode()].concat();
    check(&panic(0x11), "Panic(0x11): arithmetic overflow or underflow");
    check(&panic(0x12), "Panic(0x12): division by zero");
    check(&panic(0x99), "Panic(0x99): a check of the compiler");
    check(&sentence("STF"), "Uniswap: STF, the token could not be taken: too little balance or allowance");
    check(&sentence("LOK"), "Uniswap: LOK, the pool is locked: it is being used in this same call");
    check(&sentence("SPL"), "Uniswap: SPL, the price limit is on the wrong side");
    check(&sentence("Too little received"), "Uniswap: Too little received");
    check(&sentence("UniswapV2: LOCKED"), "Uniswap: UniswapV2: LOCKED");
    check(
        &sentence("ERC20: transfer amount exceeds balance"),
        "token: ERC20: transfer amount exceeds balance",
    );
    let arguments = (Address::ZERO, U256::from(1), U256::from(2)).abi_encode_params();
    check(
        &custom("ERC20InsufficientBalance(address,uint256,uint256)", &arguments),
        "token: ERC20InsufficientBalance { sender: 0x0000000000000000000000000000000000000000, balance: 1, needed: 2 }",
    );
    let token = Address::repeat_byte(2).abi_encode();
    check(
        &custom("SafeERC20FailedOperation(address)", &token),
        "token: SafeERC20FailedOperation { token: 0x0202020202020202020202020202020202020202 }",
    );
}

#[test]
fn our_executor() {
    let arguments = (U256::from(5), U256::from(7)).abi_encode_params();
    check(
        &custom("BelowMinimumProfit(uint256,uint256)", &arguments),
        "BelowMinimumProfit { profit: 5, minimum: 7 }",
    );
    check(&custom("NoLegs()", &[]), "NoLegs");
}

#[test]
fn what_nobody_knows_is_shown_by_its_selector() {
    check(&[], "no reason given");
    check(&[1, 2], "a reason that is none");
    check(&hex!("deadbeef"), "unknown error 0xdeadbeef");
    let odd = custom("Odd(uint256)", &U256::from(1).abi_encode());
    check(&odd, &format!("unknown error {}", Bytes::copy_from_slice(&odd[..4])));
    // A known selector with arguments that are none.
    check(&[hex!("930bb771").to_vec(), vec![0; 32]].concat(), "Aave: HealthFactorNotBelowThreshold");
    check(&sentence("\u{1b}[31mred\n"), "[31mred");
    assert_eq!(refusal(&sentence(&"long ".repeat(100))).len(), 120);
}

/// Every error of the installed `Errors` library is known, by the selector that its own declaration has.
#[test]
fn every_error_of_the_table_has_a_name() {
    use alloy::sol_types::SolInterface;
    use backstop::abi::refusals::{AAVE_CODES, Aave::AaveErrors};
    assert_eq!(AaveErrors::COUNT, 92);
    for selector in AaveErrors::selectors() {
        let name = AaveErrors::name_by_selector(selector).unwrap();
        let said = refusal(&[&selector[..], &[0; 64]].concat());
        assert!(said.starts_with(&format!("Aave: {name}")), "{said}");
    }
    assert_eq!(AAVE_CODES.iter().filter(|name| !name.is_empty()).count(), 102);
}
