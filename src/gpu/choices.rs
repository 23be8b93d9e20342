//! Findings about one device, by name: the fastest way to do an operation, and whether a pipeline is verified.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{PipelineKey, Store};

/// The document of a [`Store`] that holds the findings.
const DOCUMENT: &str = "choices";

const RIGHT: &str = "right";
const WRONG: &str = "wrong";

/// The name of the finding that says whether a pipeline is right.
fn verification(key: &PipelineKey) -> String {
    format!("verification of {key}")
}

/// Findings by name. Both are plain text, so that they can be kept on disk and read by people.
#[derive(Debug, Default)]
pub struct Choices {
    found: Mutex<BTreeMap<String, String>>,
    /// Whether there are findings that are not on disk yet.
    new: AtomicBool,
}

impl Choices {
    /// The findings that `store` keeps.
    pub(super) fn kept_in(store: &Store) -> Self {
        Self { found: Mutex::new(store.read(DOCUMENT).unwrap_or_default()), new: AtomicBool::new(false) }
    }

    /// The finding of `name`.
    pub fn get(&self, name: &str) -> Option<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Sets the finding of `name`.
    pub fn set(&self, name: impl Into<String>, found: impl Into<String>) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), found.into());
        self.new.store(true, Ordering::Relaxed);
    }

    /// Whether the pipeline of `key` gave its reference's results on this device. `None` if they were not compared.
    pub fn verdict(&self, key: &PipelineKey) -> Option<bool> {
        self.get(&verification(key)).map(|found| found == RIGHT)
    }

    /// Notes whether the pipeline of `key` gave its reference's results.
    pub(crate) fn set_verdict(&self, key: &PipelineKey, right: bool) {
        self.set(verification(key), if right { RIGHT } else { WRONG });
    }

    /// All findings so far.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes the findings to `store` if there are new ones, and keeps those that another process wrote meanwhile.
    pub(super) fn keep_in(&self, store: &Store) {
        if self.new.swap(false, Ordering::Relaxed) {
            let mut all: BTreeMap<String, String> = store.read(DOCUMENT).unwrap_or_default();
            all.extend(self.all());
            store.write(DOCUMENT, &all);
        }
    }
}
