//! Asks the chain what a search lacks, until it lacks nothing.

use crate::domain::chain::BlockRef;
use crate::domain::route::{Knowledge, Known, Venue};
use crate::exit::{Exit, ExitExt};
use crate::io::reader::Reader;
use eyre::{Result, bail};

/// Rounds of questions after which something is wrong.
const MOST_ROUNDS: usize = 64;

/// What `search` finds as of this block, by as many rounds of questions as it takes.
///
/// # Errors
/// When the node fails, or there is no end to the questions.
pub async fn answered<T>(
    reader: &Reader,
    at: BlockRef,
    venue: &Venue,
    mut search: impl FnMut(&mut Knowledge) -> Known<T>,
) -> Result<Known<T>> {
    let mut knowledge = Knowledge::of(venue);
    for _ in 0..MOST_ROUNDS {
        let found = search(&mut knowledge);
        let missing = knowledge.missing();
        if missing.is_empty() {
            return Ok(found);
        }
        let reads = missing.iter().map(|question| question.read(venue)).collect::<Vec<_>>();
        let answers = reader.answers(at.hash, &reads).await.exit(Exit::Network)?;
        knowledge.learn(&missing, &answers);
    }
    bail!("no end to the questions about block {}", at.number)
}
