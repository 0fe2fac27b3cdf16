// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// One token with every strangeness that tokens are known for, a bit each. What a bit does, it does to whoever is
/// `about`: to approvals by him and to money that he sends or receives; to everybody when `about` is zero.
/// Balances and allowances lie in slots 0 and 1, as in the test bed's own tokens, so that this code can also be put in
/// the place of one of those, holders and all: a token whose owner changes the code.
contract Zoo {
    mapping(address account => uint256) private _balances;
    mapping(address holder => mapping(address spender => uint256)) public allowance;
    /// Where other tokens have names and owners.
    uint256[30] private _elsewhere;

    /// Answers nothing.
    uint256 public constant SILENT = 1 << 0;
    /// Answers false to the calls of `about`, and does nothing.
    uint256 public constant FALSE = 1 << 1;
    /// A tenth is lost on the way.
    uint256 public constant FEE = 1 << 2;
    /// Changes an allowance only from or to zero.
    uint256 public constant RACE = 1 << 3;
    /// Fails when an allowance is set to zero.
    uint256 public constant NO_ZERO = 1 << 4;
    /// Says that it moved what `about` sends, and leaves it where it is.
    uint256 public constant KEEPS = 1 << 5;
    /// Says that it moved what `about` receives, and leaves it where it is.
    uint256 public constant WITHHOLDS = 1 << 6;
    /// Allowances are neither used up nor lowered.
    uint256 public constant STICKY = 1 << 7;
    /// Nothing moves and nothing is approved.
    uint256 public constant PAUSED = 1 << 8;
    /// Answers to the calls of `about` are 200,000 bytes long.
    uint256 public constant LONG = 1 << 9;
    /// Fails with a reason of 200,000 bytes when `about` approves or sends.
    uint256 public constant BOMB = 1 << 10;
    /// Burns all gas when `about` approves or sends.
    uint256 public constant BURN = 1 << 11;
    /// Calls `hook` before `about` sends and after he has received.
    uint256 public constant HOOKS = 1 << 12;
    /// `symbol` is 32 bytes, as the first tokens had it.
    uint256 public constant OLD_SYMBOL = 1 << 13;

    uint256 private constant ALWAYS = 0;
    /// Where gas has a price: in a block, and not in most simulations.
    uint256 private constant PRICED = 1;
    /// In blocks of one builder.
    uint256 private constant BUILT = 2;

    uint256 public quirks;
    address public about;
    uint256 public when;
    address public builder;
    address public hook;
    mapping(address account => bool) public blocked;
    /// Added to what a receiver gets and to what a sender loses, as in tokens whose balances are rounded shares.
    int256 public more;
    int256 public dearer;
    uint8 public decimals;

    // ---- for the test

    function mint(address to, uint256 amount) external returns (bool) {
        _balances[to] += amount;
        return true;
    }

    function become(uint256 quirks_, address about_) external {
        quirks = quirks_;
        about = about_;
    }

    function only(uint256 when_, address builder_) external {
        when = when_;
        builder = builder_;
    }

    function round(int256 more_, int256 dearer_) external {
        more = more_;
        dearer = dearer_;
    }

    function setHook(address hook_) external {
        hook = hook_;
    }

    function setBlocked(address account, bool blocked_) external {
        blocked[account] = blocked_;
    }

    function setDecimals(uint8 decimals_) external {
        decimals = decimals_;
    }

    /// Puts an allowance in place as no call of the holder could, to see how it is overcome.
    function plant(address holder, address spender, uint256 amount) external {
        allowance[holder][spender] = amount;
    }

    // ---- as a token

    function symbol() external view {
        bytes memory answer = quirks & OLD_SYMBOL != 0 ? abi.encode(bytes32("ZOO")) : abi.encode("ZOO");
        assembly ("memory-safe") {
            return(add(answer, 32), mload(answer))
        }
    }

    function balanceOf(address account) external view {
        _answer(_on(msg.sender, msg.sender) & LONG, _balances[account]);
    }

    function approve(address spender, uint256 amount) external {
        uint256 on = _on(msg.sender, msg.sender);
        _strike(on);
        require(on & PAUSED == 0, "paused");
        uint256 present = allowance[msg.sender][spender];
        if (on & FALSE != 0) _answer(on, 0);
        require(on & RACE == 0 || amount == 0 || present == 0, "set it to zero first");
        require(on & NO_ZERO == 0 || amount != 0, "not to zero");
        if (on & STICKY == 0 || amount > present) allowance[msg.sender][spender] = amount;
        _answer(on, 1);
    }

    function transfer(address to, uint256 amount) external {
        _answer(_on(msg.sender, to), _move(msg.sender, to, amount) ? 1 : 0);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        uint256 on = _on(from, to);
        bool moved = _move(from, to, amount);
        if (on & STICKY != 0) require(allowance[from][msg.sender] >= amount, "not allowed");
        else if (moved) allowance[from][msg.sender] -= amount;
        _answer(on, moved ? 1 : 0);
    }

    function _move(address from, address to, uint256 amount) private returns (bool) {
        require(!blocked[from] && !blocked[to], "blocked");
        uint256 on = _on(from, to);
        bool sends = about == address(0) || from == about;
        bool receives = about == address(0) || to == about;
        if (sends) _strike(on);
        require(on & PAUSED == 0, "paused");
        if (on & FALSE != 0 && _asks()) return false;
        if (on & KEEPS != 0 && sends || on & WITHHOLDS != 0 && receives) return true;
        if (on & HOOKS != 0 && sends) _tell();
        require(_balances[from] >= amount, "not enough");
        bool rounds = sends || receives;
        uint256 lost = rounds ? _add(amount, dearer) : amount;
        _balances[from] -= lost > _balances[from] ? _balances[from] : lost;
        uint256 got = on & FEE != 0 ? amount - amount / 10 : amount;
        _balances[to] = rounds ? _add(_balances[to] + got, more) : _balances[to] + got;
        if (on & HOOKS != 0 && receives) _tell();
        return true;
    }

    /// The bits that count now, between these two.
    function _on(address from, address to) private view returns (uint256) {
        if (about != address(0) && from != about && to != about) return 0;
        if (when == PRICED && tx.gasprice == 0) return 0;
        if (when == BUILT && block.coinbase != builder) return 0;
        return quirks;
    }

    function _asks() private view returns (bool) {
        return about == address(0) || msg.sender == about;
    }

    function _add(uint256 amount, int256 change) private pure returns (uint256) {
        if (change >= 0) return amount + uint256(change);
        uint256 less = uint256(-change);
        return amount > less ? amount - less : 0;
    }

    function _tell() private {
        (bool ok,) = hook.call("");
        require(ok, "the hook failed");
    }

    function _strike(uint256 on) private pure {
        bool bombs = on & BOMB != 0;
        bool burns = on & BURN != 0;
        assembly {
            if bombs { revert(0, 200000) }
            if burns { invalid() }
        }
    }

    function _answer(uint256 on, uint256 word) private view {
        bool silent = on & SILENT != 0;
        bool long = on & LONG != 0 && _asks();
        assembly {
            mstore(0, word)
            if silent { return(0, 0) }
            if long { return(0, 200000) }
            return(0, 32)
        }
    }
}
