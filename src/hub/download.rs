//! Downloads models from the hub into the cache, through the crate hf-hub.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Repo, RepoType};

use super::cache::{Cache, home, variable};
use super::{CONFIG, Id, Listener, PREPROCESSOR, Progress, WEIGHTS, error};
use crate::error::{Error, Result};

/// Downloads the files of a model that the cache lacks. Returns the folder with all its files.
///
/// # Errors
/// [`Error::File`], with a text that tells these cases apart: no such repository, no access, no weights that can be
/// read, no network, and an interrupted download. The next call resumes an interrupted download.
pub fn download(id: &Id, cache: &Cache, listener: Option<&Listener>) -> Result<PathBuf> {
    let hub = Hub::new(id, cache, listener)?;
    let info = hub.repo(&id.revision).info().map_err(|failure| hub.explain(failure, false))?;
    let files: Vec<&str> = info.siblings.iter().map(|file| file.rfilename.as_str()).collect();
    check_files(id, &files)?;
    let commit = info.sha.as_str();
    if !commit.chars().all(|c| c.is_ascii_alphanumeric()) || commit.is_empty() {
        return Err(error(id, "the hash of a commit", format!("{commit:?} from {}", hub.endpoint)));
    }
    // All files come from one commit, even if the branch changes meanwhile. The large file comes last.
    for file in [CONFIG, PREPROCESSOR, WEIGHTS] {
        if files.contains(&file) {
            hub.file(commit, file)?;
        } else {
            hub.note(&cache.absent(id, commit, file), "")?;
        }
    }
    if id.revision != commit {
        hub.note(&cache.folder(id).join("refs").join(&id.revision), commit)?;
    }
    Ok(cache.snapshot(id, commit))
}

/// Checks that a repository with these `files` has a model that can be loaded.
fn check_files(id: &Id, files: &[&str]) -> Result<()> {
    let ends = |ending: &str| files.iter().find(|file| file.ends_with(ending)).copied();
    let expected = format!("a repository with {WEIGHTS} and {CONFIG}");
    if !files.contains(&WEIGHTS) {
        let got = if let Some(index) = ends(".safetensors.index.json") {
            format!("weights in several files ({index}), which is not supported; save them as one file")
        } else if let Some(old) = [".bin", ".pth", ".pt", ".h5", ".msgpack"].iter().find_map(|ending| ends(ending)) {
            format!(
                "{old} only; load it with transformers or timm and write it with save_pretrained(FOLDER), which gives \
                 {WEIGHTS}, then load FOLDER"
            )
        } else {
            format!("{} other files", files.len())
        };
        return Err(error(id, expected, got));
    }
    if !files.contains(&CONFIG) {
        return Err(error(id, expected, format!("no {CONFIG}")));
    }
    Ok(())
}

struct Hub<'a> {
    id: &'a Id,
    cache: &'a Cache,
    listener: Option<&'a Listener>,
    endpoint: String,
    api: Api,
}

impl<'a> Hub<'a> {
    fn new(id: &'a Id, cache: &'a Cache, listener: Option<&'a Listener>) -> Result<Self> {
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let token_file =
            variable("HF_TOKEN_PATH").map_or_else(|| home().map(|home| home.join("token")), |p| Ok(p.into()));
        let stored = || std::fs::read_to_string(token_file.ok()?).ok();
        let token = variable("HF_TOKEN").or_else(stored).map(|token| token.trim().to_owned());
        let api = ApiBuilder::from_cache(hf_hub::Cache::new(cache.root.clone()))
            .with_endpoint(endpoint.clone())
            .with_token(token.filter(|token| !token.is_empty()))
            .with_user_agent("tcvit", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|failure| error(id, "a client of the hub", failure.to_string()).caused_by(failure))?;
        Ok(Self { id, cache, listener, endpoint, api })
    }

    fn repo(&self, revision: &str) -> ApiRepo {
        let (id, revision) = (self.id.repository.clone(), revision.to_owned());
        self.api.repo(Repo::with_revision(id, RepoType::Model, revision))
    }

    /// Downloads one file of a commit unless it is in the cache. It appears in the snapshot when it is complete.
    fn file(&self, commit: &str, file: &str) -> Result<()> {
        if self.cache.snapshot(self.id, commit).join(file).is_file() {
            return Ok(());
        }
        let repo = self.repo(commit);
        let metadata = self.api.metadata(&repo.url(file)).map_err(|failure| self.explain(failure, true))?;
        let size = metadata.size() as u64;
        // A download cannot resume from a part that is as long as the whole file or longer.
        let part = self.cache.folder(self.id).join("blobs").join(metadata.etag()).with_extension("part");
        if std::fs::metadata(&part).is_ok_and(|part| part.len() >= size) {
            self.remove(&part)?;
        }
        let progress = Heard { listener: self.listener, file, got: 0, size };
        let path = repo.download_with_progress(file, progress).map_err(|failure| self.explain(failure, true))?;
        let got = std::fs::metadata(&path).map(|file| file.len()).unwrap_or_default();
        if got != size {
            let blob = std::fs::canonicalize(&path);
            self.remove(&path)?;
            blob.map_or(Ok(()), |blob| self.remove(&blob))?;
            return Err(error(self.id, format!("{size} bytes of {file}"), format!("{got} bytes; fetch it again")));
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(failure) if path.exists() => {
                Err(error(self.id, format!("to remove {}", path.display()), failure.to_string()).caused_by(failure))
            }
            _ => Ok(()),
        }
    }

    /// Writes a small file of the cache.
    fn note(&self, path: &Path, text: &str) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|failure| {
                error(self.id, format!("to create {}", folder.display()), failure.to_string()).caused_by(failure)
            })?;
        }
        crate::file::write_whole(path, text.as_bytes())
    }

    /// An error that says what went wrong and what to do. `known` means that the repository is known to exist.
    fn explain(&self, failure: ApiError, known: bool) -> Error {
        let (id, page) = (self.id, format!("{}/{}", self.endpoint, self.id.repository));
        let status = match &failure {
            ApiError::RequestError(request) => match **request {
                ureq::Error::StatusCode(status) => Some(status),
                _ => None,
            },
            _ => None,
        };
        let access = "set HF_TOKEN to a token that has access";
        match (status, &failure) {
            (Some(404), _) => error(id, format!("a model repository with this revision at {page}"), "404, not found"),
            (Some(status @ 401), _) if !known => {
                let got = format!("{status}: no model has that name, or it is private or gated; in that case {access}");
                error(id, format!("a public model at {page}"), got)
            }
            (Some(status @ (401 | 403)), _) => {
                let got = format!("{status}: it is gated; accept its terms at {page} and {access}");
                error(id, format!("access to {page}"), got)
            }
            (Some(status), _) => error(id, format!("an answer from {}", self.endpoint), format!("status {status}")),
            (None, ApiError::RequestError(_) | ApiError::IoError(_)) => {
                let hint = "a model in the cache needs no network";
                error(id, format!("to reach {} and read from it", self.endpoint), format!("{failure}; {hint}"))
            }
            (None, ApiError::LockAcquisition(lock)) => {
                let got = format!("another program is downloading it ({})", lock.display());
                error(id, "no other program that downloads it", got)
            }
            (None, _) => {
                error(id, format!("a valid answer from {}", self.endpoint), failure.to_string()).caused_by(failure)
            }
        }
    }
}

/// Passes hf-hub's reports on to a listener.
struct Heard<'a> {
    listener: Option<&'a Listener>,
    file: &'a str,
    got: u64,
    size: u64,
}

impl Heard<'_> {
    fn tell(&self, done: bool) {
        if let Some(listener) = self.listener {
            listener.hear(&Progress { name: self.file, got: self.got, size: self.size, done });
        }
    }
}

impl hf_hub::api::Progress for Heard<'_> {
    /// hf-hub calls this again, and starts again from 0, when it retries.
    fn init(&mut self, size: usize, _: &str) {
        (self.got, self.size) = (0, size as u64);
        self.tell(false);
    }

    fn update(&mut self, size: usize) {
        self.got += size as u64;
        self.tell(false);
    }

    fn finish(&mut self) {
        self.tell(true);
    }
}
