//! An asynchronous program with one thread. It loads a model, classifies a photograph and cancels a batch while another
//! task keeps running. It prints the longest time for which that task had to wait.
//!
//! `cargo run --release --example without_blocking [PHOTO]`

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tcvit::{Condensation, Context, ContextOptions, LoadOptions, Model, Outputs, SessionOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> tcvit::Result<()> {
    tokio::task::LocalSet::new().run_until(run()).await
}

async fn run() -> tcvit::Result<()> {
    let longest = Rc::new(Cell::new(Duration::ZERO));
    let seen = longest.clone();
    tokio::task::spawn_local(async move {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            seen.set(seen.get().max(last.elapsed()));
            last = Instant::now();
        }
    });

    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let default = repository.join("crates/cli/assets/photos/chelsea.jpg");
    let photo = std::env::args_os().nth(1).map_or(default, Into::into);
    let start = Instant::now();
    let gpu = Context::open_async(ContextOptions::new()).await?;
    println!("{:6.2} s  opened {}", start.elapsed().as_secs_f64(), gpu.describe());
    let model = Model::load_async(&gpu, repository.join("assets/models/vit_cifar10_32"), &LoadOptions::new()).await?;
    println!("{:6.2} s  loaded the model", start.elapsed().as_secs_f64());
    let options = SessionOptions::new().batch(64).condense(Condensation::training_free().drop_per_block(5));
    let session = model.session_async(options).await?;
    println!("{:6.2} s  opened a session", start.elapsed().as_secs_f64());
    let prediction = &session.classify_async([photo]).await?[0];
    println!("{:6.2} s  {}", start.elapsed().as_secs_f64(), prediction.top(1)[0].name());

    // Dropping the future cancels it: the batch still runs on the GPU, and nobody waits for it.
    let pixels = vec![0.0; 64 * model.config().pixels()];
    let batch = session.run_async(pixels.clone(), Outputs::logits());
    match tokio::time::timeout(Duration::from_millis(1), batch).await {
        Err(_) => println!("{:6.2} s  cancelled a batch of 64", start.elapsed().as_secs_f64()),
        Ok(trace) => println!("{:6.2} s  {} images in time", start.elapsed().as_secs_f64(), trace?.images),
    }
    let trace = session.run_async(pixels.clone(), Outputs::logits()).await?;
    println!("{:6.2} s  computed {} images", start.elapsed().as_secs_f64(), trace.images);
    // `submit` starts a batch at once and returns a future.
    let trace = session.submit(&pixels, Outputs::logits())?.await?;
    println!("{:6.2} s  computed {} images", start.elapsed().as_secs_f64(), trace.images);
    println!("The other task never waited for more than {:.0} ms.", longest.get().as_secs_f64() * 1e3);
    Ok(())
}
