//! Many questions under way at once, their answers in the order of the questions.

use eyre::{Result, WrapErr};
use std::future::Future;
use tokio::task::JoinSet;

/// Questions under way at the same time, to one node.
const AT_ONCE: usize = 4;

/// Runs the jobs, a few at a time. `progress` hears of each answer as it comes.
///
/// # Errors
/// The first that a job gives; those still under way are dropped.
pub async fn gather<F, T>(jobs: impl IntoIterator<Item = F>, progress: &(dyn Fn(&T) + Sync)) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut waiting = jobs.into_iter().enumerate();
    let mut under_way = JoinSet::new();
    let mut answers = Vec::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some((index, job)) = waiting.next()
        {
            under_way.spawn(async move { (index, job.await) });
        }
        let Some(joined) = under_way.join_next().await else { break };
        let (index, answer) = joined.wrap_err("a question was interrupted")?;
        let answer = answer?;
        progress(&answer);
        answers.push((index, answer));
    }
    answers.sort_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}
