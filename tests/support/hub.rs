//! A server that speaks the hub's paths, redirects and ranges, and fails as the hub does.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::repository;

/// The only commit.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server knows and does.
struct State {
    address: SocketAddr,
    stopped: AtomicBool,
    /// Whether weights break off in the middle.
    breaks_off: AtomicBool,
    requests: Mutex<Vec<String>>,
}

/// A hub with the repositories `tests/vit`, `tests/dinov2` (without a preprocessor file), `tests/bin`, `tests/sharded`,
/// `tests/gated` and `tests/private`.
pub struct Hub {
    state: Arc<State>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Hub {
    pub fn start() -> Self {
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

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.state.address)
    }

    /// Whether weights break off in the middle from now on.
    pub fn break_off(&self, breaks: bool) {
        self.state.breaks_off.store(breaks, Ordering::SeqCst);
    }

    /// The requests so far, which are then forgotten.
    pub fn requests(&self) -> Vec<String> {
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
pub fn model(name: &str) -> PathBuf {
    repository("tests/goldens/transformers").join(name)
}
