//! What was found out about a device, by name: which way to do something is fastest there, which was seen to be right.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Findings by name, both plain text, so that they can be kept on disk and read by people.
#[derive(Debug, Default)]
pub struct Choices(Mutex<BTreeMap<String, String>>);

impl Choices {
    /// Those of `known`.
    pub fn new(known: BTreeMap<String, String>) -> Self {
        Self(Mutex::new(known))
    }

    /// What was found for `name`.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Notes what was found for `name`.
    pub fn set(&self, name: impl Into<String>, found: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), found.into());
    }

    /// Everything found so far.
    pub fn all(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
