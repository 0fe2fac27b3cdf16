// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Says no by answering false and moves nothing, until it is told to be `kind`.
contract FalseToken {
    string public constant name = "False";
    string public constant symbol = "NO";
    uint8 public constant decimals = 18;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    bool public kind;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function setKind(bool kind_) external {
        kind = kind_;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        if (kind) allowance[msg.sender][spender] = amount;
        return kind;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (kind) _move(msg.sender, to, amount);
        return kind;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        if (kind) {
            allowance[from][msg.sender] -= amount;
            _move(from, to, amount);
        }
        return kind;
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}
