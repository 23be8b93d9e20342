//! The hub's cache on this machine, in the layout that huggingface_hub documents:
//! `models--OWNER--NAME/{refs,snapshots,blobs,.no_exist}`.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::{CONFIG, Id, PREPROCESSOR, WEIGHTS};

/// Where models are kept.
pub struct Cache {
    pub root: PathBuf,
}

/// What the cache has of a model.
pub enum Found {
    /// The folder with all its files.
    Whole(PathBuf),
    /// The first file that is missing.
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

/// A variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether HF_HUB_OFFLINE is set to one of the words that mean yes to huggingface_hub.
pub fn offline_by_environment() -> bool {
    variable("HF_HUB_OFFLINE").is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.to_uppercase().as_str()))
}

/// HF_HOME, else `huggingface` in the user's cache folder.
pub fn home() -> Result<PathBuf> {
    let inside = |folder: PathBuf| folder.join("huggingface");
    let of_user = || Some(inside(std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?.join(".cache")));
    variable("HF_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("XDG_CACHE_HOME").map(PathBuf::from).map(inside))
        .or_else(of_user)
        .ok_or_else(|| Error::file("find the hub's cache", "a home folder, or HF_HOME naming one", "neither"))
}

impl Cache {
    /// HF_HUB_CACHE, else `hub` in [`home`].
    pub fn from_environment() -> Result<Self> {
        let root = match variable("HF_HUB_CACHE") {
            Some(root) => PathBuf::from(root),
            None => home()?.join("hub"),
        };
        // Links inside the cache are made from absolute paths.
        std::path::absolute(&root).map(|root| Self { root }).map_err(|error| {
            Error::file("find the hub's cache", format!("an absolute path for {}", root.display()), error.to_string())
                .caused_by(error)
        })
    }

    /// Everything of a repository.
    pub fn folder(&self, id: &Id) -> PathBuf {
        self.root.join(format!("models--{}", id.repository.replace('/', "--")))
    }

    /// The files of a commit.
    pub fn snapshot(&self, id: &Id, commit: &str) -> PathBuf {
        self.folder(id).join("snapshots").join(commit)
    }

    /// The empty file that records that a commit has no such file, so that nobody has to ask again.
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
        // Without this file a model of transformers would get other pixels than it was trained on, and nobody would notice.
        let needed = is_transformers(&snapshot.join(CONFIG)) && !self.absent(id, &commit, PREPROCESSOR).exists();
        if needed && lacks(PREPROCESSOR) {
            return Found::Without(PREPROCESSOR);
        }
        Found::Whole(snapshot)
    }
}

/// Whether a `config.json` is of transformers' form.
fn is_transformers(path: &Path) -> bool {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|json| json.get("model_type").is_some())
}
