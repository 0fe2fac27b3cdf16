// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Stands in a place that a market or a token calls: a price feed, an oracle, an interest model, an observer of
/// transfers, a router. It meddles as `mode` says, and then hands the call on to `behind`, the one whose place it took;
/// without one it answers nothing. It takes any call, also where nothing may be changed.
contract Meddler {
    struct Order { address target; bytes data; }

    uint256 public constant HONEST = 0;
    /// Fails with a word.
    uint256 public constant FAIL = 1;
    /// Fails with a reason of 200,000 bytes.
    uint256 public constant BOMB = 2;
    /// Burns all gas.
    uint256 public constant BURN = 3;
    /// Answers each word times `lie` basis points.
    uint256 public constant LIE = 4;
    /// Gives its orders, whatever comes of each, before the call goes on.
    uint256 public constant INTRUDE = 5;

    /// For an order: what may not be done where nothing may be changed burns all of it.
    uint256 private constant ENOUGH = 500000;

    uint256 private mode;
    uint256 private lie;
    /// Meddles only with calls whose first argument is this; zero: with all.
    address private about;
    /// Meddles only where gas has a price: in a block, and not in most simulations.
    bool private hides;
    address private behind;
    Order[] private _orders;
    /// Its own calls may lead back to it.
    bool private transient _busy;

    function stand(address behind_) external {
        behind = behind_;
    }

    function meddle(uint256 mode_, uint256 lie_, address about_, bool hides_) external {
        (mode, lie, about, hides) = (mode_, lie_, about_, hides_);
    }

    function order(address target, bytes calldata data) external {
        _orders.push(Order(target, data));
    }

    function forget() external {
        delete _orders;
    }

    /// As a person of its own: an operator, an owner, somebody.
    function relay(address target, bytes calldata data) external {
        (bool ok, bytes memory reason) = target.call(data);
        if (!ok) {
            assembly {
                revert(add(reason, 32), mload(reason))
            }
        }
    }

    function set(bool busy) external {
        require(msg.sender == address(this));
        _busy = busy;
    }

    receive() external payable {
        _meddle("");
    }

    fallback(bytes calldata data) external payable returns (bytes memory) {
        return _meddle(data);
    }

    function _meddle(bytes memory data) private returns (bytes memory answer) {
        uint256 now_ = _meddles(data) ? mode : HONEST;
        require(now_ != FAIL, "meddled");
        if (now_ == BOMB) {
            assembly {
                revert(0, 200000)
            }
        }
        if (now_ == BURN) {
            assembly {
                invalid()
            }
        }
        if (now_ == INTRUDE && !_busy) {
            // Where nothing may be changed this fails, and there it is not needed: nothing leads back here.
            _attempt(address(this), abi.encodeCall(this.set, (true)), 5000);
            for (uint256 i = 0; i < _orders.length; ++i) _attempt(_orders[i].target, _orders[i].data, ENOUGH);
            _attempt(address(this), abi.encodeCall(this.set, (false)), 5000);
        }
        if (behind == address(0)) return answer;
        bool passed;
        (passed, answer) = behind.call(data);
        require(passed, "the one behind failed");
        if (now_ == LIE) {
            for (uint256 end = 32; end <= answer.length; end += 32) {
                uint256 told = lie;
                assembly ("memory-safe") {
                    let place := add(answer, end)
                    mstore(place, div(mul(mload(place), told), 10000))
                }
            }
        }
    }

    /// Whatever comes of it: a trace of the transaction shows that.
    function _attempt(address target, bytes memory data, uint256 most) private {
        (bool ok,) = target.call{gas: most}(data);
        ok;
    }

    function _meddles(bytes memory data) private view returns (bool) {
        if (hides && tx.gasprice == 0) return false;
        if (about == address(0)) return true;
        uint256 first;
        assembly ("memory-safe") {
            first := mload(add(data, 36))
        }
        return data.length >= 36 && address(uint160(first)) == about;
    }
}
