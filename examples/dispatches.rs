//! Lists the dispatches of a session on this device: for every dispatch, the part of the network, the key of its
//! pipeline (kernel, types, constants) and its workgroup counts. Use it to compare two builds or two devices:
//!
//! ```sh
//! cargo run --release --example dispatches -- deit_tiny f16 8 paper 14 > paper.txt
//! cargo run --release --example dispatches -- deit_tiny f16 8 full 0 as-gpu > full_gpu.txt
//! ```

use std::error::Error;

use tcvit::low_level::gpu::Keep;
use tcvit::{Condensation, Context, ContextOptions, LoadOptions, Model, SessionOptions, VitConfig};

const USAGE: &str = "dispatches PRESET f32|f16 BATCH full|PRESET_OF_CONDENSATION DROP [as-gpu]";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, precision, batch, condense, drop, rest @ ..] = arguments.as_slice() else { return Err(USAGE.into()) };
    let as_gpu = rest.iter().any(|word| word == "as-gpu");
    let context = Context::open(ContextOptions::new().keep(Keep::Nothing).as_gpu(as_gpu))?;
    let load = LoadOptions::new().precision(precision.parse()?);
    let model = Model::random_with(&context, &VitConfig::preset(model)?, 1, &load)?;
    let condensation = match condense.as_str() {
        "full" => None,
        preset => Some(Condensation::preset(preset)?.drop_per_block(drop.parse()?)),
    };
    let session = model.session(SessionOptions::new().batch(batch.parse()?).condensation(condensation))?;
    for (section, key, workgroups) in session.recording().dispatches() {
        println!("{section}: {key} {workgroups:?}");
    }
    Ok(())
}
