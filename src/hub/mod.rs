//! Models on the Hugging Face hub, named `owner/name` or `owner/name@revision` (feature `hub`).
//!
//! A model is downloaded once, into the cache that the hub's other programs use too. Later it is read from there. The
//! environment variables of `huggingface_hub` apply: `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`,
//! `HF_TOKEN_PATH` and `HF_HUB_OFFLINE`.
//!
//! ```no_run
//! use tcvit::hub::{self, HubOptions};
//! use tcvit::{Context, ContextOptions, Model};
//!
//! let options = HubOptions::new().progress(|file| eprintln!("{}: {} of {} bytes", file.name, file.got, file.size));
//! let folder = hub::fetch("facebook/deit-small-patch16-224@main", &options)?;
//! let model = Model::load(&Context::open(ContextOptions::new())?, folder)?;
//! # Ok::<(), tcvit::Error>(())
//! ```

mod cache;
mod download;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::model::{LoadOptions, Model};
use cache::{Cache, Found};

/// The files of a model.
const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
/// The file in which transformers describes how images are prepared. timm describes it in `config.json`.
const PREPROCESSOR: &str = "preprocessor_config.json";

/// Options for fetching a model.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HubOptions {
    /// Whether to use only the cache, as with `HF_HUB_OFFLINE=1`.
    pub offline: bool,
    progress: Option<Listener>,
}

impl HubOptions {
    /// Fetches from the cache, and from the hub if the cache lacks a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to use only the cache.
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Calls `hear` on the thread that downloads: at the start of each file, after each part of it, and at its end.
    pub fn progress(mut self, hear: impl Fn(&Progress<'_>) + Send + Sync + 'static) -> Self {
        self.progress = Some(Listener(Arc::new(hear)));
        self
    }
}

/// A function that is told how far a download is.
#[derive(Clone)]
struct Listener(Arc<dyn Fn(&Progress<'_>) + Send + Sync>);

impl Listener {
    fn hear(&self, progress: &Progress<'_>) {
        (self.0)(progress);
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

/// A file that is being downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Its name in the repository.
    pub name: &'a str,
    /// Bytes on this machine, including those of an earlier download that was interrupted.
    pub got: u64,
    /// Bytes of the whole file.
    pub size: u64,
    /// Whether the file is complete. This is the last report of the file.
    pub done: bool,
}

/// A repository on the hub and one of its revisions.
#[derive(Debug, PartialEq, Eq)]
struct Id {
    /// `owner/name`
    repository: String,
    /// A branch, a tag or a commit.
    revision: String,
}

impl Id {
    /// `None` if `text` can only be a path.
    fn parse(text: &str) -> Option<Self> {
        let word = |word: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
            !word.is_empty() && !word.starts_with(['.', '-']) && word.chars().all(plain)
        };
        let (repository, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = repository.split_once('/')?;
        let known = word(owner) && word(name) && !name.ends_with(".safetensors") && revision.split('/').all(word);
        known.then(|| Self { repository: repository.to_owned(), revision: revision.to_owned() })
    }

    fn op(&self) -> String {
        let at = if self.revision == "main" { String::new() } else { format!("@{}", self.revision) };
        format!("load model {}{at} from the hub", self.repository)
    }
}

/// Whether `text` looks like the name of a model on the hub: `owner/name` or `owner/name@revision`. Most paths do not.
pub fn is_id(text: &str) -> bool {
    Id::parse(text).is_some()
}

/// The folder with the files of the model `id`, which is `owner/name` or `owner/name@revision`. A revision is a branch,
/// a tag or a commit. Files that the cache lacks are downloaded. [`Model::load`] takes the folder.
///
/// # Errors
/// [`Error::Config`] when `id` is not such a name. [`Error::File`], with a text that tells these cases apart: no such
/// repository, no access, no weights that can be read, no network, offline without a whole copy in the cache, and an
/// interrupted download. The next call resumes an interrupted download.
pub fn fetch(id: &str, options: &HubOptions) -> Result<PathBuf> {
    let parsed = Id::parse(id);
    let id = parsed.ok_or_else(|| Error::config("load model from the hub", "owner/name or owner/name@revision", id))?;
    let cache = Cache::from_environment()?;
    match cache.find(&id) {
        Found::Whole(folder) => Ok(folder),
        found if options.offline || cache::offline_by_environment() => {
            let expected =
                format!("a whole copy in the cache at {}, since tcvit is offline", cache.folder(&id).display());
            Err(error(&id, expected, found.to_string()))
        }
        _ => download::download(&id, &cache, options.progress.as_ref()),
    }
}

impl Model {
    /// Fetches the model `id` (`owner/name` or `owner/name@revision`) from the Hugging Face hub, or from its cache on
    /// this machine, and loads it (feature `hub`). [`fetch`] has options for the download.
    ///
    /// ```no_run
    /// use tcvit::{Context, ContextOptions, LoadOptions, Model};
    /// let gpu = Context::open(ContextOptions::new())?;
    /// let model = Model::from_hub(&gpu, "facebook/deit-small-patch16-224", &LoadOptions::new())?;
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fetch`] and [`Model::load_with`].
    pub fn from_hub(context: &Context, id: &str, options: &LoadOptions) -> Result<Self> {
        Self::load_with(context, fetch(id, &HubOptions::new())?, options)
    }
}

fn error(id: &Id, expected: impl Into<String>, got: impl Into<String>) -> Error {
    Error::file(id.op(), expected, got)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_from_paths() {
        let id = Id::parse("facebook/deit-small_patch16.224").unwrap();
        assert_eq!((id.repository.as_str(), id.revision.as_str()), ("facebook/deit-small_patch16.224", "main"));
        let id = Id::parse("google/vit@refs/pr/3").unwrap();
        assert_eq!((id.repository.as_str(), id.revision.as_str()), ("google/vit", "refs/pr/3"));
        for path in [
            "vit",
            "/a/b",
            "./a/b",
            "../a",
            "a/b/c",
            "a/..",
            "a/.b",
            "a/",
            "/b",
            "a b/c",
            "a/b.safetensors",
            "a/b@",
            "a/b@../c",
            "a/b@c//d",
            "C:\\a\\b",
        ] {
            assert!(!is_id(path), "{path}");
            let error = fetch(path, &HubOptions::new()).unwrap_err();
            assert!(matches!(error, Error::Config { .. }) && error.to_string().contains(path), "{error}");
        }
    }
}
