//! The library in a dozen lines: `cargo run --release --example classify -- PHOTO...`

use std::path::Path;

use tcvit::low_level::input::open_image;
use tcvit::{Condensation, Context, ContextOptions, Model, SessionOptions};

fn main() -> tcvit::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut photos: Vec<_> = std::env::args_os().skip(1).map(std::path::PathBuf::from).collect();
    if photos.is_empty() {
        photos.push(repository.join("crates/cli/assets/photos/chelsea.jpg"));
    }

    let gpu = Context::open(ContextOptions::new())?;
    let model = Model::load(&gpu, repository.join("assets/models/vit_cifar10_32"))?;
    let session = model.session(SessionOptions::new().condense(Condensation::training_free().drop_per_block(5)))?;
    let images = photos.iter().map(|path| open_image(path)).collect::<tcvit::Result<Vec<_>>>()?;
    for (path, prediction) in photos.iter().zip(session.classify(&images)?) {
        println!("{}", path.display());
        for guess in prediction.top(3) {
            println!("  {:5.1} %  {}", guess.probability * 100.0, guess.name());
        }
    }
    Ok(())
}
