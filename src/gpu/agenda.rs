//! Postponed verifications. The code that records a forward asks for ways and cannot wait for a verification. It first
//! assumes that the ways are right, and the agenda collects their verifications. The recording is used only if the
//! agenda stays empty.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Context, PipelineKey};
use crate::error::Result;

/// The function that runs a task.
type Run = Box<dyn FnOnce(Context) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Tasks by name. Each name occurs once.
#[derive(Default)]
pub(crate) struct Agenda(Mutex<BTreeMap<String, Run>>);

impl Agenda {
    /// Adds the task `name`, unless a task of that name is there already.
    pub(crate) fn add(&self, name: impl Into<String>, run: Run) {
        self.tasks().entry(name.into()).or_insert(run);
    }

    /// Whether the verification of `key` is among the tasks.
    pub(super) fn verifies(&self, key: &PipelineKey) -> bool {
        self.tasks().contains_key(&key.to_string())
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<String, Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work` with a context that assumes that every way is right, then runs the tasks that `work` put on the agenda,
/// and repeats this until `work` puts nothing on the agenda. Every way that the last run chose is then verified. `work`
/// runs once if all its ways are verified already, and once more after each round of verifications.
///
/// # Errors
/// The errors of `work` in its last run, and [`Error::Device`](crate::Error::Device) when the device fails.
pub(crate) async fn settle<T>(context: &Context, mut work: impl FnMut(&Context) -> Result<T>) -> Result<T> {
    loop {
        let draft = context.drafting();
        let made = work(&draft);
        let tasks = draft.agenda().map(|agenda| std::mem::take(&mut *agenda.tasks())).unwrap_or_default();
        if tasks.is_empty() {
            context.settled().await?;
            return made;
        }
        drop(made);
        for run in tasks.into_values() {
            run(context.clone()).await;
        }
        context.healthy("verify")?;
    }
}
