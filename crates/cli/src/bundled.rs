//! The model and the photograph that travel inside the program.

use image::RgbImage;
use tcvit::low_level::weights::Checkpoint;
use tcvit::{Context, LoadOptions, Model, Result};

/// Name of the model, which was fine-tuned with condensation, for output.
pub const MODEL: &str = "vit_cifar10_32_r5 (bundled)";
/// Name of the photograph, for output.
pub const PHOTO: &str = "chelsea.jpg (bundled)";

const WEIGHTS: &[u8] = include_bytes!("../assets/models/vit_cifar10_32_r5/model.safetensors");
const CONFIG: &str = include_str!("../assets/models/vit_cifar10_32_r5/config.json");
const CHELSEA: &[u8] = include_bytes!("../assets/photos/chelsea.jpg");

pub fn checkpoint() -> Result<(Checkpoint, &'static str)> {
    Ok((Checkpoint::from_bytes(WEIGHTS.to_vec(), MODEL)?, CONFIG))
}

pub fn model(context: &Context, options: &LoadOptions) -> Result<Model> {
    let (checkpoint, config) = checkpoint()?;
    Model::from_checkpoint_with(context, checkpoint, Some(config), options)
}

pub fn photo() -> Result<RgbImage> {
    tcvit::low_level::input::decode_image(CHELSEA, PHOTO)
}
