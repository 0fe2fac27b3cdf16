//! The keys there are, what they are when nobody sets them, and which one was meant by one that is not there.

/// A key's path, `*` standing for the name of a market, and its default as it would be written.
/// `None`: there is no default. An empty default means "not set".
pub(super) const KEYS: &[(&str, Option<&str>)] = &[
    ("mode", Some("dry-run")),
    ("market", Some("")),
    ("datadir", Some("")),
    ("rpc.http", None),
    ("rpc.ws", Some("")),
    ("rpc.poll", Some("2s")),
    ("rpc.timeout", Some("10s")),
    ("rpc.log_range", Some("10000")),
    ("rpc.batch", Some("150")),
    ("markets.*.kind", Some("aave-v3")),
    ("markets.*.chain_id", None),
    ("markets.*.addresses_provider", None),
    ("markets.*.start_block", Some("0")),
    ("markets.*.observe_only", Some("")),
    ("markets.*.route.uniswap_v3_factory", None),
    ("markets.*.route.uniswap_v3_quoter", None),
    ("markets.*.route.uniswap_v3_router", None),
    ("markets.*.route.wrapped_native", None),
    ("markets.*.route.uniswap_v2_factory", None),
    ("markets.*.route.uniswap_v2_router", None),
    ("markets.*.shares.collateral", None),
    ("markets.*.shares.debt", None),
    ("markets.*.shares.discount_bps", None),
    ("executor.address", Some("")),
    ("executor.code_hash", Some("")),
    ("executor.owner", Some("")),
    ("executor.receiver", Some("")),
    ("wallet.keystore", Some("")),
    ("wallet.password_file", Some("")),
    ("wallet.private_key", None),
    ("owner.keystore", Some("")),
    ("owner.password_file", Some("")),
    ("owner.private_key", None),
    ("profit.minimum_wei", Some("1000000000000000")),
    ("profit.slippage_bps", Some("50")),
    ("fees.tip_share", Some("0.1")),
    ("fees.max_fee", Some("300 gwei")),
    ("fees.max_tip", Some("50 gwei")),
    ("fees.gas_limit", Some("16777216")),
    ("log.format", Some("terminal")),
    ("log.level", Some("info")),
];

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Value,
    Table,
    Unknown,
}

/// `[markets.<name>]` is a table, and so is `[markets]` itself.
pub(super) fn shape(path: &[String]) -> Shape {
    let mut shape = Shape::Unknown;
    for (key, _) in KEYS {
        let parts: Vec<&str> = key.split('.').collect();
        let fits = parts.iter().zip(path).all(|(part, given)| *part == "*" || part == given);
        if fits && parts.len() == path.len() {
            return Shape::Value;
        }
        if fits && parts.len() > path.len() {
            shape = Shape::Table;
        }
    }
    shape
}

/// The key or table that `path` most likely meant, in the spelling of the file. `None` when nothing is near.
pub(super) fn meant(path: &[String]) -> Option<String> {
    let given = path.join(".");
    let last = path.last()?;
    let mut best: Option<(usize, String)> = None;
    for candidate in candidates(path) {
        let whole = distance(&given, &candidate);
        // The right name in the wrong table is one step away.
        let tail = candidate.rsplit('.').next().unwrap_or(&candidate);
        let steps = whole.min(distance(last, tail).saturating_add(1));
        let allowed = (tail.len() / 3).clamp(1, 3);
        if steps <= allowed && best.as_ref().is_none_or(|(least, _)| steps < *least) {
            best = Some((steps, candidate));
        }
    }
    best.map(|(_, key)| key)
}

/// All keys and all tables, with the market's name of `path` in the place of `*`.
fn candidates(path: &[String]) -> Vec<String> {
    let market = match path {
        [_, name, _, ..] => name,
        _ => "<name>",
    };
    let mut all = Vec::new();
    for (key, _) in KEYS {
        let key = key.replace('*', market);
        if let Some((table, _)) = key.rsplit_once('.')
            && !all.iter().any(|known| known == table)
        {
            all.push(table.to_owned());
            if let Some((parent, _)) = table.split_once('.')
                && !all.iter().any(|known| known == parent)
            {
                all.push(parent.to_owned());
            }
        }
        all.push(key);
    }
    all
}

/// The environment variable of a key: `rpc.http` is `BACKSTOP_RPC__HTTP`.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").replace('-', "_").to_uppercase())
}

pub(super) const PREFIX: &str = "BACKSTOP_";

/// Variables with our prefix that are not keys: where the file is, and the tests' own.
pub(super) const NOT_KEYS: [&str; 2] = ["BACKSTOP_CONFIG", "BACKSTOP_ANVIL"];

/// Letters to insert, remove, replace or swap with their neighbour to make `a` of `b`.
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "indices and counts of two short words"
)]
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = row[j] + usize::from(x != y);
            let mut least = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}
