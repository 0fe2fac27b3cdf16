//! One purse and several who would be paid from it.

use crate::domain::plan::{Draft, Reason};
use crate::domain::protocol::{Opportunity, Protocol};
use crate::domain::route::{Knowledge, Known};
use crate::domain::size::{Purse, Refusal, Scope, best};
use crate::domain::units::{Amount, Net};
use alloy::primitives::Address;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Pays drafts from the purse in the order of what they leave. Those that find too little there are planned anew, with what
/// is left of it or with a loan; who is then left with neither is answered with the reason. `suited`: the scope of an account.
pub(super) fn share_out<'a, P: Protocol + 'a>(
    suited: impl Fn(&Address) -> Scope<'a, P>,
    drafts: Vec<Draft>,
    knowledge: &mut Knowledge,
) -> (Vec<Draft>, Vec<(Opportunity, Refusal)>) {
    let (mut paid, mut all): (Vec<_>, Vec<_>) = drafts.into_iter().partition(|draft| draft.purse().is_some());
    paid.sort_by_key(|draft| Reverse(Net::of(draft.gross, draft.gas.cost(suited(&draft.account).base_fee))));
    let mut spent = BTreeMap::new();
    let mut refused = Vec::new();
    for draft in paid {
        let scope = suited(&draft.account);
        let Some(purse) = scope.purse else { continue };
        if spend(&mut spent, &draft, &purse, knowledge) {
            all.push(draft);
            continue;
        }
        let Ok(Ok(pairs)) = scope.protocol.opportunities(draft.account, &[], &scope.when) else { continue };
        let left = Scope { purse: Some(Purse { spent: &spent, ..purse }), ..scope };
        match best(&left, &pairs, knowledge) {
            Known::Yes(Ok(draft)) => {
                spend(&mut spent, &draft, &purse, knowledge);
                all.push(draft);
            }
            Known::Yes(Err(refusal)) => refused.push(refusal),
            // What a loan takes was asked for it before.
            Known::No | Known::NotYet => {
                let pair = pairs.into_iter().next();
                refused.extend(pair.map(|pair| (pair, Refusal::bare(Reason::Questions))));
            }
        }
    }
    (all, refused)
}

/// Takes what a draft needs out of the purse, where that is there. Whoever needs nothing has it.
fn spend(
    spent: &mut BTreeMap<Address, Amount>,
    draft: &Draft,
    purse: &Purse<'_>,
    knowledge: &mut Knowledge,
) -> bool {
    let Some((debt, amount)) = draft.purse() else { return true };
    let Known::Yes(held) = knowledge.holds(debt, purse.executor) else { return false };
    let sum = spent.get(&debt).copied().unwrap_or(Amount::ZERO).plus(amount);
    let is_there = sum.is_ok_and(|sum| sum <= held);
    if is_there {
        spent.extend(sum.map(|sum| (debt, sum)));
    }
    is_there
}
