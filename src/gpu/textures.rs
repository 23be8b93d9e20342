//! Weights in textures. A texel holds four neighbouring 4-byte words of a row.

use bytemuck::Pod;

use super::recorder::Operand;
use super::{Context, buffers};
use crate::error::{Error, Result};

/// Four 4-byte words in each texel: the bits of f32, or pairs of f16.
pub(super) const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba32Uint;
const TEXEL: u32 = 16;

/// Where weights lie. It decides which of `cpu/weights_*.wgsl` an `#import` stands for. llvmpipe loads a whole texel at
/// once, but loads an element of a buffer lane by lane: from a texture the vec4s of eight lanes take an eighteenth of
/// the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Home {
    /// A storage buffer.
    #[default]
    Buffer,
    /// A texture, made by [`texture`].
    Texture,
}

impl Home {
    /// Both homes.
    pub const ALL: [Self; 2] = [Self::Buffer, Self::Texture];

    /// `buffer` or `texture`, whichever belongs to this home.
    pub(crate) fn of<T>(self, buffer: T, texture: T) -> T {
        match self {
            Self::Buffer => buffer,
            Self::Texture => texture,
        }
    }
}

/// Weights in either [`Home`].
#[derive(Clone, Copy, Debug)]
pub enum Matrix<'a> {
    /// Row after row.
    Buffer(&'a wgpu::Buffer),
    /// One row of texels for each row of the matrix.
    Texture(&'a wgpu::TextureView),
}

impl<'a> From<&'a wgpu::Buffer> for Matrix<'a> {
    fn from(buffer: &'a wgpu::Buffer) -> Self {
        Self::Buffer(buffer)
    }
}

impl<'a> Matrix<'a> {
    /// Where the weights lie.
    pub fn home(self) -> Home {
        match self {
            Self::Buffer(_) => Home::Buffer,
            Self::Texture(_) => Home::Texture,
        }
    }

    /// The operand that `kernel` binds: `rows` rows of `stride` 4-byte words.
    ///
    /// # Errors
    /// [`Error::Shape`] if a texture has too few texels, or if its rows are not whole texels.
    pub(crate) fn operand(self, kernel: &str, [rows, stride]: [usize; 2]) -> Result<Operand<'a>> {
        let view = match self {
            Self::Buffer(buffer) => return Ok(Operand::buffer(buffer, rows * stride)),
            Self::Texture(view) => view,
        };
        let size = view.texture().size();
        let [width, height] = [size.width, size.height].map(|n| n as usize);
        if !stride.is_multiple_of(4) || stride > width * 4 || rows > height {
            let expected = format!("{rows} rows of {stride} words, in whole texels");
            let got = format!("{height} rows of {width} texels");
            return Err(Error::shape(format!("{kernel}: a texture"), expected, got));
        }
        Ok(Operand::Texture(view))
    }

    /// The buffer that holds the weights.
    ///
    /// # Errors
    /// [`Error::Shape`] if they lie in a texture.
    pub(crate) fn buffer(self, op: &str) -> Result<&'a wgpu::Buffer> {
        match self {
            Self::Buffer(buffer) => Ok(buffer),
            Self::Texture(_) => Err(Error::shape(op, "a matrix in a buffer", "one in a texture")),
        }
    }
}

/// Weights together with the memory that holds them.
#[derive(Clone, Debug)]
pub enum Placed {
    /// In a storage buffer.
    Buffer(wgpu::Buffer),
    /// In a texture.
    Texture(wgpu::TextureView),
}

impl Placed {
    /// Weights zeroed by wgpu: a texture of `texels`, or a buffer of `len` 4-byte elements if there are none.
    ///
    /// # Errors
    /// As [`texture`] and [`empty`](super::empty).
    pub(crate) fn empty(context: &Context, label: &str, len: usize, texels: Option<Texels>) -> Result<Self> {
        Ok(match texels {
            Some(size) => Self::Texture(texture(context, label, size)?),
            None => Self::Buffer(buffers::empty(context, label, len)?),
        })
    }

    /// Weights with the values of `data`: rows of `texels` in a texture, or all of `data` in a buffer.
    ///
    /// # Errors
    /// As [`upload_texture`] and [`upload`](super::upload).
    pub fn upload<T: Pod>(context: &Context, label: &str, data: &[T], texels: Texels, home: Home) -> Result<Self> {
        Ok(match home {
            Home::Buffer => Self::Buffer(buffers::upload(context, label, data)?),
            Home::Texture => Self::Texture(upload_texture(context, label, data, texels)?),
        })
    }

    /// The weights as an operand of kernels.
    pub fn matrix(&self) -> Matrix<'_> {
        match self {
            Self::Buffer(buffer) => Matrix::Buffer(buffer),
            Self::Texture(view) => Matrix::Texture(view),
        }
    }
}

/// Texels in a row, and rows.
pub type Texels = [u32; 2];

/// Whether the device of `context` can have a texture of this size.
pub fn fits(context: &Context, [width, height]: Texels) -> bool {
    width.max(height) <= context.limits().max_texture_dimension_2d
}

/// A side that is not a power of two, if the device can have it. llvmpipe compiles a kernel again if the last texture
/// had no side that is a power of two and the next one has, although it reads both alike.
fn uneven(side: u32, most: u32) -> u32 {
    let longer = if side == 1 { 3 } else { side + 1 };
    if side.is_power_of_two() && longer <= most { longer } else { side }
}

/// A texture with four 4-byte words in each texel, zeroed by wgpu. It may have one or two more columns and rows than
/// asked for.
///
/// # Errors
/// [`Error::Limit`] past the device's limits, [`Error::Device`] when memory runs out.
pub fn texture(context: &Context, label: &str, size: Texels) -> Result<wgpu::TextureView> {
    let op = format!("allocate {label}");
    if !fits(context, size) {
        let side = context.limits().max_texture_dimension_2d;
        return Err(Error::limit(op, format!("at most {side} x {side} texels"), format!("{size:?}")));
    }
    let [width, height] =
        size.map(|count| count.max(1)).map(|side| uneven(side, context.limits().max_texture_dimension_2d));
    context.checked(&op, || {
        let texture = context.device().create_texture(&wgpu::TextureDescriptor {
            label: Some(label),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_SRC | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        Ok(texture.create_view(&wgpu::TextureViewDescriptor {
            dimension: Some(wgpu::TextureViewDimension::D2Array),
            ..Default::default()
        }))
    })
}

/// A texture that holds `data`, row after row.
///
/// # Errors
/// [`Error::Shape`] unless `data` has 16 bytes for every texel; otherwise as [`texture`].
pub fn upload_texture<T: Pod>(context: &Context, label: &str, data: &[T], size: Texels) -> Result<wgpu::TextureView> {
    let bytes: &[u8] = bytemuck::cast_slice(data);
    let needed = size.iter().map(|&count| count as usize).product::<usize>() * TEXEL as usize;
    if bytes.len() != needed {
        return Err(Error::shape(label, format!("{needed} bytes"), bytes.len().to_string()));
    }
    let view = texture(context, label, size)?;
    if context.rehearses() {
        return Ok(view);
    }
    context.checked(label, || {
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(size[0] * TEXEL),
            rows_per_image: Some(size[1]),
        };
        context.queue().write_texture(view.texture().as_image_copy(), bytes, layout, extent(size));
        Ok(())
    })?;
    buffers::written(context, label, bytes.len())?;
    Ok(view)
}

fn extent([width, height]: Texels) -> wgpu::Extent3d {
    wgpu::Extent3d { width, height, depth_or_array_layers: 1 }
}

#[cfg(test)]
mod tests {
    use super::uneven;

    #[test]
    fn sides_are_no_powers_of_two_where_there_is_room() {
        for side in 1..=1000 {
            let made = uneven(side, 1000);
            assert!((side..=side + 2).contains(&made) && !made.is_power_of_two(), "{side}: {made}");
        }
        assert_eq!([512, 511].map(|side| uneven(side, 512)), [512, 511]);
    }
}
