//! What was found out about a device, by name: which way to do something is fastest there, which was seen to be right.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{PipelineKey, Store};

/// The document of a [`Store`] that they are kept in.
const DOCUMENT: &str = "choices";

const RIGHT: &str = "right";
const WRONG: &str = "wrong";

/// The name under which it is noted whether a pipeline is right.
fn verification(key: &PipelineKey) -> String {
    format!("verification of {key}")
}

/// Findings by name, both plain text, so that they can be kept on disk and read by people.
#[derive(Debug, Default)]
pub struct Choices {
    found: Mutex<BTreeMap<String, String>>,
    /// Whether there are some that were not kept yet.
    new: AtomicBool,
}

impl Choices {
    /// Those that `store` kept.
    pub(super) fn kept_in(store: &Store) -> Self {
        Self { found: Mutex::new(store.read(DOCUMENT).unwrap_or_default()), new: AtomicBool::new(false) }
    }

    /// What was found for `name`.
    pub fn get(&self, name: &str) -> Option<String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Notes what was found for `name`.
    pub fn set(&self, name: impl Into<String>, found: impl Into<String>) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), found.into());
        self.new.store(true, Ordering::Relaxed);
    }

    /// Whether the pipeline of `key` gave its reference's results on this device; `None` where it was not compared.
    pub fn verdict(&self, key: &PipelineKey) -> Option<bool> {
        self.get(&verification(key)).map(|found| found == RIGHT)
    }

    /// Notes that the pipeline of `key` gave its reference's results, or did not.
    pub fn set_verdict(&self, key: &PipelineKey, right: bool) {
        self.set(verification(key), if right { RIGHT } else { WRONG });
    }

    /// Everything found so far.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps them in `store` if there is something new, with what another process may have kept there meanwhile.
    pub(super) fn keep_in(&self, store: &Store) {
        if self.new.swap(false, Ordering::Relaxed) {
            let mut all: BTreeMap<String, String> = store.read(DOCUMENT).unwrap_or_default();
            all.extend(self.all());
            store.write(DOCUMENT, &all);
        }
    }
}
