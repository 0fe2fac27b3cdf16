// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// The on-chain half of backstop: borrow, liquidate, swap, repay, check the profit, hand it over; all or nothing.
// It decides nothing. What to do comes as a Plan from the operator; what may be touched at all is the owner's list.
// docs/executor.md defines the rules T1 to T12 that the comments below refer to.

/// The two calls made to a lending pool of the Aave V3 kind.
interface ILender {
    function liquidationCall(address collateral, address debt, address borrower, uint256 repay, bool receiveAToken) external;
    function flashLoanSimple(address receiver, address token, uint256 amount, bytes calldata data, uint16 referral) external;
}

/// Uniswap V3's first router: its structs carry a deadline.
interface IRouterV1 {
    struct In { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline; uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96; }
    struct Out { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 deadline; uint256 amountOut; uint256 amountInMaximum; uint160 sqrtPriceLimitX96; }
    function exactInputSingle(In calldata params) external payable returns (uint256);
    function exactOutputSingle(Out calldata params) external payable returns (uint256);
}

/// Uniswap's second router: the same two calls without a deadline.
interface IRouterV2 {
    struct In { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 amountIn; uint256 amountOutMinimum; uint160 sqrtPriceLimitX96; }
    struct Out { address tokenIn; address tokenOut; uint24 fee; address recipient; uint256 amountOut; uint256 amountInMaximum; uint160 sqrtPriceLimitX96; }
    function exactInputSingle(In calldata params) external payable returns (uint256);
    function exactOutputSingle(Out calldata params) external payable returns (uint256);
}

/// Uniswap V2's router. Only paths of two tokens are sent to it.
interface IRouterPairs {
    function swapExactTokensForTokens(uint256 amountIn, uint256 amountOutMin, address[] calldata path, address to, uint256 deadline) external returns (uint256[] memory);
    function swapTokensForExactTokens(uint256 amountOut, uint256 amountInMax, address[] calldata path, address to, uint256 deadline) external returns (uint256[] memory);
}

interface IFactory {
    function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address);
}

interface IFlashPool {
    function flash(address recipient, uint256 amount0, uint256 amount1, bytes calldata data) external;
}

/// A lending pool's own token of what was supplied, as aTokens are.
interface IShares {
    function UNDERLYING_ASSET_ADDRESS() external view returns (address);
}

/// Answers of `transfer` and `approve` are left out on purpose: they are judged by hand, see `_accepted`.
interface IToken {
    function balanceOf(address account) external view returns (uint256);
    function allowance(address holder, address spender) external view returns (uint256);
    function transfer(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external;
}

/// @title Liquidates with borrowed money and keeps nothing, but for a purse that its owner may fill.
/// @notice Storage is fixed, so that a dry run can put this code and its lists at any address by state override:
/// slot 0 `roles`, slot 1 `owner`, slot 2 `pendingOwner`, slot 3 `receiver`. There are no immutables: the code at every
/// deployment is the same and has one hash.
/// @dev No fallback, no receive, no delegatecall, no selfdestruct, no proxy, no call whose selector the caller chooses.
contract Executor {
    /// @param router A listed router; its role says which form of the calls it takes.
    /// @param exactOutput false: sell; true: buy what is missing to repay the loan.
    /// @param fee The pool's tier. A pair has none, its router does not read it.
    /// @param amount Sold amount of `tokenIn`; 0 means all this run holds of it and does not owe. When buying, the most that
    /// is bought of what is missing; 0 means all of that.
    /// @param limit Least `tokenOut` received when selling, most `tokenIn` spent when buying. Never 0.
    struct Swap { address router; bool exactOutput; address tokenIn; address tokenOut; uint24 fee; uint256 amount; uint256 limit; }

    /// @param repay What `liquidationCall` is told to cover, in units of `debt`; the greatest uint256 means all that is allowed.
    /// @param swaps Made in order, right after this liquidation.
    struct Leg { address lender; address collateral; address debt; address borrower; uint256 repay; Swap[] swaps; }

    /// @param funding 0: `flashLoanSimple` of the lender `source`. 1: `flash` of the pool that the factory `source` knows
    /// for (flash token, `pairToken`, `pairFee`). 2: no loan. The one leg, without swaps, is paid from the purse of its debt and takes the
    /// lender's own token of the collateral, which is `profitToken`: for reserves that have nothing left to pay out.
    /// @param amount What is borrowed of the flash token, or taken from the purse at most: of the debt token of every leg.
    /// @param minProfit Least gain of `profitToken`, else the whole run is undone.
    /// @param deadline Last block number in which the plan may run.
    struct Plan { uint8 funding; address source; uint256 amount; address pairToken; uint24 pairFee; address profitToken; uint256 minProfit; uint256 deadline; Leg[] legs; }

    event Executed(address indexed operator, address indexed profitToken, uint256 profit);
    event Liquidated(address indexed borrower, address indexed collateral, address indexed debt, uint256 repaid, uint256 seized);
    /// The plan at this place of `executeMany` was undone; the others went on.
    event Failed(uint256 indexed place, bytes reason);
    event RolesSet(address indexed target, uint256 bits);
    event OwnershipTransferStarted(address indexed owner, address indexed pendingOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed owner);
    event Salvaged(address indexed token, uint256 amount);

    /// `account` lacks the role `bit` (76: any router; 160: any token).
    error NotListed(address account, uint256 bit);
    error NotOwner(address account);
    error NotPendingOwner(address account);
    error ZeroAddress();
    /// The address may not carry these bits: unknown bit, two bits, the receiver, or this contract.
    error BadRole(address account, uint256 bits);
    error LengthsDiffer(uint256 one, uint256 other);
    /// A purse pays for one call without swaps.
    error NotOneCall(uint256 legs);
    /// What a purse is to buy is not the lender's token of the collateral.
    error NotShares(address token, address collateral);
    error Reentered();
    error Expired(uint256 blockNumber, uint256 deadline);
    error NoLegs();
    error DebtDiffers(address debt, address flashToken);
    error UnknownFunding(uint8 funding);
    error NoPool(address tokenA, address tokenB, uint24 fee);
    /// Not the caller, not the callback, or not the moment this run waits for.
    error CallbackRefused(address caller);
    error InitiatorRefused(address initiator);
    error CallbackDataRefused();
    error CallbackMissing();
    /// The run would use a token whose balance was not taken before it began.
    error NotTouched(address token);
    error NoLimit();
    error WrongTokenOut(address tokenOut, address flashToken);
    error NotHeld(address token, uint256 wanted, uint256 held);
    error BelowLimit(address token, uint256 received, uint256 limit);
    error CannotRepay(uint256 held, uint256 owed);
    error BelowMinimumProfit(uint256 profit, uint256 minimum);
    /// The run would end with less of a token than was here before it.
    error DonationSpent(address token, uint256 before, uint256 left);
    error AllowanceLeft(address token, address spender);
    error TokenRefused(address token);
    error NoCode(address target);
    error BadAnswer(address target);
    /// A call failed and gave no reason.
    error CallFailed(address target);

    uint256 private constant OPERATOR = 1;
    uint256 private constant LENDER = 2;
    uint256 private constant ROUTER_V1 = 4;
    uint256 private constant ROUTER_V2 = 8;
    uint256 private constant FACTORY = 16;
    uint256 private constant TOKEN = 32;
    uint256 private constant ROUTER_PAIRS = 64;
    /// A token of which the owner has put some in, to be spent by plans that are paid from the purse, and by nothing else.
    uint256 private constant PURSE = 128;
    uint256 private constant ALL_ROLES = 255;
    uint256 private constant ANY_TOKEN = TOKEN | PURSE;
    uint256 private constant ANY_ROUTER = ROUTER_V1 | ROUTER_V2 | ROUTER_PAIRS;

    uint8 private constant FUNDING_LENDER = 0;
    uint8 private constant FUNDING_POOL = 1;
    uint8 private constant FUNDING_PURSE = 2;

    /// What rebasing tokens lose by rounding: at most this much may be missing of a balance found before the run, or stay
    /// behind after it.
    uint256 private constant DUST = 2;
    /// How much of a failed call's answer is handed on, in bytes. Long reasons are cut, so that an answer costs little (T11).
    uint256 private constant MOST_REASON = 1024;
    /// Balance marks live in transient storage at this plus the token, away from the variables below.
    uint256 private constant MARKS = 1 << 160;

    /// @notice Who may do what, or be called for what: one bit each (T8). OPERATOR 1, LENDER 2, ROUTER_V1 4, ROUTER_V2 8, FACTORY 16, TOKEN 32,
    /// ROUTER_PAIRS 64, PURSE 128.
    mapping(address account => uint256 bits) public roles;
    /// @notice Keeps the lists. Meant to be a cold key (T12).
    address public owner;
    address public pendingOwner;
    /// @notice Where every gain and every salvage goes. Set once, here, and never again (T9).
    address public receiver;

    /// In a run, or in a salvage (T11).
    bool private transient _busy;
    /// In `executeMany`: this contract may call its own `execute`.
    bool private transient _many;
    /// The one address whose callback is awaited; zero when none is (T3).
    address private transient _expectedCaller;
    /// keccak256 of what that callback must hand back (T3).
    bytes32 private transient _expectedData;

    /// @param targets With `bits`, the first list: as in `setRoles`.
    constructor(address owner_, address operator_, address receiver_, address[] memory targets, uint256[] memory bits) {
        if (owner_ == address(0) || operator_ == address(0) || receiver_ == address(0)) revert ZeroAddress();
        receiver = receiver_;
        owner = owner_;
        emit OwnershipTransferred(address(0), owner_);
        _setRoles(targets, bits);
        _setRole(operator_, OPERATOR);
    }

    // ---------------------------------------------------------------- the run

    /// @notice Carries the plan out whole, or not at all.
    /// @dev Only an operator (T2), once at a time (T11), not after the deadline (T6). A copy of this call sent by anybody
    /// else is refused; moved to a worse moment it fails the profit check (T7).
    /// @return profit Gain of `profitToken`, in its units; what was here before the run is not counted.
    function execute(Plan calldata plan) external returns (uint256 profit) {
        if (msg.sender != address(this) || !_many) _need(msg.sender, OPERATOR);
        _enter();
        if (block.number > plan.deadline) revert Expired(block.number, plan.deadline);
        if (plan.legs.length == 0) revert NoLegs();

        address[] memory tokens = _touch(plan);
        if (plan.funding == FUNDING_PURSE) _spend(plan);
        else _borrow(plan, plan.legs[0].debt);

        address to = receiver;
        profit = _sweep(tokens[0], to);
        if (profit < plan.minProfit) revert BelowMinimumProfit(profit, plan.minProfit);
        for (uint256 i = 1; i < tokens.length; ++i) _sweep(tokens[i], to);

        _busy = false;
        emit Executed(msg.sender, plan.profitToken, profit);
    }

    /// @notice Carries out several plans in one transaction, each whole or not at all: one that is refused is undone alone,
    /// leaves a `Failed` event, and the others go on.
    /// @dev Every plan passes the checks of `execute`, its own least profit among them; only an operator may start it (T2).
    /// This contract calls itself for each plan and nothing else: what a plan moves is undone with its own call (T9).
    /// @param most Gas that each plan may use. Without it, one that burns all it gets would leave the others a 64th (T11).
    /// @param profitToken Gains of plans that count in another token are sent on, but not added up.
    /// @param minProfit Least gain over all (T6).
    /// @return profit Gain of `profitToken` over all plans.
    /// @return done Bit `i` is set when the plan at place `i` was carried out.
    function executeMany(Plan[] calldata plans, uint256[] calldata most, address profitToken, uint256 minProfit)
        external
        returns (uint256 profit, uint256 done)
    {
        _need(msg.sender, OPERATOR);
        if (_many || _busy) revert Reentered();
        if (plans.length == 0 || plans.length > 256) revert NoLegs();
        if (plans.length != most.length) revert LengthsDiffer(plans.length, most.length);
        _many = true;
        for (uint256 i = 0; i < plans.length; ++i) {
            (bool ok, uint256 gain, bytes memory reason) = _attempt(most[i], abi.encodeCall(this.execute, (plans[i])));
            if (!ok) {
                emit Failed(i, reason);
                continue;
            }
            done |= 1 << i;
            if (plans[i].profitToken == profitToken) profit += gain;
        }
        _many = false;
        if (profit < minProfit) revert BelowMinimumProfit(profit, minProfit);
    }

    /// Calls this contract's own `execute`. A refusal is answered with its reason, cut like any other (T11).
    function _attempt(uint256 most, bytes memory order) private returns (bool ok, uint256 gain, bytes memory reason) {
        assembly ("memory-safe") {
            ok := call(most, address(), 0, add(order, 32), mload(order), 0, 32)
            gain := mload(0)
            if iszero(ok) {
                let size := returndatasize()
                if gt(size, MOST_REASON) { size := MOST_REASON }
                reason := mload(0x40)
                mstore(reason, size)
                returndatacopy(add(reason, 32), 0, size)
                mstore(0x40, and(add(add(reason, 63), size), not(31)))
            }
        }
    }

    /// @notice Callback of `flashLoanSimple`. Works only for the lender this run has just called (T3).
    /// @dev Leaves an approval of exactly what is owed: the lender collects it when this returns; `_borrow` closes it.
    function executeOperation(address token, uint256 amount, uint256 premium, address initiator, bytes calldata data)
        external
        returns (bool)
    {
        Plan calldata plan = _authenticate(data, FUNDING_LENDER);
        if (initiator != address(this)) revert InitiatorRefused(initiator);
        if (token != plan.legs[0].debt || amount != plan.amount) revert CallbackDataRefused();

        uint256 owed = amount + premium;
        _work(plan, token, owed);
        _approve(token, msg.sender, owed);
        return true;
    }

    /// @notice Callback of a Uniswap V3 pool's `flash`. Works only for the pool this run has just called (T3).
    /// @dev The pool does not collect: what is owed is sent to it.
    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external {
        Plan calldata plan = _authenticate(data, FUNDING_POOL);
        address token = plan.legs[0].debt;

        uint256 owed = plan.amount + (token < plan.pairToken ? fee0 : fee1);
        _work(plan, token, owed);
        _send(token, msg.sender, owed);
    }

    /// Takes the balance of every token the plan names before anything moves: what was here is nobody's profit and is not
    /// spent (T1). All tokens must be listed (T8). The profit token comes first in the answer; no token comes twice.
    function _touch(Plan calldata plan) private returns (address[] memory tokens) {
        uint256 most = 2;
        for (uint256 i = 0; i < plan.legs.length; ++i) most += 1 + 2 * plan.legs[i].swaps.length;
        tokens = new address[](most);

        address flashToken = plan.legs[0].debt;
        uint256 count = _mark(tokens, 0, plan.profitToken);
        count = _mark(tokens, count, flashToken);
        for (uint256 i = 0; i < plan.legs.length; ++i) {
            Leg calldata leg = plan.legs[i];
            if (leg.debt != flashToken) revert DebtDiffers(leg.debt, flashToken);
            count = _mark(tokens, count, leg.collateral);
            for (uint256 j = 0; j < leg.swaps.length; ++j) {
                count = _mark(tokens, count, leg.swaps[j].tokenIn);
                count = _mark(tokens, count, leg.swaps[j].tokenOut);
            }
        }
        assembly ("memory-safe") {
            mstore(tokens, count) // shrink to what was filled
        }
    }

    /// A mark is the balance plus one: zero says "not touched".
    function _mark(address[] memory tokens, uint256 count, address token) private returns (uint256) {
        uint256 slot = MARKS + uint160(token);
        uint256 mark;
        assembly ("memory-safe") {
            mark := tload(slot)
        }
        if (mark != 0) return count;
        _need(token, ANY_TOKEN);
        mark = _balance(token) + 1;
        assembly ("memory-safe") {
            tstore(slot, mark)
        }
        tokens[count] = token;
        return count + 1;
    }

    /// Borrows, with the callback announced first (T3). The plan travels as the very bytes that came in: the callback
    /// reads it in place, and every address in it is checked again where it is used.
    function _borrow(Plan calldata plan, address flashToken) private {
        address source = plan.source;
        bytes calldata data = msg.data[4:];
        _expectedData = keccak256(data);

        if (plan.funding == FUNDING_LENDER) {
            _need(source, LENDER);
            _expectedCaller = source;
            _call(source, abi.encodeCall(ILender.flashLoanSimple, (address(this), flashToken, plan.amount, data, 0)));
            _close(flashToken, source);
        } else if (plan.funding == FUNDING_POOL) {
            address pool = _findPool(plan, flashToken);
            _expectedCaller = pool;
            (uint256 amount0, uint256 amount1) = flashToken < plan.pairToken ? (plan.amount, uint256(0)) : (uint256(0), plan.amount);
            _call(pool, abi.encodeCall(IFlashPool.flash, (address(this), amount0, amount1, data)));
        } else {
            revert UnknownFunding(plan.funding);
        }
        if (_expectedCaller != address(0)) revert CallbackMissing();
    }

    /// Pays one call from the purse, of which `amount` counts as this run's own meanwhile (T1). It takes the lender's own token of the
    /// collateral and nothing else, so that no operator can turn the purse into what the owner has not listed (T12).
    function _spend(Plan calldata plan) private {
        Leg calldata leg = plan.legs[0];
        if (plan.legs.length != 1 || leg.swaps.length != 0) revert NotOneCall(plan.legs.length);
        if (plan.minProfit == 0) revert NoLimit();
        address debt = leg.debt;
        address shares = plan.profitToken;
        _need(debt, PURSE);
        if (shares == debt || shares == leg.collateral || _read(shares, abi.encodeCall(IShares.UNDERLYING_ASSET_ADDRESS, ())) != uint160(leg.collateral)) {
            revert NotShares(shares, leg.collateral);
        }
        uint256 before = _balance(debt);
        if (plan.amount > before) revert NotHeld(debt, plan.amount, before);
        _remark(debt, before - plan.amount);
        _liquidate(leg, debt, shares);
        uint256 left = _balance(debt);
        if (left < before - plan.amount) revert DonationSpent(debt, before - plan.amount, left);
        _remark(debt, left);
    }

    /// From here on so much of a touched token was here before.
    function _remark(address token, uint256 before) private {
        uint256 slot = MARKS + uint160(token);
        assembly ("memory-safe") {
            tstore(slot, add(before, 1))
        }
    }

    /// The listed factory says which pool is real; nothing is computed from what the caller sent (T3, T8).
    function _findPool(Plan calldata plan, address flashToken) private view returns (address pool) {
        _need(plan.source, FACTORY);
        _need(plan.pairToken, ANY_TOKEN);
        pool = address(uint160(_read(plan.source, abi.encodeCall(IFactory.getPool, (flashToken, plan.pairToken, plan.pairFee)))));
        if (pool == address(0)) revert NoPool(flashToken, plan.pairToken, plan.pairFee);
    }

    /// In a run, from the stored caller, with the stored data, through the right door, and once: cleared on entry (T3).
    function _authenticate(bytes calldata data, uint8 funding) private returns (Plan calldata plan) {
        address expected = _expectedCaller;
        if (expected == address(0) || msg.sender != expected) revert CallbackRefused(msg.sender);
        _expectedCaller = address(0);
        if (keccak256(data) != _expectedData) revert CallbackDataRefused();
        _expectedData = bytes32(0);
        // `data` is the argument block of `execute`: one word that says where the plan begins, then the plan.
        assembly ("memory-safe") {
            plan := add(data.offset, calldataload(data.offset))
        }
        if (plan.funding != funding) revert CallbackRefused(msg.sender);
    }

    /// The borrowed money is here. Afterwards this run itself holds what it owes: balances found before it do not help (T1).
    function _work(Plan calldata plan, address flashToken, uint256 owed) private {
        for (uint256 i = 0; i < plan.legs.length; ++i) {
            Leg calldata leg = plan.legs[i];
            _liquidate(leg, flashToken, leg.collateral);
            for (uint256 j = 0; j < leg.swaps.length; ++j) _swap(leg.swaps[j], flashToken, owed);
        }
        uint256 held = _held(flashToken);
        if (held < owed) revert CannotRepay(held, owed);
    }

    /// One `liquidationCall` through the typed path (T4), under an exact approval that is closed again (T5). What was
    /// repaid and seized is read from balances (T1); where collateral and debt are one token the two cannot be told apart
    /// by balance, and the repaid part is what was used of the approval. `taken` is the collateral, or the lender's own token of it.
    function _liquidate(Leg calldata leg, address debt, address taken) private {
        address lender = leg.lender;
        address collateral = leg.collateral;
        _need(lender, LENDER);

        uint256 debtBefore = _held(debt);
        uint256 takenBefore = taken == debt ? debtBefore : _held(taken);
        uint256 approved = _min(leg.repay, debtBefore);
        _approve(debt, lender, approved);
        _call(lender, abi.encodeCall(ILender.liquidationCall, (collateral, debt, leg.borrower, leg.repay, taken != collateral)));
        uint256 unused = _close(debt, lender);

        uint256 debtAfter = _held(debt);
        uint256 repaid;
        uint256 seized;
        if (taken == debt) {
            repaid = _minus(approved, unused);
            seized = _minus(debtAfter + repaid, takenBefore);
        } else {
            repaid = _minus(debtBefore, debtAfter);
            seized = _minus(_held(taken), takenBefore);
        }
        emit Liquidated(leg.borrower, collateral, debt, repaid, seized);
    }

    /// One trade with a listed router (T4, T8), bounded by the plan's limit (T6) as the balances show it (T1), under an
    /// exact approval that is closed again (T5). Skipped when there is nothing to buy, or nothing left to sell.
    function _swap(Swap calldata swap, address flashToken, uint256 owed) private {
        address tokenIn = swap.tokenIn;
        address tokenOut = swap.tokenOut;
        uint256 limit = swap.limit;
        if (limit == 0) revert NoLimit();
        uint256 heldIn = _held(tokenIn);
        uint256 heldOut = _held(tokenOut);

        if (swap.exactOutput) {
            if (tokenOut != flashToken) revert WrongTokenOut(tokenOut, flashToken);
            if (heldOut >= owed) return;
            uint256 missing = owed - heldOut;
            uint256 most = _min(limit, heldIn);
            _trade(swap, most, _buy(swap, swap.amount == 0 ? missing : _min(swap.amount, missing), most));
        } else {
            uint256 amount = swap.amount;
            if (amount == 0) {
                amount = tokenIn == flashToken ? _minus(heldIn, owed) : heldIn;
                if (amount == 0) return;
            } else if (amount > heldIn) {
                revert NotHeld(tokenIn, amount, heldIn);
            }
            _trade(swap, amount, _sell(swap, amount));
            uint256 received = _minus(_held(tokenOut), heldOut);
            if (received < limit) revert BelowLimit(tokenOut, received, limit);
        }
    }

    function _trade(Swap calldata swap, uint256 approved, bytes memory order) private {
        _approve(swap.tokenIn, swap.router, approved);
        _call(swap.router, order);
        _close(swap.tokenIn, swap.router);
    }

    function _sell(Swap calldata swap, uint256 amount) private view returns (bytes memory) {
        uint256 kind = _routerKind(swap.router);
        if (kind == ROUTER_PAIRS) {
            return abi.encodeCall(
                IRouterPairs.swapExactTokensForTokens, (amount, swap.limit, _path(swap), address(this), block.timestamp)
            );
        }
        if (kind == ROUTER_V1) {
            return abi.encodeCall(
                IRouterV1.exactInputSingle,
                (IRouterV1.In(swap.tokenIn, swap.tokenOut, swap.fee, address(this), block.timestamp, amount, swap.limit, 0))
            );
        }
        return abi.encodeCall(
            IRouterV2.exactInputSingle, (IRouterV2.In(swap.tokenIn, swap.tokenOut, swap.fee, address(this), amount, swap.limit, 0))
        );
    }

    function _buy(Swap calldata swap, uint256 amount, uint256 most) private view returns (bytes memory) {
        uint256 kind = _routerKind(swap.router);
        if (kind == ROUTER_PAIRS) {
            return abi.encodeCall(
                IRouterPairs.swapTokensForExactTokens, (amount, most, _path(swap), address(this), block.timestamp)
            );
        }
        if (kind == ROUTER_V1) {
            return abi.encodeCall(
                IRouterV1.exactOutputSingle,
                (IRouterV1.Out(swap.tokenIn, swap.tokenOut, swap.fee, address(this), block.timestamp, amount, most, 0))
            );
        }
        return abi.encodeCall(
            IRouterV2.exactOutputSingle, (IRouterV2.Out(swap.tokenIn, swap.tokenOut, swap.fee, address(this), amount, most, 0))
        );
    }

    function _path(Swap calldata swap) private pure returns (address[] memory path) {
        path = new address[](2);
        (path[0], path[1]) = (swap.tokenIn, swap.tokenOut);
    }

    function _routerKind(address router) private view returns (uint256 kind) {
        kind = roles[router] & ANY_ROUTER;
        if (kind == 0) revert NotListed(router, ANY_ROUTER);
    }

    /// Sends the whole balance on (T9), old and new, and forgets the mark; of a purse only what is new. Answers what the run gained. A
    /// run that ate into what was here before is undone: a donation must not save it (T1). So is one whose token says it
    /// sent the money and kept it.
    function _sweep(address token, address to) private returns (uint256 gain) {
        uint256 slot = MARKS + uint160(token);
        uint256 before;
        assembly ("memory-safe") {
            before := sub(tload(slot), 1)
            tstore(slot, 0)
        }
        uint256 balance = _balance(token);
        if (before > balance && before - balance > DUST) revert DonationSpent(token, before, balance);
        gain = _minus(balance, before);
        uint256 stays = roles[token] == PURSE ? balance - gain : 0;
        if (balance != stays) {
            _send(token, to, balance - stays);
            if (_minus(_balance(token), stays) > DUST) revert TokenRefused(token);
        }
    }

    /// What this run itself holds of a token it touched.
    function _held(address token) private view returns (uint256) {
        uint256 slot = MARKS + uint160(token);
        uint256 mark;
        assembly ("memory-safe") {
            mark := tload(slot)
        }
        if (mark == 0) revert NotTouched(token);
        return _minus(_balance(token), mark - 1);
    }

    // ---------------------------------------------------------------- the owner

    /// @notice Sets the role of each target; 0 takes it off the list. Only the owner (T2, T12).
    /// @dev One address, one role: a token is never also somebody to call with a typed order (T4). The receiver and this
    /// contract carry none, so an operator can never be the receiver.
    function setRoles(address[] calldata targets, uint256[] calldata bits) external {
        _onlyOwner();
        _setRoles(targets, bits);
    }

    /// @notice Offers the ownership; it passes when the other side accepts. Zero withdraws an offer.
    function transferOwnership(address newOwner) external {
        _onlyOwner();
        pendingOwner = newOwner;
        emit OwnershipTransferStarted(owner, newOwner);
    }

    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner(msg.sender);
        emit OwnershipTransferred(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }

    /// @notice Sends the whole balance of any token, listed or not, to the receiver; address(0) is the native coin (T10).
    /// @dev The event says what left, whatever the token says of it (T1).
    function salvage(address token) external {
        _onlyOwner();
        _enter();
        uint256 amount;
        if (token == address(0)) {
            amount = address(this).balance;
            address to = receiver;
            bool ok;
            assembly ("memory-safe") {
                ok := call(gas(), to, amount, 0, 0, 0, 0)
            }
            if (!ok) _fail(to);
        } else {
            uint256 before = _balance(token);
            _send(token, receiver, before);
            amount = _minus(before, _balance(token));
        }
        _busy = false;
        emit Salvaged(token, amount);
    }

    function _setRoles(address[] memory targets, uint256[] memory bits) private {
        if (targets.length != bits.length) revert LengthsDiffer(targets.length, bits.length);
        for (uint256 i = 0; i < targets.length; ++i) _setRole(targets[i], bits[i]);
    }

    function _setRole(address target, uint256 bits) private {
        if (target == address(0)) revert ZeroAddress();
        if (bits != 0) {
            bool single = bits & (bits - 1) == 0;
            if (bits > ALL_ROLES || !single || target == receiver || target == address(this)) revert BadRole(target, bits);
        }
        roles[target] = bits;
        emit RolesSet(target, bits);
    }

    function _onlyOwner() private view {
        if (msg.sender != owner) revert NotOwner(msg.sender);
    }

    function _need(address account, uint256 bit) private view {
        if (roles[account] & bit == 0) revert NotListed(account, bit);
    }

    function _enter() private {
        if (_busy) revert Reentered();
        _busy = true;
    }

    // ---------------------------------------------------------------- tokens and calls

    function _send(address token, address to, uint256 amount) private {
        _order(token, abi.encodeCall(IToken.transfer, (to, amount)));
    }

    /// Sets the allowance to `amount`, through zero where a token insists on that.
    function _approve(address token, address spender, uint256 amount) private {
        (bool ok, uint256 word, uint256 size) = _attempt(token, abi.encodeCall(IToken.approve, (spender, amount)));
        if (ok && _accepted(token, word, size)) return;
        _order(token, abi.encodeCall(IToken.approve, (spender, 0)));
        _order(token, abi.encodeCall(IToken.approve, (spender, amount)));
    }

    /// After this the spender may take nothing (T5). Answers what it could still have taken.
    function _close(address token, address spender) private returns (uint256 unused) {
        unused = _allowance(token, spender);
        if (unused == 0) return 0;
        _order(token, abi.encodeCall(IToken.approve, (spender, 0)));
        if (_allowance(token, spender) != 0) revert AllowanceLeft(token, spender);
    }

    function _allowance(address token, address spender) private view returns (uint256) {
        return _read(token, abi.encodeCall(IToken.allowance, (address(this), spender)));
    }

    function _balance(address token) private view returns (uint256) {
        return _read(token, abi.encodeCall(IToken.balanceOf, (address(this))));
    }

    /// A token call that must have been accepted.
    function _order(address token, bytes memory data) private {
        (uint256 word, uint256 size) = _call(token, data);
        if (!_accepted(token, word, size)) revert TokenRefused(token);
    }

    /// Nothing (a contract that answers nothing) or the word 1 is yes; all else is no (T1).
    function _accepted(address token, uint256 word, uint256 size) private view returns (bool) {
        return size == 0 ? token.code.length != 0 : size >= 32 && word == 1;
    }

    /// A call that must succeed on an address that has code. A failure is handed on.
    function _call(address target, bytes memory data) private returns (uint256 word, uint256 size) {
        bool ok;
        (ok, word, size) = _attempt(target, data);
        if (!ok) _fail(target);
        if (size == 0 && target.code.length == 0) revert NoCode(target);
    }

    /// Takes one word of the answer, however long it is (T11).
    function _attempt(address target, bytes memory data) private returns (bool ok, uint256 word, uint256 size) {
        assembly ("memory-safe") {
            ok := call(gas(), target, 0, add(data, 32), mload(data), 0, 32)
            size := returndatasize()
            word := mload(0)
        }
    }

    function _read(address target, bytes memory data) private view returns (uint256 word) {
        bool ok;
        uint256 size;
        assembly ("memory-safe") {
            ok := staticcall(gas(), target, add(data, 32), mload(data), 0, 32)
            size := returndatasize()
            word := mload(0)
        }
        if (!ok) _fail(target);
        if (size < 32) revert BadAnswer(target);
    }

    /// Hands on the reason of the call that has just failed, at most `MOST_REASON` bytes of it (T11).
    function _fail(address target) private pure {
        uint256 size;
        assembly ("memory-safe") {
            size := returndatasize()
        }
        if (size == 0) revert CallFailed(target);
        size = _min(size, MOST_REASON);
        assembly ("memory-safe") {
            let at := mload(0x40)
            returndatacopy(at, 0, size)
            revert(at, size)
        }
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }

    /// a - b, and zero where that would be less than nothing.
    function _minus(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }
}
