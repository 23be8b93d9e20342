//! Models on the Hugging Face hub: `owner/name`, or `owner/name@revision`. They are downloaded once, into the cache that
//! the hub's other programs use too, and read from there ever after.

mod cache;
#[cfg(feature = "hub")]
mod download;

use std::path::{Path, PathBuf};

use tcvit::{Error, Result};

use cache::{Cache, Found};

/// The files of a model.
const WEIGHTS: &str = "model.safetensors";
const CONFIG: &str = "config.json";
/// How transformers prepares images; timm has that in `config.json`.
const PREPROCESSOR: &str = "preprocessor_config.json";

/// A repository on the hub and one of its revisions.
#[derive(Debug, PartialEq, Eq)]
struct Id {
    /// `owner/name`
    repository: String,
    /// A branch, a tag or a commit.
    revision: String,
}

impl Id {
    /// `None` for what can only be a path.
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

/// The file or folder that `--model` means. What exists on this machine comes before the hub; with `offline`, or with
/// HF_HUB_OFFLINE set, only the cache is asked.
///
/// # Errors
/// [`Error::File`] when it is neither here nor to be had.
pub fn locate(text: &str, offline: bool) -> Result<PathBuf> {
    let path = Path::new(text);
    match Id::parse(text) {
        Some(id) if !path.exists() => fetch(&id, offline || cache::offline_by_environment()),
        _ => Ok(path.to_owned()),
    }
}

fn fetch(id: &Id, offline: bool) -> Result<PathBuf> {
    let cache = Cache::from_environment()?;
    match cache.find(id) {
        Found::Whole(folder) => Ok(folder),
        found if offline => {
            let expected = format!("a whole copy in the cache at {}", cache.folder(id).display());
            Err(error(id, expected, format!("{found}; downloading it takes a run that is not offline")))
        }
        _ => download(id, &cache),
    }
}

#[cfg(feature = "hub")]
fn download(id: &Id, cache: &Cache) -> Result<PathBuf> {
    download::download(id, cache)
}

#[cfg(not(feature = "hub"))]
fn download(id: &Id, cache: &Cache) -> Result<PathBuf> {
    let expected = format!("a file or folder of that name, or a whole copy in {}", cache.folder(id).display());
    Err(error(id, expected, "neither; this program was built without the feature `hub`, which downloads"))
}

fn error(id: &Id, expected: impl Into<String>, got: impl Into<String>) -> Error {
    Error::File { op: id.op(), expected: expected.into(), got: got.into() }
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
            assert_eq!(Id::parse(path), None, "{path}");
        }
    }
}
