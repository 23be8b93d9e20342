//! Verifications that are put off. Recording a forward asks for ways in the middle of code that cannot wait; so it takes ways for
//! right at first, the agenda collects their verifications, and what was recorded is used only when the agenda stays empty.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Context, PipelineKey};
use crate::error::Result;

/// What a task does when it is run.
type Run = Box<dyn FnOnce(Context) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// Tasks by name, each once.
#[derive(Default)]
pub(crate) struct Agenda(Mutex<BTreeMap<String, Run>>);

impl Agenda {
    /// Adds the task `name`, unless it is there already.
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

/// Runs `work` with a context that takes ways for right, runs the tasks that this put on the agenda, and starts again, until
/// `work` puts nothing there: then everything that it chose is verified. `work` runs once where all is known, and once more for
/// every way that turns out to be wrong.
///
/// # Errors
/// Those of `work`, unless a task may change its outcome; [`Error::Device`](crate::Error::Device) when the device fails.
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
