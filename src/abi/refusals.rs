//! What contracts say when they refuse: custom errors by selector, and the short strings of older code. Only names; what
//! they mean to a reader is said in `domain::refusal`.

use alloy::sol;

sol! {
    /// Aave V3 from 3.4 on: its `Errors` library.
    #[derive(Debug)]
    interface Aave {
        error CallerNotPoolAdmin();
        error CallerNotPoolOrEmergencyAdmin();
        error CallerNotRiskOrPoolAdmin();
        error CallerNotAssetListingOrPoolAdmin();
        error AddressesProviderNotRegistered();
        error InvalidAddressesProviderId();
        error NotContract();
        error CallerNotPoolConfigurator();
        error CallerNotAToken();
        error InvalidAddressesProvider();
        error InvalidFlashloanExecutorReturn();
        error ReserveAlreadyAdded();
        error NoMoreReservesAllowed();
        error EModeCategoryReserved();
        error ReserveLiquidityNotZero();
        error FlashloanPremiumInvalid();
        error InvalidReserveParams();
        error InvalidEmodeCategoryParams();
        error CallerMustBePool();
        error InvalidMintAmount();
        error InvalidBurnAmount();
        error InvalidAmount();
        error ReserveInactive();
        error ReserveFrozen();
        error ReservePaused();
        error BorrowingNotEnabled();
        error NotEnoughAvailableUserBalance();
        error InvalidInterestRateModeSelected();
        error HealthFactorLowerThanLiquidationThreshold();
        error CollateralCannotCoverNewBorrow();
        error NoDebtOfSelectedType();
        error NoExplicitAmountToRepayOnBehalf();
        error UnderlyingBalanceZero();
        error HealthFactorNotBelowThreshold();
        error CollateralCannotBeLiquidated();
        error SpecifiedCurrencyNotBorrowedByUser();
        error InconsistentFlashloanParams();
        error BorrowCapExceeded();
        error SupplyCapExceeded();
        error DebtCeilingExceeded();
        error UnderlyingClaimableRightsNotZero();
        error VariableDebtSupplyNotZero();
        error LtvValidationFailed();
        error InconsistentEModeCategory();
        error PriceOracleSentinelCheckFailed();
        error AssetNotBorrowableInIsolation();
        error ReserveAlreadyInitialized();
        error UserInIsolationModeOrLtvZero();
        error InvalidLtv();
        error InvalidLiquidationThreshold();
        error InvalidLiquidationBonus();
        error InvalidDecimals();
        error InvalidReserveFactor();
        error InvalidBorrowCap();
        error InvalidSupplyCap();
        error InvalidLiquidationProtocolFee();
        error InvalidDebtCeiling();
        error InvalidReserveIndex();
        error AclAdminCannotBeZero();
        error InconsistentParamsLength();
        error ZeroAddressNotValid();
        error InvalidExpiration();
        error InvalidSignature();
        error OperationNotSupported();
        error DebtCeilingNotZero();
        error AssetNotListed();
        error InvalidOptimalUsageRatio();
        error UnderlyingCannotBeRescued();
        error AddressesProviderAlreadyAdded();
        error PoolAddressesDoNotMatch();
        error SiloedBorrowingViolation();
        error ReserveDebtNotZero();
        error FlashloanDisabled();
        error InvalidMaxRate();
        error WithdrawToAToken();
        error SupplyToAToken();
        error Slope2MustBeGteSlope1();
        error CallerNotRiskOrPoolOrEmergencyAdmin();
        error LiquidationGraceSentinelCheckFailed();
        error InvalidGracePeriod();
        error InvalidFreezeState();
        error InvalidLtvzeroState();
        error NotBorrowableInEMode();
        error CallerNotUmbrella();
        error ReserveNotInDeficit();
        error MustNotLeaveDust();
        error UserCannotHaveDebt();
        error SelfLiquidation();
        error CallerNotPositionManager();
        error InvalidCollateralInEmode(address reserve, uint256 categoryId);
        error InvalidDebtInEmode(address reserve, uint256 categoryId);
        error MustBeEmodeCollateral(address reserve, uint256 categoryId);
    }

    /// OpenZeppelin's tokens and the libraries around them, from their release 5 on.
    #[derive(Debug)]
    interface OpenZeppelin {
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InvalidSender(address sender);
        error ERC20InvalidReceiver(address receiver);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error ERC20InvalidApprover(address approver);
        error ERC20InvalidSpender(address spender);
        error SafeERC20FailedOperation(address token);
        error SafeERC20FailedDecreaseAllowance(address spender, uint256 currentAllowance, uint256 requestedDecrease);
        error AddressEmptyCode(address target);
        error FailedInnerCall();
        error FailedCall();
        error InsufficientBalance(uint256 balance, uint256 needed);
        error AddressInsufficientBalance(address account);
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error SafeCastOverflowedIntDowncast(uint8 bits, int256 value);
        error SafeCastOverflowedIntToUint(int256 value);
        error SafeCastOverflowedUintToInt(uint256 value);
        error ReentrancyGuardReentrantCall();
        error EnforcedPause();
        error ExpectedPause();
        error OwnableUnauthorizedAccount(address account);
        error OwnableInvalidOwner(address owner);
        error AccessControlUnauthorizedAccount(address account, bytes32 neededRole);
    }
}

/// Aave V3 before 3.4: `Error(string)` with a number. Up to 91 they are of 3.0, the rest came with 3.1 to 3.3.
pub const AAVE_CODES: [&str; 104] = [
    "",
    "CALLER_NOT_POOL_ADMIN",
    "CALLER_NOT_EMERGENCY_ADMIN",
    "CALLER_NOT_POOL_OR_EMERGENCY_ADMIN",
    "CALLER_NOT_RISK_OR_POOL_ADMIN",
    "CALLER_NOT_ASSET_LISTING_OR_POOL_ADMIN",
    "CALLER_NOT_BRIDGE",
    "ADDRESSES_PROVIDER_NOT_REGISTERED",
    "INVALID_ADDRESSES_PROVIDER_ID",
    "NOT_CONTRACT",
    "CALLER_NOT_POOL_CONFIGURATOR",
    "CALLER_NOT_ATOKEN",
    "INVALID_ADDRESSES_PROVIDER",
    "INVALID_FLASHLOAN_EXECUTOR_RETURN",
    "RESERVE_ALREADY_ADDED",
    "NO_MORE_RESERVES_ALLOWED",
    "EMODE_CATEGORY_RESERVED",
    "INVALID_EMODE_CATEGORY_ASSIGNMENT",
    "RESERVE_LIQUIDITY_NOT_ZERO",
    "FLASHLOAN_PREMIUM_INVALID",
    "INVALID_RESERVE_PARAMS",
    "INVALID_EMODE_CATEGORY_PARAMS",
    "BRIDGE_PROTOCOL_FEE_INVALID",
    "CALLER_MUST_BE_POOL",
    "INVALID_MINT_AMOUNT",
    "INVALID_BURN_AMOUNT",
    "INVALID_AMOUNT",
    "RESERVE_INACTIVE",
    "RESERVE_FROZEN",
    "RESERVE_PAUSED",
    "BORROWING_NOT_ENABLED",
    "STABLE_BORROWING_NOT_ENABLED",
    "NOT_ENOUGH_AVAILABLE_USER_BALANCE",
    "INVALID_INTEREST_RATE_MODE_SELECTED",
    "COLLATERAL_BALANCE_IS_ZERO",
    "HEALTH_FACTOR_LOWER_THAN_LIQUIDATION_THRESHOLD",
    "COLLATERAL_CANNOT_COVER_NEW_BORROW",
    "COLLATERAL_SAME_AS_BORROWING_CURRENCY",
    "AMOUNT_BIGGER_THAN_MAX_LOAN_SIZE_STABLE",
    "NO_DEBT_OF_SELECTED_TYPE",
    "NO_EXPLICIT_AMOUNT_TO_REPAY_ON_BEHALF",
    "NO_OUTSTANDING_STABLE_DEBT",
    "NO_OUTSTANDING_VARIABLE_DEBT",
    "UNDERLYING_BALANCE_ZERO",
    "INTEREST_RATE_REBALANCE_CONDITIONS_NOT_MET",
    "HEALTH_FACTOR_NOT_BELOW_THRESHOLD",
    "COLLATERAL_CANNOT_BE_LIQUIDATED",
    "SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER",
    "",
    "INCONSISTENT_FLASHLOAN_PARAMS",
    "BORROW_CAP_EXCEEDED",
    "SUPPLY_CAP_EXCEEDED",
    "UNBACKED_MINT_CAP_EXCEEDED",
    "DEBT_CEILING_EXCEEDED",
    "UNDERLYING_CLAIMABLE_RIGHTS_NOT_ZERO",
    "STABLE_DEBT_NOT_ZERO",
    "VARIABLE_DEBT_SUPPLY_NOT_ZERO",
    "LTV_VALIDATION_FAILED",
    "INCONSISTENT_EMODE_CATEGORY",
    "PRICE_ORACLE_SENTINEL_CHECK_FAILED",
    "ASSET_NOT_BORROWABLE_IN_ISOLATION",
    "RESERVE_ALREADY_INITIALIZED",
    "USER_IN_ISOLATION_MODE_OR_LTV_ZERO",
    "INVALID_LTV",
    "INVALID_LIQ_THRESHOLD",
    "INVALID_LIQ_BONUS",
    "INVALID_DECIMALS",
    "INVALID_RESERVE_FACTOR",
    "INVALID_BORROW_CAP",
    "INVALID_SUPPLY_CAP",
    "INVALID_LIQUIDATION_PROTOCOL_FEE",
    "INVALID_EMODE_CATEGORY",
    "INVALID_UNBACKED_MINT_CAP",
    "INVALID_DEBT_CEILING",
    "INVALID_RESERVE_INDEX",
    "ACL_ADMIN_CANNOT_BE_ZERO",
    "INCONSISTENT_PARAMS_LENGTH",
    "ZERO_ADDRESS_NOT_VALID",
    "INVALID_EXPIRATION",
    "INVALID_SIGNATURE",
    "OPERATION_NOT_SUPPORTED",
    "DEBT_CEILING_NOT_ZERO",
    "ASSET_NOT_LISTED",
    "INVALID_OPTIMAL_USAGE_RATIO",
    "INVALID_OPTIMAL_STABLE_TO_TOTAL_DEBT_RATIO",
    "UNDERLYING_CANNOT_BE_RESCUED",
    "ADDRESSES_PROVIDER_ALREADY_ADDED",
    "POOL_ADDRESSES_DO_NOT_MATCH",
    "STABLE_BORROWING_ENABLED",
    "SILOED_BORROWING_VIOLATION",
    "RESERVE_DEBT_NOT_ZERO",
    "FLASHLOAN_DISABLED",
    "INVALID_MAX_RATE",
    "WITHDRAW_TO_ATOKEN",
    "SUPPLY_TO_ATOKEN",
    "SLOPE_2_MUST_BE_GTE_SLOPE_1",
    "CALLER_NOT_RISK_OR_POOL_OR_EMERGENCY_ADMIN",
    "LIQUIDATION_GRACE_SENTINEL_CHECK_FAILED",
    "INVALID_GRACE_PERIOD",
    "INVALID_FREEZE_STATE",
    "NOT_BORROWABLE_IN_EMODE",
    "CALLER_NOT_UMBRELLA",
    "RESERVE_NOT_IN_DEFICIT",
    "MUST_NOT_LEAVE_DUST",
];
