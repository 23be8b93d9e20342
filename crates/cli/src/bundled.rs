//! The model and the photograph that are embedded in the program.

use image::RgbImage;
use tcvit::low_level::weights::Checkpoint;
use tcvit::{Context, LoadOptions, Model, Result};

/// The model's name in output. It was fine-tuned with condensation.
pub const MODEL: &str = "vit_cifar10_32_r5 (bundled)";
/// The photograph's name in output.
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
