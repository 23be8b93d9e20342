//! Models from a hub: a server in this process that speaks the hub's paths, redirects and ranges, and fails as it does.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::repository;
use crate::{photo, text};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server knows and does.
struct State {
    address: SocketAddr,
    stopped: AtomicBool,
    /// Whether the next weights break off in the middle.
    breaks_off: AtomicBool,
    requests: Mutex<Vec<String>>,
}

/// A hub with `tests/vit`, `tests/dinov2` (no preprocessor), `tests/bin`, `tests/sharded`, `tests/gated`, `tests/private`.
struct Hub {
    state: Arc<State>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let state = Arc::new(State {
            address: listener.local_addr().unwrap(),
            stopped: AtomicBool::new(false),
            breaks_off: AtomicBool::new(false),
            requests: Mutex::new(Vec::new()),
        });
        let served = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if served.stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is its own affair.
                let _ = served.serve(stream.unwrap());
            }
        });
        Self { state, thread: Some(thread) }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.state.address)
    }

    /// The requests so far, which are then forgotten.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.state.address);
        let _ = self.thread.take().unwrap().join();
    }
}

impl State {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let request = lines.first().cloned().unwrap_or_default();
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let header = |name: &str| {
            let line =
                lines.iter().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)));
            line.map(|(_, value)| value.to_owned())
        };
        let range = header("range");
        self.requests.lock().unwrap().push(format!("{path} {}", range.as_deref().unwrap_or("all")));
        let admitted = header("authorization").as_deref() == Some("Bearer secret");
        self.answer(stream, &path, range.as_deref(), [header("authorization").is_some(), admitted])
    }

    fn answer(
        &self,
        mut stream: TcpStream,
        path: &str,
        range: Option<&str>,
        [asked, admitted]: [bool; 2],
    ) -> std::io::Result<()> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["api", "models", "tests", "private", ..] if !admitted => status(stream, "401 Unauthorized"),
            ["api", "models", "tests", name, "revision", "main" | "v1"] => {
                let files: &[&str] = match *name {
                    "vit" | "gated" => &["README.md", "config.json", "model.safetensors", "preprocessor_config.json"],
                    "dinov2" => &["config.json", "model.safetensors"],
                    "bin" => &["config.json", "pytorch_model.bin"],
                    "sharded" => &["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"],
                    _ => return status(stream, "404 Not Found"),
                };
                let siblings: Vec<Value> = files.iter().map(|file| json!({ "rfilename": file })).collect();
                let body = json!({ "sha": COMMIT, "siblings": siblings, "tags": ["ignored"] }).to_string();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            }
            ["tests", "gated", "resolve", COMMIT, _] if !admitted && asked => status(stream, "403 Forbidden"),
            ["tests", "gated", "resolve", COMMIT, _] if !admitted => status(stream, "401 Unauthorized"),
            // Large files are elsewhere: their hash and commit are in the answer that says where.
            ["tests", name, "resolve", COMMIT, "model.safetensors"] => write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: http://{}/cdn/{name}/model.safetensors\r\nX-Linked-ETag: \"weights-{name}\"\r\n\
                 ETag: \"other\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                self.address
            ),
            ["cdn", name, file] | ["tests", name, "resolve", COMMIT, file] => {
                let name = if *name == "gated" { "vit" } else { name };
                let body = std::fs::read(model(name).join(file))?;
                let (first, last) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')).unwrap();
                let first: usize = first.parse().unwrap();
                let end = last.parse().map_or(body.len(), |last: usize| last + 1);
                write!(
                    stream,
                    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{}/{}\r\nContent-Length: {}\r\n\
                     ETag: \"{name}-{file}\"\r\nX-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
                    end - 1,
                    body.len(),
                    end - first
                )?;
                let whole = end - first == 1 || !self.breaks_off.load(Ordering::SeqCst) || parts[0] != "cdn";
                let sent = if whole { end } else { first + (end - first) / 2 };
                stream.write_all(&body[first..sent])
            }
            _ => status(stream, "404 Not Found"),
        }
    }
}

fn status(mut stream: TcpStream, status: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// What the server's repository of that name holds.
fn model(name: &str) -> PathBuf {
    repository("tests/goldens/transformers").join(name)
}

/// Runs the program with nothing of this environment that concerns a hub.
fn run(home: &Path, endpoint: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcvit"));
    for name in ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_TOKEN_PATH", "XDG_CACHE_HOME", "TCVIT_LOG"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.env("HF_HOME", home).env("HF_ENDPOINT", endpoint).env("NODEVICE_SELECT", "1");
    command.envs(variables.iter().copied()).args(arguments).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> Value {
    let err = text(&output.stderr);
    assert_eq!((output.status.code(), err), (Some(0), ""), "{err}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn fails(output: &Output, texts: &[&str]) {
    let err = text(&output.stderr);
    println!("{}", err.trim());
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{err}");
    for part in texts {
        assert!(err.contains(part), "{part:?} is not in: {err}");
    }
}

fn snapshot(home: &Path, name: &str) -> PathBuf {
    home.join(format!("hub/models--tests--{name}/snapshots/{COMMIT}"))
}

#[test]
fn a_model_is_downloaded_once() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let endpoint = hub.endpoint();
    let chelsea = photo("chelsea");
    let classify = ["classify", &chelsea, "--model", "tests/vit", "--json", "--condense", "off", "--top", "7"];
    let first = succeeds(&run(home.path(), &endpoint, &[], &classify));
    assert_eq!(first["model"], "tests/vit");
    let labels: Vec<&str> =
        first["images"][0]["classes"].as_array().unwrap().iter().map(|c| c["label"].as_str().unwrap()).collect();
    assert!(labels.contains(&"lynx") && labels.contains(&"badger"), "{labels:?}");
    assert!(hub.requests().iter().any(|request| request == "/cdn/vit/model.safetensors bytes=0-"));
    for file in ["config.json", "model.safetensors", "preprocessor_config.json"] {
        let here = std::fs::read(snapshot(home.path(), "vit").join(file)).unwrap();
        assert_eq!(here, std::fs::read(model("vit").join(file)).unwrap(), "{file}");
    }
    // The folder gives the same as the id.
    let folder = model("vit").to_str().unwrap().to_owned();
    let local = ["classify", &chelsea, "--model", &folder, "--json", "--condense", "off", "--top", "7"];
    assert_eq!(succeeds(&run(home.path(), &endpoint, &[], &local))["images"], first["images"]);

    let flops = ["flops", "--model", "tests/vit", "--json"];
    let report = succeeds(&run(home.path(), &endpoint, &[], &flops));
    assert_eq!(hub.requests(), Vec::<String>::new(), "what is in the cache needs no network");
    drop(hub);
    for (variables, arguments) in [
        (&[][..], &flops[..]),
        (&[("HF_HUB_OFFLINE", "1")], &flops),
        (&[], &["flops", "--model", "tests/vit", "--json", "--offline"]),
        (&[], &["flops", "--model", &format!("tests/vit@{COMMIT}"), "--json", "--offline"]),
    ] {
        assert_eq!(succeeds(&run(home.path(), &endpoint, variables, arguments))["full"], report["full"]);
    }
    let larger = ["flops", "--model", "tests/vit", "--json", "--offline", "--image", "96"];
    assert_eq!(succeeds(&run(home.path(), &endpoint, &[], &larger))["blocks"][0]["patches"], 144);

    // Without the preprocessor's file transformers' pixels cannot be known.
    std::fs::remove_file(snapshot(home.path(), "vit").join("preprocessor_config.json")).unwrap();
    let offline = run(home.path(), &endpoint, &[("HF_HUB_OFFLINE", "yes")], &flops);
    fails(&offline, &["tests/vit", "a copy without preprocessor_config.json", "not offline"]);
    let hub = Hub::start();
    succeeds(&run(home.path(), &hub.endpoint(), &[], &flops));
    assert!(hub.requests().iter().all(|request| !request.contains("model.safetensors")), "only what is missing");
}

#[test]
fn a_model_without_preprocessor_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let flops = ["flops", "--model", "tests/dinov2@v1", "--json"];
    succeeds(&run(home.path(), &hub.endpoint(), &[], &flops));
    hub.requests();
    succeeds(&run(home.path(), &hub.endpoint(), &[], &flops));
    assert_eq!(hub.requests(), Vec::<String>::new());
    let cache = home.path().join("elsewhere");
    let elsewhere = [("HF_HUB_CACHE", cache.to_str().unwrap())];
    succeeds(&run(home.path(), &hub.endpoint(), &elsewhere, &flops));
    assert!(cache.join("models--tests--dinov2/refs/v1").is_file());
}

#[test]
fn what_the_hub_does_not_have_is_told() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let flops = |id: &str, variables: &[(&str, &str)]| {
        run(home.path(), &hub.endpoint(), variables, &["flops", "--json", "--model", id])
    };
    fails(&flops("tests/nothing", &[]), &["load model tests/nothing from the hub", "404", "nor is there a file"]);
    fails(&flops("tests/vit@v9", &[]), &["tests/vit@v9", "404", "revision"]);
    fails(&flops("tests/private", &[]), &["401", "private or gated", "HF_TOKEN"]);
    fails(&flops("tests/gated", &[]), &["401", "it is gated", "accept its terms", "tests/gated", "HF_TOKEN"]);
    fails(&flops("tests/gated", &[("HF_TOKEN", "wrong")]), &["403", "it is gated"]);
    fails(&flops("tests/bin", &[]), &["model.safetensors", "pytorch_model.bin only", "save_pretrained"]);
    fails(&flops("tests/sharded", &[]), &["several files", "model.safetensors.index.json", "not supported"]);
    assert!(!snapshot(home.path(), "gated").join("model.safetensors").exists());
    succeeds(&flops("tests/gated", &[("HF_TOKEN", "secret")]));
    std::fs::write(home.path().join("token"), "secret\n").unwrap();
    fails(&flops("tests/private", &[]), &["404"]);
}

#[test]
fn no_network_is_told() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = Hub::start().endpoint();
    let flops = ["flops", "--model", "tests/vit"];
    fails(&run(home.path(), &endpoint, &[], &flops), &["to reach http://127.0.0.1", "refused", "--offline"]);
    for (variables, offline) in [(&[("HF_HUB_OFFLINE", "TRUE")][..], &[][..]), (&[], &["--offline"])] {
        let output = run(home.path(), &endpoint, variables, &[&flops[..], offline].concat());
        fails(&output, &["tests/vit", "in the cache at", "models--tests--vit", "got none"]);
    }
    assert!(!home.path().join("hub").exists(), "nothing was written");
}

#[test]
fn a_download_that_breaks_off_is_taken_up() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let flops = ["flops", "--model", "tests/vit", "--json"];
    hub.state.breaks_off.store(true, Ordering::SeqCst);
    fails(&run(home.path(), &hub.endpoint(), &[], &flops), &["tests/vit", "to reach", "read from it"]);
    assert!(!snapshot(home.path(), "vit").join("model.safetensors").exists(), "no broken model in the cache");
    let offline = [&flops[..], &["--offline"]].concat();
    fails(&run(home.path(), &hub.endpoint(), &[], &offline), &["got"]);
    hub.state.breaks_off.store(false, Ordering::SeqCst);
    hub.requests();
    succeeds(&run(home.path(), &hub.endpoint(), &[], &flops));
    let size = std::fs::metadata(model("vit").join("model.safetensors")).unwrap().len();
    let resumed = format!("/cdn/vit/model.safetensors bytes={}-", size / 2);
    assert!(hub.requests().contains(&resumed), "what was there was not downloaded again");
    let here = std::fs::read(snapshot(home.path(), "vit").join("model.safetensors")).unwrap();
    assert_eq!(here, std::fs::read(model("vit").join("model.safetensors")).unwrap());

    // A part that is longer than the whole is of no use.
    let cache = home.path().join("other");
    let blobs = cache.join("models--tests--vit/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join("weights-vit.part"), vec![0; size as usize + 1]).unwrap();
    let other = [("HF_HUB_CACHE", cache.to_str().unwrap())];
    succeeds(&run(home.path(), &hub.endpoint(), &other, &flops));
    assert_eq!(std::fs::read(blobs.join("weights-vit")).unwrap(), here);
}

/// A folder of that name comes before the hub.
#[test]
fn a_path_wins() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("tests/vit");
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(model("vit").join(file), folder.join(file)).unwrap();
    }
    let hub = Hub::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tcvit"));
    command.current_dir(home.path()).env("HF_HOME", home.path()).env("HF_ENDPOINT", hub.endpoint());
    let output = command.env_remove("TCVIT_LOG").args(["flops", "--model", "tests/vit", "--json"]).output().unwrap();
    succeeds(&output);
    assert_eq!(hub.requests(), Vec::<String>::new());
}
