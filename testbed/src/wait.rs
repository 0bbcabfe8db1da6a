//! Waiting for what becomes true, and watching what must stay true.
//!
//! May not: sleep for a fixed time and hope. Everything ends as soon as it is known, or at its deadline with the last
//! thing that was seen.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::bail;

/// What one attempt says: here is the value, or not yet and why.
pub trait Attempt {
    /// What is waited for.
    type Value;
    /// The value, or what was seen instead.
    ///
    /// # Errors
    /// When it is not yet so.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl<T, E: Display> Attempt for Result<T, E> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        // The alternate form of an `anyhow::Error` is the whole chain.
        self.map_err(|error| format!("{error:#}"))
    }
}

impl<T> Attempt for Option<T> {
    type Value = T;
    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl Attempt for bool {
    type Value = ();
    fn outcome(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("it is not so".to_owned())
        }
    }
}

/// Tries until an attempt succeeds. An `Err`, a `None` or `false` means "not yet".
///
/// # Errors
/// When the time is over, with what the last attempt saw.
pub async fn eventually<A, F, R>(
    what: &str,
    timeout: Duration,
    mut attempt: F,
) -> anyhow::Result<A::Value>
where
    A: Attempt,
    F: FnMut() -> R,
    R: Future<Output = A>,
{
    let begin = Instant::now();
    let mut last = "nothing was tried".to_owned();
    let mut pause = Duration::from_millis(10);
    while begin.elapsed() < timeout {
        let left = timeout.saturating_sub(begin.elapsed());
        match tokio::time::timeout(left, attempt()).await {
            Ok(result) => match result.outcome() {
                Ok(value) => return Ok(value),
                Err(seen) => last = seen,
            },
            Err(_) => last = format!("an attempt that did not come back; before it: {last}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(Duration::from_millis(250));
    }
    bail!("not within {timeout:?}: {what}\nlast seen: {last}")
}

/// Tries again and again until the time is over, and fails at the first attempt that does.
///
/// # Errors
/// At the first attempt that fails, with what it saw and when.
pub async fn always<A, F, R>(what: &str, duration: Duration, mut attempt: F) -> anyhow::Result<()>
where
    A: Attempt,
    F: FnMut() -> R,
    R: Future<Output = A>,
{
    let begin = Instant::now();
    loop {
        if let Err(seen) = attempt().await.outcome() {
            bail!(
                "after {:?} no longer: {what}\nseen: {seen}",
                begin.elapsed()
            );
        }
        if begin.elapsed() >= duration {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
