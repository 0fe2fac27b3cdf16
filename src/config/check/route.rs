//! Where a market's seized tokens are sold: all the addresses of a venue, each once.

use super::super::{Route, values};
use super::Reader;
use crate::domain::route::Pairs;
use alloy::primitives::Address;

impl Reader<'_> {
    pub(super) fn route(&mut self, table: &str) -> Option<Route> {
        let fields = [
            ("uniswap_v3_factory", "the UniswapV3Factory contract"),
            ("uniswap_v3_quoter", "the QuoterV2 contract"),
            ("uniswap_v3_router", "the SwapRouter contract"),
            ("wrapped_native", "the native coin's token, e.g. WETH"),
        ];
        let found =
            fields.map(|(field, meaning)| self.needed(&format!("{table}.{field}"), meaning, values::address));
        let pairs = self.pairs(table);
        let [factory, quoter, router, wrapped_native] = found;
        let [pair_factory, pair_router] = [pairs.map(|pairs| pairs.factory), pairs.map(|pairs| pairs.router)];
        let all = fields
            .map(|(field, _)| field)
            .into_iter()
            .zip(found)
            .chain([("uniswap_v2_factory", pair_factory), ("uniswap_v2_router", pair_router)]);
        let mut seen: Vec<(Address, &str)> = Vec::new();
        for (field, address) in all {
            let Some(address) = address else { continue };
            if let Some((_, other)) = seen.iter().find(|(known, _)| *known == address) {
                let what = format!("the same address as {other}: one of them was copied wrongly");
                self.refuse(&format!("{table}.{field}"), &what);
            }
            seen.push((address, field));
        }
        Some(Route {
            factory: factory?,
            quoter: quoter?,
            router: router?,
            wrapped_native: wrapped_native?,
            pairs,
        })
    }

    /// Uniswap V2 is there whole, or not at all.
    fn pairs(&mut self, table: &str) -> Option<Pairs> {
        let keys = ["uniswap_v2_factory", "uniswap_v2_router"].map(|field| format!("{table}.{field}"));
        let [factory, router] = keys.each_ref().map(|key| self.read(key, values::address).flatten());
        match (factory, router) {
            (Some(factory), Some(router)) => return Some(Pairs { factory, router }),
            (None, Some(_)) => {
                self.missing(&keys[0], "the UniswapV2Factory contract, or leave out uniswap_v2_router")
            }
            (Some(_), None) => {
                self.missing(&keys[1], "the UniswapV2Router02 contract, or leave out uniswap_v2_factory")
            }
            (None, None) => {}
        }
        None
    }
}
