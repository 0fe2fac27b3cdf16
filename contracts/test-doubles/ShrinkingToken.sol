// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// Whoever receives loses `loss` besides, as holders of rebasing tokens lose a unit now and then.
contract ShrinkingToken {
    string public constant name = "Shrinking";
    string public constant symbol = "SHR";
    uint8 public constant decimals = 18;
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    uint256 public loss;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function setLoss(uint256 loss_) external {
        loss = loss_;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        return _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        balanceOf[from] -= amount;
        balanceOf[to] = balanceOf[to] + amount - loss;
        return true;
    }
}
