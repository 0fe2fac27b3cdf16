//! The functions of the deployed contracts that the bed itself calls, and no more. The keeper has its own bindings:
//! the bed must be able to disagree with it.

#![allow(clippy::too_many_arguments, reason = "the contracts chose them")]

use alloy::sol;

sol! {
    interface Erc20 {
        function approve(address spender, uint256 amount) external returns (bool);
        function transfer(address to, uint256 amount) external returns (bool);
        function balanceOf(address owner) external view returns (uint256);
        function mint(address to, uint256 amount) external returns (bool);
        function deposit() external payable;
    }

    interface AddressesProvider {
        function setACLAdmin(address admin) external;
        function setACLManager(address manager) external;
        function setPoolImpl(address implementation) external;
        function setPoolConfiguratorImpl(address implementation) external;
        function setPriceOracle(address oracle) external;
        function setPoolDataProvider(address provider) external;
        function getPool() external view returns (address);
        function getPoolConfigurator() external view returns (address);
        function getPriceOracle() external view returns (address);
    }

    interface AclManager {
        function addPoolAdmin(address admin) external;
        function addEmergencyAdmin(address admin) external;
    }

    interface Oracle {
        function getAssetPrice(address asset) external view returns (uint256);
    }

    interface DataProvider {
        function getReserveTokensAddresses(address asset)
            external view returns (address aToken, address stableDebt, address variableDebt);
        function getUserReserveData(address asset, address user) external view returns (
            uint256 aTokenBalance, uint256 stableDebt, uint256 variableDebt, uint256 principalStableDebt,
            uint256 scaledVariableDebt, uint256 stableBorrowRate, uint256 liquidityRate,
            uint40 stableRateLastUpdated, bool usedAsCollateral);
    }

    interface Pool {
        function POOL_REVISION() external view returns (uint256);
        function initialize(address provider) external;
        function supply(address asset, uint256 amount, address onBehalfOf, uint16 referral) external;
        function withdraw(address asset, uint256 amount, address to) external returns (uint256);
        function borrow(address asset, uint256 amount, uint256 rateMode, uint16 referral, address onBehalfOf) external;
        function repay(address asset, uint256 amount, uint256 rateMode, address onBehalfOf) external returns (uint256);
        function setUserUseReserveAsCollateral(address asset, bool use) external;
        function setUserEMode(uint8 category) external;
        function liquidationCall(address collateral, address debt, address user, uint256 debtToCover, bool aToken) external;

        #[derive(Debug, PartialEq, Eq)]
        function getUserAccountData(address user) external view returns (
            uint256 totalCollateralBase, uint256 totalDebtBase, uint256 availableBorrowsBase,
            uint256 currentLiquidationThreshold, uint256 ltv, uint256 healthFactor);
    }

    /// What both versions of the configurator have alike.
    interface Configurator {
        function configureReserveAsCollateral(address asset, uint256 ltv, uint256 threshold, uint256 bonus) external;
        function setReserveBorrowing(address asset, bool enabled) external;
        function setReserveFlashLoaning(address asset, bool enabled) external;
        function setReserveFactor(address asset, uint256 factor) external;
        function setLiquidationProtocolFee(address asset, uint256 fee) external;
    }

    interface FluxAggregator {
        function changeOracles(
            address[] calldata removed, address[] calldata added, address[] calldata admins,
            uint32 minSubmissions, uint32 maxSubmissions, uint32 restartDelay) external;
        function submit(uint256 round, int256 answer) external;
        function latestRound() external view returns (uint256);
        function latestAnswer() external view returns (int256);
    }

    interface UniswapFactory {
        function enableFeeAmount(uint24 fee, int24 tickSpacing) external;
        function getPool(address a, address b, uint24 fee) external view returns (address);
    }

    interface UniswapPool {
        function slot0() external view returns (
            uint160 sqrtPriceX96, int24 tick, uint16 observationIndex, uint16 observationCardinality,
            uint16 observationCardinalityNext, uint8 feeProtocol, bool unlocked);
    }

    struct MintParams {
        address token0; address token1; uint24 fee; int24 tickLower; int24 tickUpper;
        uint256 amount0Desired; uint256 amount1Desired; uint256 amount0Min; uint256 amount1Min;
        address recipient; uint256 deadline;
    }

    interface PositionManager {
        function createAndInitializePoolIfNecessary(address token0, address token1, uint24 fee, uint160 sqrtPriceX96)
            external payable returns (address pool);
        function mint(MintParams calldata params) external payable
            returns (uint256 id, uint128 liquidity, uint256 amount0, uint256 amount1);
    }

    struct SwapParams {
        address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline;
        uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96;
    }

    interface SwapRouter {
        function exactInputSingle(SwapParams calldata params) external payable returns (uint256 amountOut);
    }

    interface V2Factory {
        function createPair(address a, address b) external returns (address pair);
        function getPair(address a, address b) external view returns (address pair);
    }

    interface V2Pair {
        function mint(address to) external returns (uint256 liquidity);
    }
}

/// The configurator of V3.0, where it differs.
pub mod v30 {
    alloy::sol! {
        struct InitReserve {
            address aTokenImpl; address stableDebtTokenImpl; address variableDebtTokenImpl; uint8 underlyingAssetDecimals;
            address interestRateStrategyAddress; address underlyingAsset; address treasury; address incentivesController;
            string aTokenName; string aTokenSymbol; string variableDebtTokenName; string variableDebtTokenSymbol;
            string stableDebtTokenName; string stableDebtTokenSymbol; bytes params;
        }

        interface Configurator {
            function initReserves(InitReserve[] calldata input) external;
            function setEModeCategory(
                uint8 category, uint16 ltv, uint16 threshold, uint16 bonus, address oracle, string calldata label) external;
            function setAssetEModeCategory(address asset, uint8 category) external;
            function updateFlashloanPremiumTotal(uint128 premium) external;
        }
    }
}

/// The configurator of V3.6, where it differs.
pub mod v36 {
    alloy::sol! {
        struct InitReserve {
            address aTokenImpl; address variableDebtTokenImpl; address underlyingAsset;
            string aTokenName; string aTokenSymbol; string variableDebtTokenName; string variableDebtTokenSymbol;
            bytes params; bytes interestRateData;
        }

        /// Basis points.
        struct RateData { uint16 optimal; uint32 base; uint32 slope1; uint32 slope2; }

        interface Configurator {
            function initReserves(InitReserve[] calldata input) external;
            function setEModeCategory(
                uint8 category, uint16 ltv, uint16 threshold, uint16 bonus, string calldata label) external;
            function setAssetCollateralInEMode(address asset, uint8 category, bool collateral) external;
            function setAssetBorrowableInEMode(address asset, uint8 category, bool borrowable) external;
            function updateFlashloanPremium(uint128 premium) external;
        }
    }
}
