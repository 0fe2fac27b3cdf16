// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Says that it moved the money of `victim`, and leaves it where it is. Others it serves well.
contract LyingToken {
    string public constant name = "Lying";
    string public constant symbol = "LIE";
    uint8 public constant decimals = 18;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    address public victim;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function setVictim(address victim_) external {
        victim = victim_;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        if (msg.sender == victim) return true;
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}
