//! The contract bindings: every selector, event and struct the keeper knows. Reading and writing them is
//! left to the files that use them.

pub mod refusals;

use alloy::sol;

/// Aave V3, what all releases share, and what only some have.
#[allow(clippy::too_many_arguments, reason = "the contracts' events have as many words as they have")]
pub mod aave {
    use super::sol;
    sol! {
        interface PoolAddressesProvider {
            function getPool() external view returns (address);
            function getPoolConfigurator() external view returns (address);
            function getPriceOracle() external view returns (address);
            function getPoolDataProvider() external view returns (address);
            function getPriceOracleSentinel() external view returns (address);

            event PriceOracleUpdated(address indexed oldAddress, address indexed newAddress);
            event PriceOracleSentinelUpdated(address indexed oldAddress, address indexed newAddress);
            event PoolUpdated(address indexed oldAddress, address indexed newAddress);
            event PoolConfiguratorUpdated(address indexed oldAddress, address indexed newAddress);
            event ProxyCreated(bytes32 indexed id, address indexed proxyAddress, address indexed implementation);
        }

        #[derive(Debug)]
        struct ReserveData {
            uint256 configuration;
            uint128 liquidityIndex;
            uint128 currentLiquidityRate;
            uint128 variableBorrowIndex;
            uint128 currentVariableBorrowRate;
            uint128 currentStableBorrowRate;
            uint40 lastUpdateTimestamp;
            uint16 id;
            address aTokenAddress;
            address stableDebtTokenAddress;
            address variableDebtTokenAddress;
            address interestRateStrategyAddress;
            uint128 accruedToTreasury;
            uint128 unbacked;
            uint128 isolationModeTotalDebt;
        }

        #[derive(Debug)]
        struct EModeCategory {
            uint16 ltv;
            uint16 liquidationThreshold;
            uint16 liquidationBonus;
            address priceSource;
            string label;
        }

        interface Pool {
            function POOL_REVISION() external view returns (uint256);
            function FLASHLOAN_PREMIUM_TOTAL() external view returns (uint128);
            function getReservesList() external view returns (address[]);
            function getReserveData(address asset) external view returns (ReserveData);
            function getEModeCategoryData(uint8 id) external view returns (EModeCategory);
            function getEModeCategoryCollateralBitmap(uint8 id) external view returns (uint128);
            function getUserConfiguration(address user) external view returns (uint256);
            function getUserEMode(address user) external view returns (uint256);
            function getUserAccountData(address user) external view returns (
                uint256 totalCollateralBase, uint256 totalDebtBase, uint256 availableBorrowsBase,
                uint256 currentLiquidationThreshold, uint256 ltv, uint256 healthFactor);
            function getLiquidationGracePeriod(address asset) external view returns (uint40);
            function getVirtualUnderlyingBalance(address asset) external view returns (uint128);
            function liquidationCall(address collateralAsset, address debtAsset, address user,
                uint256 debtToCover, bool receiveAToken) external;

            event Borrow(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount,
                uint8 interestRateMode, uint256 borrowRate, uint16 indexed referralCode);
            event Repay(address indexed reserve, address indexed user, address indexed repayer, uint256 amount,
                bool useATokens);
            event ReserveUsedAsCollateralEnabled(address indexed reserve, address indexed user);
            event ReserveUsedAsCollateralDisabled(address indexed reserve, address indexed user);
            event UserEModeSet(address indexed user, uint8 categoryId);
            event LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed user,
                uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool receiveAToken);
            event DeficitCreated(address indexed user, address indexed debtAsset, uint256 amountCreated);
            event ReserveDataUpdated(address indexed reserve, uint256 liquidityRate, uint256 stableBorrowRate,
                uint256 variableBorrowRate, uint256 liquidityIndex, uint256 variableBorrowIndex);
            event Upgraded(address indexed implementation);
        }

        interface Token {
            function ATOKEN_REVISION() external view returns (uint256);
            function DEBT_TOKEN_REVISION() external view returns (uint256);
            function scaledBalanceOf(address user) external view returns (uint256);
            function principalBalanceOf(address user) external view returns (uint256);

            event Mint(address indexed caller, address indexed onBehalfOf, uint256 value,
                uint256 balanceIncrease, uint256 index);
            event Burn(address indexed from, address indexed target, uint256 value,
                uint256 balanceIncrease, uint256 index);
            event BalanceTransfer(address indexed from, address indexed to, uint256 value, uint256 index);
            event Initialized(address indexed underlyingAsset, address indexed pool, address treasury,
                address incentivesController, uint8 aTokenDecimals, string aTokenName, string aTokenSymbol,
                bytes params);
        }

        interface Oracle {
            function BASE_CURRENCY_UNIT() external view returns (uint256);
            function getAssetPrice(address asset) external view returns (uint256);
            function getSourceOfAsset(address asset) external view returns (address);
        }

        interface Sentinel {
            function isLiquidationAllowed() external view returns (bool);
        }

        interface Configurator {
            event ReserveInitialized(address indexed asset, address indexed aToken, address stableDebtToken,
                address variableDebtToken, address interestRateStrategyAddress);
            event ReserveDropped(address indexed asset);
            event ReserveActive(address indexed asset, bool active);
            event ReservePaused(address indexed asset, bool paused);
            event ReserveFlashLoaning(address indexed asset, bool enabled);
            event CollateralConfigurationChanged(address indexed asset, uint256 ltv, uint256 liquidationThreshold,
                uint256 liquidationBonus);
            event LiquidationProtocolFeeChanged(address indexed asset, uint256 oldFee, uint256 newFee);
            event LiquidationGracePeriodChanged(address indexed asset, uint40 gracePeriodUntil);
            event LiquidationGracePeriodDisabled(address indexed asset);
            event EModeCategoryAdded(uint8 indexed categoryId, uint256 ltv, uint256 liquidationThreshold,
                uint256 liquidationBonus, address oracle, string label);
            event AssetCollateralInEModeChanged(address indexed asset, uint8 categoryId, bool collateral);
            event EModeAssetCategoryChanged(address indexed asset, uint8 oldCategoryId, uint8 newCategoryId);
            event ATokenUpgraded(address indexed asset, address indexed proxy, address indexed implementation);
            event VariableDebtTokenUpgraded(address indexed asset, address indexed proxy,
                address indexed implementation);
            event FlashloanPremiumTotalUpdated(uint128 oldFlashloanPremiumTotal, uint128 newFlashloanPremiumTotal);
        }
    }
}

/// What prices come from: Chainlink's aggregators and their proxies, and what Aave puts before them.
pub mod feeds {
    use super::sol;
    use alloy::primitives::{B256, b256};

    /// `NewTransmission` of the aggregators that take reports: of the second kind and of the first.
    pub const NEW_TRANSMISSION: [B256; 2] = [
        b256!("0xc797025feeeaf2cd924c99e9205acb8ec04d5cad21c41ce637a38fb6dee6016a"),
        b256!("0xf6a97944f31ea060dfde0566e4167c1a1082551e64b60ecb14d599a9d023d451"),
    ];

    sol! {
        interface Aggregator {
            function aggregator() external view returns (address);
            function version() external view returns (uint256);

            event AssetSourceUpdated(address indexed asset, address indexed source);
            event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);
            event SecondaryRoundIdUpdated(uint32 indexed secondaryRoundId);
        }

        interface Adapter {
            function BASE_TO_USD_AGGREGATOR() external view returns (address);
            function RATIO_PROVIDER() external view returns (address);
            function ASSET_TO_USD_AGGREGATOR() external view returns (address);
            function getPriceCap() external view returns (int256);
            function PENDLE_PRINCIPAL_TOKEN() external view returns (address);
            function ASSET_TO_PEG() external view returns (address);
            function PEG_TO_BASE() external view returns (address);

            event CapParametersUpdated(uint256 snapshotRatio, uint256 snapshotTimestamp, uint256 maxRatioGrowthPerSecond,
                uint16 maxYearlyRatioGrowthPercent);
            event PriceCapUpdated(int256 priceCap);
        }
    }
}

pub mod erc20 {
    use super::sol;
    sol! {
        interface Erc20 {
            function balanceOf(address owner) external view returns (uint256);
            function decimals() external view returns (uint8);
            function symbol() external view returns (string);
            event Transfer(address indexed from, address indexed to, uint256 value);
        }
    }
}

/// Uniswap V3 and V2, as far as prices and pools go.
pub mod uniswap {
    use super::sol;
    sol! {
        interface Factory {
            function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address);
        }

        /// What comes first in the pool's longer answers.
        interface Pool {
            function slot0() external view returns (uint160 sqrtPriceX96, int24 tick);
            function liquidity() external view returns (uint128);
            function tickSpacing() external view returns (int24);
            function tickBitmap(int16 word) external view returns (uint256);
            function ticks(int24 tick) external view returns (uint128 gross, int128 net);
        }

        struct ExactInput {
            address tokenIn;
            address tokenOut;
            uint256 amountIn;
            uint24 fee;
            uint160 sqrtPriceLimitX96;
        }

        interface QuoterV2 {
            function quoteExactInputSingle(ExactInput params) external returns (
                uint256 amountOut, uint160 sqrtPriceX96After, uint32 ticksCrossed, uint256 gasEstimate);
        }

        interface PairFactory {
            function getPair(address tokenA, address tokenB) external view returns (address);
        }

        interface UniswapPair {
            function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 timestamp);
        }

        interface PairRouter {
            function factory() external view returns (address);
            function getAmountsOut(uint256 amountIn, address[] path) external view returns (uint256[] amounts);
        }
    }
}

pub mod multicall {
    use super::sol;
    sol! {
        struct Call3 { address target; bool allowFailure; bytes callData; }
        struct Result3 { bool success; bytes returnData; }
        interface Multicall3 {
            function aggregate3(Call3[] calls) external payable returns (Result3[] returnData);
        }
    }
}

/// Our executor, as compiled: its calls, errors, events and bytecode.
pub mod executor {
    use super::sol;
    sol!(
        #[derive(Debug)]
        Executor,
        "abi/Executor.json"
    );
}
