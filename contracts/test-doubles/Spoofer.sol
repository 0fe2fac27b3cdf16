// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

interface IVictim {
    function executeOperation(address token, uint256 amount, uint256 premium, address initiator, bytes calldata data) external returns (bool);
    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external;
}

interface IMoney {
    function transfer(address to, uint256 amount) external;
    function transferFrom(address from, address to, uint256 amount) external;
}

/// A stranger, and, once listed, a lender, factory or flash pool that keeps or breaks its word as `mode` says.
/// It lends and pays out only what it was given beforehand. A loan costs `premium`.
contract Spoofer {
    uint256 public constant HONEST = 0;
    uint256 public constant WRONG_INITIATOR = 1;
    uint256 public constant OTHER_DATA = 2;
    uint256 public constant TWICE = 3;
    /// Has the accomplice call the victim with `payload`, for instance `execute` again, before its own callback.
    uint256 public constant REENTER = 4;
    uint256 public constant NO_CALLBACK = 5;
    /// Answers a loan through the other kind's callback.
    uint256 public constant OTHER_DOOR = 6;
    /// Lets the accomplice make the callback.
    uint256 public constant OTHER_CALLER = 7;
    uint256 public constant OTHER_AMOUNT = 8;
    /// Fails with a reason of 200,000 bytes.
    uint256 public constant BOMB = 9;
    /// Lends and never collects.
    uint256 public constant FORGIVE = 10;
    /// Tries to collect one unit more than it named.
    uint256 public constant GREEDY = 11;

    uint256 public mode;
    Spoofer public accomplice;
    bytes public payload;
    /// Paid out by `liquidationCall`, in collateral units.
    uint256 public seize;
    /// Asked for a loan, whatever that is worth.
    uint256 public premium;
    address public token0;
    address public token1;

    function set(uint256 mode_, Spoofer accomplice_, bytes calldata payload_) external {
        mode = mode_;
        accomplice = accomplice_;
        payload = payload_;
    }

    function setSeize(uint256 seize_) external {
        seize = seize_;
    }

    function setPremium(uint256 premium_) external {
        premium = premium_;
    }

    function setPair(address tokenA, address tokenB) external {
        (token0, token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
    }

    /// As a stranger, or as an operator that is a contract.
    function relay(address target, bytes memory data) public {
        (bool ok, bytes memory reason) = target.call(data);
        if (!ok) {
            assembly {
                revert(add(reason, 32), mload(reason))
            }
        }
    }

    /// Both in one transaction.
    function relayTwice(address target, bytes calldata first, bytes calldata second) external {
        relay(target, first);
        relay(target, second);
    }

    function liquidationCall(address collateral, address debt, address, uint256 repay, bool) external {
        if (mode == BOMB) _bomb();
        IMoney(debt).transferFrom(msg.sender, address(this), repay);
        IMoney(collateral).transfer(msg.sender, seize);
    }

    function flashLoanSimple(address to, address token, uint256 amount, bytes calldata data, uint16) external {
        IMoney(token).transfer(to, amount);
        if (mode == OTHER_DOOR) IVictim(to).uniswapV3FlashCallback(premium, premium, data);
        else _answer(to, _loan(to, token, amount, data));
        if (mode == NO_CALLBACK || mode == FORGIVE) return;
        IMoney(token).transferFrom(to, address(this), amount + premium + (mode == GREEDY ? 1 : 0));
    }

    function flash(address to, uint256 amount0, uint256 amount1, bytes calldata data) external {
        (address token, uint256 amount) = amount0 != 0 ? (token0, amount0) : (token1, amount1);
        IMoney(token).transfer(to, amount);
        bytes memory told = mode == OTHER_DATA ? bytes.concat(data, bytes32(0)) : data;
        if (mode == OTHER_DOOR) IVictim(to).executeOperation(token, amount, premium, to, data);
        else _answer(to, abi.encodeCall(IVictim.uniswapV3FlashCallback, (premium, premium, told)));
    }

    function getPool(address, address, uint24) external view returns (address) {
        return address(this);
    }

    function _loan(address to, address token, uint256 amount, bytes memory data)
        private
        view
        returns (bytes memory)
    {
        address initiator = mode == WRONG_INITIATOR ? address(this) : to;
        if (mode == OTHER_DATA) data = bytes.concat(data, bytes32(0));
        if (mode == OTHER_AMOUNT) amount += 1;
        return abi.encodeCall(IVictim.executeOperation, (token, amount, premium, initiator, data));
    }

    function _answer(address to, bytes memory callback) private {
        if (mode == BOMB) _bomb();
        if (mode == NO_CALLBACK) return;
        if (mode == REENTER) accomplice.relay(to, payload);
        if (mode == OTHER_CALLER) return accomplice.relay(to, callback);
        relay(to, callback);
        if (mode == TWICE) relay(to, callback);
    }

    function _bomb() private pure {
        assembly {
            revert(0, 200000)
        }
    }
}
