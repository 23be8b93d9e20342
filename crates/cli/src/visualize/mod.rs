//! `tcvit visualize PHOTO... -o OUT.png`

mod matrix;
mod patches;
mod sheet;

use std::path::PathBuf;

use clap::Args;
use image::RgbImage;
use serde_json::{Value, json};
use tcvit::low_level::convergence::Convergence;
use tcvit::low_level::input::open_image;
use tcvit::trace::PRUNED;
use tcvit::{Error, Outputs, Provenance, Result, Session, SessionOptions, Trace};

use crate::options::{CondenseOptions, DeviceOptions, ModelOptions, Work};
use crate::output::{describe, print, print_json};
use crate::picture::{self, PictureFile};

#[derive(Args)]
pub struct Arguments {
    /// Photographs (JPEG, PNG, WebP, BMP, GIF, TIFF). The picture shows several of them one below the other.
    #[arg(value_name = "PHOTO", required = true)]
    photos: Vec<PathBuf>,
    /// The picture file: .png or .svg.
    #[arg(short, long, value_name = "OUT.png|OUT.svg")]
    output: PictureFile,
    /// Draw |I - a W| of every block as heat maps instead of patches, with the figures that decide whether Newton's
    /// iteration converges. The default preset is then `paper`.
    #[arg(long)]
    matrix: bool,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    condense: CondenseOptions,
    #[command(flatten)]
    device: DeviceOptions,
    /// Images in a batch.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One photograph with its results.
struct Subject {
    file: String,
    name: String,
    /// The model's input, before normalisation.
    seen: RgbImage,
    /// With [`Arguments::matrix`]: the convergence of each block that condenses.
    convergence: Vec<Convergence>,
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let mut options = arguments.condense.clone();
    if arguments.matrix {
        options.preset.get_or_insert_with(|| "paper".into());
    }
    let nothing = |got: &str| Error::config("visualize", "a condensation that drops tokens", got);
    let condensation = options.condensation(&arguments.model)?.ok_or_else(|| nothing("--condense off"))?;
    let alpha = condensation.alpha;
    let photos = arguments.photos.iter().map(|path| open_image(path)).collect::<Result<Vec<RgbImage>>>()?;
    let context = arguments.device.open(Work::Short)?;
    let model = arguments.model.load(&context)?;
    let options = SessionOptions::new().batch(arguments.batch).condense(condensation);
    let session = model.session(if arguments.matrix { options.inspect() } else { options })?;
    if !session.plan().condenses() {
        return Err(nothing("R = 0 in every block"));
    }
    let pixels = model.preprocess().pixels_batch(&photos)?;
    let trace = session.run(&pixels, Outputs::logits().trace())?;
    let provenance = Provenance::new(&trace, session.plan())?;
    let mut subjects = Vec::with_capacity(photos.len());
    for (image, (path, photo)) in arguments.photos.iter().zip(&photos).enumerate() {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        subjects.push(Subject {
            file: path.display().to_string(),
            name,
            seen: model.preprocess().crop_resized(photo)?,
            convergence: if arguments.matrix { convergence(&trace, image, alpha)? } else { Vec::new() },
        });
    }
    let report = Report { arguments, session: &session, subjects, trace, provenance, alpha };
    let title = report.title();
    let page = match arguments.matrix {
        true => matrix::draw(&title, &report.subjects, &report.trace, alpha)?,
        false => sheet::draw(&title, &report.subjects, &report.trace, &report.provenance, model.config().patch)?,
    };
    let size = picture::save(&arguments.output.0, page)?;
    if arguments.json {
        report.json()?
    } else {
        report.text(size)?
    }
    Ok(true)
}

/// The convergence of every block for one image.
fn convergence(trace: &Trace, image: usize, alpha: f32) -> Result<Vec<Convergence>> {
    let of = |block: &tcvit::trace::BlockTrace| {
        let w =
            block.connectivity.chunks_exact(block.patches.pow(2)).nth(image).ok_or_else(|| {
                Error::config("visualize --matrix", "a condensation that forms W", "one that needs no W")
            })?;
        Convergence::of(w, block.patches, f64::from(alpha))
    };
    trace.blocks.iter().map(of).collect()
}

struct Report<'a> {
    arguments: &'a Arguments,
    session: &'a Session,
    subjects: Vec<Subject>,
    trace: Trace,
    provenance: Provenance,
    alpha: f32,
}

impl Report<'_> {
    /// Model and condensation, which are the same for the whole picture.
    fn title(&self) -> String {
        format!("{}, {}", self.arguments.model.name(), describe(self.session.plan()))
    }

    fn text(&self, size: [u32; 2]) -> Result<()> {
        let mut out = String::new();
        for (image, subject) in self.subjects.iter().enumerate() {
            out += &format!("{}\n", subject.file);
            out += match self.arguments.matrix {
                true => "  block  tokens  diagonally dominant rows  norm of I - A X0  iterations\n",
                false => "  block  tokens  groups  largest  pruned\n",
            };
            for (index, block) in self.trace.blocks.iter().enumerate() {
                let number = block.block + 1;
                if let Some(c) = subject.convergence.get(index) {
                    let (share, norm) = (c.dominant_share * 100.0, norm_text(c));
                    let (tokens, iterations) = (block.patches, c.iterations);
                    out += &format!("  {number:5}  {tokens:6}  {share:22.1} %  {norm:>16}  {iterations:10}\n");
                } else {
                    let after = &self.provenance.blocks[block.block];
                    let sizes = after.sizes_of(image);
                    let groups = sizes.iter().filter(|&&size| size > 1).count();
                    let largest = sizes.iter().max().copied().unwrap_or_default();
                    let pruned = after.patches - sizes.iter().sum::<usize>();
                    out += &format!("  {number:5}  {:6}  {groups:6}  {largest:7}  {pruned:6}\n", after.tokens);
                }
            }
        }
        if self.arguments.matrix {
            let settled = self.subjects.iter().flat_map(|subject| &subject.convergence).all(|c| c.settled);
            out += &format!(
                "\nA = I - a W, a = {}, X0 = diag(A)^-1; Newton's iteration needs a norm below 1\n",
                self.alpha
            );
            out += &format!(
                "norm by power iteration until it changes by less than {:e} of itself{}\n",
                tcvit::low_level::convergence::TOLERANCE,
                if settled { "" } else { "; > marks a norm that did not settle, so it is at least this" }
            );
        }
        out += &format!("\nmodel    {}\n", self.title());
        out += &format!("adapter  {}\n", self.session.model().context().describe());
        out += &format!("picture  {}, {} x {}\n", self.arguments.output.0.display(), size[0], size[1]);
        print(&out)
    }

    fn json(&self) -> Result<()> {
        let images: Vec<Value> = (0..self.subjects.len()).map(|image| self.image_json(image)).collect();
        print_json(&json!({
            "model": self.arguments.model.name(),
            "condensation": describe(self.session.plan()),
            "adapter": self.session.model().context().describe(),
            "picture": self.arguments.output.0.display().to_string(),
            "alpha": self.arguments.matrix.then_some(self.alpha),
            "images": images,
        }))
    }

    /// The JSON of one image. Blocks count from 0, as in a trace.
    fn image_json(&self, image: usize) -> Value {
        let subject = &self.subjects[image];
        let blocks = self.trace.blocks.iter().enumerate().map(|(index, block)| {
            let after = &self.provenance.blocks[block.block];
            let pruned = after.tokens_of(image).iter().filter(|&&token| token == PRUNED).count();
            json!({
                "block": block.block,
                "tokens": after.tokens,
                "groups": after.sizes_of(image),
                "pruned": pruned,
                "matrix": subject.convergence.get(index).map(|c| json!({
                    "tokens": block.patches,
                    "dominant_share": c.dominant_share,
                    // JSON has no infinity, so an infinite norm becomes null.
                    "norm": c.norm,
                    "iterations": c.iterations,
                    "settled": c.settled,
                })),
            })
        });
        json!({ "file": subject.file, "blocks": blocks.collect::<Vec<_>>() })
    }
}

/// The norm as `12.3`, `4,567` or `1.2e7`, with `> ` before it if it is a lower bound.
fn norm_text(convergence: &Convergence) -> String {
    let norm = convergence.norm;
    let bound = if convergence.settled { "" } else { "> " };
    let text = match norm {
        _ if !norm.is_finite() => "∞".to_owned(),
        _ if norm >= 999_999.5 => format!("{norm:.1e}"),
        _ if norm >= 999.5 => format!("{},{:03}", norm.round() as u64 / 1000, norm.round() as u64 % 1000),
        _ if norm >= 99.95 => format!("{norm:.0}"),
        _ if norm >= 9.995 => format!("{norm:.1}"),
        _ => format!("{norm:.2}"),
    };
    format!("{bound}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_read_well() {
        let text = |norm, settled| norm_text(&Convergence { dominant_share: 0.0, norm, iterations: 1, settled });
        for (norm, expected) in [
            (0.5, "0.50"),
            (9.999, "10.0"),
            (99.96, "100"),
            (999.6, "1,000"),
            (18_004.4, "18,004"),
            (999_999.4, "999,999"),
            (2.5e7, "2.5e7"),
            (f64::INFINITY, "∞"),
        ] {
            assert_eq!(text(norm, true), expected);
        }
        assert_eq!(text(20.0, false), "> 20.0");
    }
}
