//! Pixels that another program prepared, for `--pixels` and for tests against other implementations.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::error::{Error, Result};
use crate::weights::check_layout;

/// Reads tensor `pixels` [B, 3, rows, columns] f32, already normalised, from a safetensors file.
///
/// # Errors
/// [`Error::File`] when the file cannot be read or is not a safetensors file, [`Error::Shape`] when the tensor is
/// missing or has another type or shape.
pub fn load_pixels(path: &Path, [rows, columns]: [usize; 2]) -> Result<Vec<f32>> {
    let op = format!("read pixels from {}", path.display());
    let bytes =
        std::fs::read(path).map_err(|error| Error::file(&op, "a readable file", error.to_string()).caused_by(error))?;
    check_layout(&bytes).map_err(|got| Error::file(&op, "a whole safetensors file", got))?;
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| Error::file(&op, "a whole safetensors file", error.to_string()).caused_by(error))?;
    let expected = format!("tensor `pixels` [B, 3, {rows}, {columns}] f32");
    let tensor =
        file.tensor("pixels").map_err(|error| Error::shape(&op, &expected, error.to_string()).caused_by(error))?;
    match (tensor.dtype(), tensor.shape()) {
        (Dtype::F32, &[images, 3, height, width]) if images > 0 && height == rows && width == columns => {
            Ok(tensor.data().as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
        }
        (dtype, shape) => Err(Error::shape(&op, expected, format!("{dtype:?} {shape:?}"))),
    }
}
