//! The hub's cache on this machine, in the layout that huggingface_hub documents:
//! `models--OWNER--NAME/{refs,snapshots,blobs,.no_exist}`.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::{CONFIG, Id, PREPROCESSOR, WEIGHTS};

/// The folder with all cached models.
pub struct Cache {
    pub root: PathBuf,
}

/// The files of a model that are in the cache.
pub enum Found {
    /// All its files are in this folder.
    Whole(PathBuf),
    /// This file is the first one that is missing.
    Without(&'static str),
    Nothing,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(_) => f.write_str("a whole copy"),
            Self::Without(file) => write!(f, "a copy without {file}"),
            Self::Nothing => f.write_str("none"),
        }
    }
}

/// The value of an environment variable, unless it is unset or empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether HF_HUB_OFFLINE has one of the values that huggingface_hub takes for yes.
pub fn offline_by_environment() -> bool {
    variable("HF_HUB_OFFLINE").is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
}

/// HF_HOME, or `huggingface` in the user's cache folder if HF_HOME is not set.
pub fn home() -> Result<PathBuf> {
    let inside = |folder: PathBuf| folder.join("huggingface");
    let of_user = || Some(inside(std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?.join(".cache")));
    variable("HF_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("XDG_CACHE_HOME").map(PathBuf::from).map(inside))
        .or_else(of_user)
        .ok_or_else(|| Error::file("find the hub's cache", "a home folder, or HF_HOME with the path of one", "neither"))
}

impl Cache {
    /// The cache in HF_HUB_CACHE, or in `hub` below [`home`] if HF_HUB_CACHE is not set.
    pub fn from_environment() -> Result<Self> {
        let root = match variable("HF_HUB_CACHE") {
            Some(root) => PathBuf::from(root),
            None => home()?.join("hub"),
        };
        // The links inside the cache are made from absolute paths.
        std::path::absolute(&root).map(|root| Self { root }).map_err(|error| {
            Error::file("find the hub's cache", format!("an absolute path for {}", root.display()), error.to_string())
                .caused_by(error)
        })
    }

    /// The folder of a repository.
    pub fn folder(&self, id: &Id) -> PathBuf {
        self.root.join(format!("models--{}", id.repository.replace('/', "--")))
    }

    /// The folder with the files of a commit.
    pub fn snapshot(&self, id: &Id, commit: &str) -> PathBuf {
        self.folder(id).join("snapshots").join(commit)
    }

    /// The path of an empty file. It records that a commit does not have `file`, so that the hub is not asked again.
    pub fn absent(&self, id: &Id, commit: &str, file: &str) -> PathBuf {
        self.folder(id).join(".no_exist").join(commit).join(file)
    }

    pub fn find(&self, id: &Id) -> Found {
        let branch = std::fs::read_to_string(self.folder(id).join("refs").join(&id.revision));
        let commit = branch.map_or_else(|_| id.revision.clone(), |commit| commit.trim().to_owned());
        let snapshot = self.snapshot(id, &commit);
        if commit.is_empty() || !snapshot.is_dir() {
            return Found::Nothing;
        }
        let lacks = |file: &str| !snapshot.join(file).is_file();
        if let Some(file) = [CONFIG, WEIGHTS].into_iter().find(|file| lacks(file)) {
            return Found::Without(file);
        }
        // Without this file a model of transformers would get other pixels than in training, and nobody would notice.
        let needed = is_transformers(&snapshot.join(CONFIG)) && !self.absent(id, &commit, PREPROCESSOR).exists();
        if needed && lacks(PREPROCESSOR) {
            return Found::Without(PREPROCESSOR);
        }
        Found::Whole(snapshot)
    }
}

/// Whether a `config.json` is one of transformers.
fn is_transformers(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|json| json.get("model_type").is_some())
}
