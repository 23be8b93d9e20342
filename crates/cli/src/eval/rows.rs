//! Rows with the answers of every model to one image. They are written to a CSV file, from which an interrupted run
//! continues.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use tcvit::low_level::file::write_whole;
use tcvit::{Error, Result};

/// The answer of one model to one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// Index of the class with the largest logit.
    pub class: usize,
    /// How many classes have a larger logit than the right class. At rank 0 the answer is right.
    pub rank: usize,
    /// Kullback-Leibler divergence of the model's probabilities from the full model's, in nats.
    pub divergence: f64,
}

impl Answer {
    /// The answer from a model's logits and the full model's logits for the same image, whose right class is `class`.
    pub fn new(logits: &[f32], full: &[f32], class: usize) -> Self {
        let larger = |than: usize| {
            let before =
                |(index, &logit): (usize, &f32)| logit > logits[than] || (logit == logits[than] && index < than);
            logits.iter().enumerate().filter(|&item| before(item)).count()
        };
        let best = (0..logits.len()).find(|&index| larger(index) == 0).unwrap_or(0);
        let (own, full) = (log_softmax(logits), log_softmax(full));
        let divergence = full.iter().zip(&own).map(|(full, own)| full.exp() * (full - own)).sum::<f64>();
        Self { class: best, rank: larger(class), divergence: divergence.max(0.0) }
    }
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().fold(f64::NEG_INFINITY, |most, &logit| most.max(f64::from(logit)));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum();
    logits.iter().map(|&logit| f64::from(logit) - most - sum.ln()).collect()
}

/// An image and the answers of every model, the full model first.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub name: String,
    pub class: usize,
    pub answers: Vec<Answer>,
}

/// Rows that are written to a CSV file. They go into `FILE.part`, which is removed once the whole file is written.
pub struct Rows {
    columns: Vec<String>,
    done: HashMap<String, Row>,
    output: Option<Output>,
}

struct Output {
    path: PathBuf,
    part: PathBuf,
    file: std::fs::File,
}

impl Rows {
    /// Starts rows for these models, in memory only or for the file `path`. An unfinished file with the same columns
    /// and the same `identity` is continued; `identity` names the model and the folder.
    pub fn open(models: &[String], identity: &str, path: Option<&Path>) -> Result<Self> {
        let columns = columns(models);
        let Some(path) = path else { return Ok(Self { columns, done: HashMap::new(), output: None }) };
        let part = path.with_file_name(format!("{}.part", path.file_name().unwrap_or_default().to_string_lossy()));
        let first = [format!("# {identity}\n").into_bytes(), line(&columns)?].concat();
        let mut done = HashMap::new();
        let mut start = first.clone();
        if let Ok(bytes) = std::fs::read(&part) {
            // The last line may be incomplete.
            let whole = &bytes[..bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)];
            if !whole.starts_with(&first) {
                return Err(Error::file(
                    "resume evaluation",
                    format!("{} to belong to this model, this folder and these condensations", part.display()),
                    "another evaluation's file; remove it or name another",
                ));
            }
            for row in read(&whole[first.len()..], models.len(), &part)? {
                done.insert(row.name.clone(), row);
            }
            start = whole.to_vec();
        }
        write_whole(&part, &start)?;
        let file = std::fs::OpenOptions::new().append(true).open(&part).map_err(|error| failed(&part, error))?;
        Ok(Self { columns, done, output: Some(Output { path: path.to_owned(), part, file }) })
    }

    /// The row of an image that an earlier run has evaluated.
    pub fn done(&self, name: &str) -> Option<&Row> {
        self.done.get(name)
    }

    /// Appends rows to the unfinished file.
    pub fn add(&mut self, rows: &[Row]) -> Result<()> {
        let Some(output) = &mut self.output else { return Ok(()) };
        let mut bytes = Vec::new();
        for row in rows {
            bytes.extend(line(&cells(row))?);
        }
        output.file.write_all(&bytes).and_then(|()| output.file.flush()).map_err(|error| failed(&output.part, error))
    }

    /// Writes the whole file with `rows` in this order, and removes the unfinished file.
    pub fn finish(self, rows: &[Row]) -> Result<()> {
        let Some(output) = self.output else { return Ok(()) };
        let mut bytes = line(&self.columns)?;
        for row in rows {
            bytes.extend(line(&cells(row))?);
        }
        write_whole(&output.path, &bytes)?;
        std::fs::remove_file(&output.part).map_err(|error| failed(&output.part, error))
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    let expected = format!("to be able to write {}", path.display());
    Error::file("write evaluation", expected, error.to_string()).caused_by(error)
}

fn columns(models: &[String]) -> Vec<String> {
    let of_model = |model: &String| ["class", "rank", "divergence"].map(|what| format!("{model}: {what}"));
    ["file", "class"].map(String::from).into_iter().chain(models.iter().flat_map(of_model)).collect()
}

fn cells(row: &Row) -> Vec<String> {
    let of_answer =
        |answer: &Answer| [answer.class.to_string(), answer.rank.to_string(), format!("{:.9e}", answer.divergence)];
    [row.name.clone(), row.class.to_string()].into_iter().chain(row.answers.iter().flat_map(of_answer)).collect()
}

fn line(cells: &[String]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let unwritable = |got: String| Error::file("write CSV", "text", got);
    writer.write_record(cells).map_err(|error| unwritable(error.to_string()))?;
    writer.into_inner().map_err(|error| unwritable(error.to_string()))
}

fn read(bytes: &[u8], models: usize, part: &Path) -> Result<Vec<Row>> {
    let damaged = |got: String| {
        Error::file("resume evaluation", format!("whole rows in {}; remove it to start again", part.display()), got)
    };
    let mut rows = Vec::new();
    for record in csv::ReaderBuilder::new().has_headers(false).from_reader(bytes).records() {
        let record = record.map_err(|error| damaged(error.to_string()))?;
        let cells: Vec<&str> = record.iter().collect();
        let row = parse(&cells).filter(|row| row.answers.len() == models);
        rows.push(row.ok_or_else(|| damaged(cells.join(",")))?);
    }
    Ok(rows)
}

fn parse(cells: &[&str]) -> Option<Row> {
    let (name, class, rest) = (cells.first()?, cells.get(1)?.parse().ok()?, cells.get(2..)?);
    let answer = |cells: &[&str]| {
        Some(Answer {
            class: cells.first()?.parse().ok()?,
            rank: cells.get(1)?.parse().ok()?,
            divergence: cells.get(2)?.parse().ok()?,
        })
    };
    let answers = rest.chunks(3).map(answer).collect::<Option<Vec<_>>>()?;
    Some(Row { name: (*name).to_owned(), class, answers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Row {
        let answers =
            vec![Answer { class: 3, rank: 1, divergence: 0.0 }, Answer { class: 2, rank: 0, divergence: 0.125 }];
        Row { name: name.into(), class: 2, answers }
    }

    #[test]
    fn answers_rank_the_right_class_and_measure_the_divergence() {
        let full = [0.0, 2.0, 1.0];
        let same = Answer::new(&full, &full, 2);
        assert_eq!((same.class, same.rank, same.divergence), (1, 1, 0.0));
        // For two classes with logits l and 0, p = 1 / (1 + e^-l).
        let other = Answer::new(&[0.0, 0.0], &[2.0, 0.0], 0);
        let p = 1.0 / (1.0 + (-2.0f64).exp());
        let expected = p * (p / 0.5).ln() + (1.0 - p) * ((1.0 - p) / 0.5).ln();
        assert!((other.divergence - expected).abs() < 1e-12, "{other:?}");
        // Ties go to the lower index.
        assert_eq!((other.class, other.rank, Answer::new(&[0.0, 0.0], &full[..2], 1).rank), (0, 0, 1));
    }

    #[test]
    fn an_interrupted_run_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let models = ["full".to_owned(), "paper, R = 5".to_owned()];
        let mut rows = Rows::open(&models, "model", Some(&path)).unwrap();
        rows.add(&[row("a/1.png"), row("a,\"2\".png")]).unwrap();
        drop(rows);
        assert!(!path.exists());
        // The third row is incomplete.
        let part = folder.path().join("rows.csv.part");
        let mut bytes = std::fs::read(&part).unwrap();
        bytes.extend(b"a/3.png,2,3");
        std::fs::write(&part, bytes).unwrap();
        assert!(Rows::open(&models[..1], "model", Some(&path)).is_err());
        assert!(Rows::open(&models, "another model", Some(&path)).is_err());
        let mut rows = Rows::open(&models, "model", Some(&path)).unwrap();
        assert_eq!(rows.done("a/1.png"), Some(&row("a/1.png")));
        assert_eq!(rows.done("a,\"2\".png"), Some(&row("a,\"2\".png")));
        assert_eq!(rows.done("a/3.png"), None);
        rows.add(&[row("a/3.png")]).unwrap();
        rows.finish(&[row("a/1.png"), row("a/3.png")]).unwrap();
        assert!(path.exists() && !part.exists());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(
            text.starts_with("file,class,full: class,full: rank,full: divergence,\"paper, R = 5: class\""),
            "{text}"
        );
    }
}
