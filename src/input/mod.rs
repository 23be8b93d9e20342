//! Makes the network's pixels from an image, as timm's evaluation does. The short side is resized to `side / crop`
//! (when squashed, both sides), the centre square of `side` is cut out, and bytes are divided by 255 and normalised.
//! The resized bytes equal Pillow's.

mod decode;
mod filter;
mod images;
mod photographs;
mod pixels;
mod resample;

pub use decode::{decode_image, open_image};
pub use filter::Filter;
pub use images::IntoImage;
pub use photographs::Photographs;
pub use pixels::load_pixels;

use std::borrow::Borrow;

use glam::{DAffine2, DMat2, DVec2};
use image::RgbImage;

use crate::error::{Error, Result};
use crate::kernels::texture;
use resample::Axis;

/// The longest side of an image that is resized, equal to JPEG's limit. It keeps every product of sizes exact in f64.
const MOST_SOURCE: u32 = 65_535;
/// The longest side of the network's image.
const MOST_SIDE: usize = 16_384;
/// The longest short side of the resized image, which limits how small `crop` may be.
const MOST_SHORT: f64 = (1 << 20) as f64;

/// How an image becomes the network's pixels.
///
/// ```
/// use tcvit::low_level::input::Preprocess;
/// let photo = image::RgbImage::from_pixel(600, 400, image::Rgb([255, 0, 0]));
/// let pixels = Preprocess::imagenet(224).pixels(&photo)?;
/// assert_eq!(pixels.len(), 3 * 224 * 224);
/// assert!((pixels[0] - (1.0 - 0.485) / 0.229).abs() < 1e-5);
/// # Ok::<(), tcvit::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Preprocess {
    /// Pixels along a side of the network's image.
    pub side: usize,
    /// timm's `crop_pct`, above 0 and at most 1: the share of the resized image's short side that the square covers.
    pub crop: f64,
    /// Whether both sides are resized to `side / crop`, whatever the image's shape, as in transformers' ViT and DeiT.
    /// Otherwise only the short side is resized to it, and the aspect ratio is kept.
    pub squash: bool,
    /// Mean that is subtracted from red, green and blue, with full brightness as 1.
    pub mean: [f32; 3],
    /// Standard deviation by which the channels are then divided.
    pub std: [f32; 3],
    /// timm's `interpolation`.
    pub filter: Filter,
}

impl Preprocess {
    /// ImageNet's mean and standard deviation, a crop of 0.9 and bicubic resampling, as in timm's DeiT.
    pub fn imagenet(side: usize) -> Self {
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        Self { side, crop: 0.9, squash: false, mean, std, filter: Filter::Bicubic }
    }

    /// Checks that the fields are valid. Every method that uses them calls this first.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field. A crop above 1 would pad the image with black and is refused.
    pub fn validate(&self) -> Result<()> {
        const OP: &str = "preprocess";
        if !(1..=MOST_SIDE).contains(&self.side) {
            return Err(Error::config(OP, format!("a side of 1 to {MOST_SIDE} pixels"), self.side.to_string()));
        }
        if !(self.crop > 0.0 && self.crop <= 1.0 && self.side as f64 / self.crop <= MOST_SHORT) {
            let least = self.side as f64 / MOST_SHORT;
            return Err(Error::config(OP, format!("a crop of {least:.1e} to 1"), self.crop.to_string()));
        }
        if !self.mean.iter().all(|mean| mean.is_finite()) {
            return Err(Error::config(OP, "a finite mean", format!("{:?}", self.mean)));
        }
        // A subnormal divisor would give infinities.
        if !self.std.iter().all(|std| std.is_normal()) {
            return Err(Error::config(OP, "a finite std that is not 0", format!("{:?}", self.std)));
        }
        Ok(())
    }

    /// The position of the network's pixels in an image of `width` by `height`: the map from output to source
    /// coordinates, both in pixels from the top left corner, with the centre of a pixel at a half. Its `matrix2` is
    /// diagonal and holds the source pixels per output pixel. Its inverse maps a point of the photograph to the
    /// network's image.
    ///
    /// # Errors
    /// [`Error::Config`] as [`Preprocess::validate`], [`Error::Image`] when a side is 0 or above 65,535.
    pub fn placement(&self, width: u32, height: u32) -> Result<DAffine2> {
        let [x, y] = self.axes(width, height)?;
        let scale = DVec2::new(x.scale(), y.scale());
        let offset = DVec2::new(x.first as f64, y.first as f64) * scale;
        Ok(DAffine2::from_mat2_translation(DMat2::from_diagonal(scale), offset))
    }

    /// The image resized and cropped to `side` by `side`, with the bytes that Pillow and torchvision give.
    ///
    /// # Errors
    /// As [`Preprocess::placement`].
    pub fn crop_resized(&self, image: &RgbImage) -> Result<RgbImage> {
        let [x, y] = self.axes(image.width(), image.height())?;
        let bytes = resample::resample(image, &x, &y, self.filter);
        let (side, got) = (self.side as u32, bytes.len());
        RgbImage::from_raw(side, side, bytes)
            .ok_or_else(|| Error::image("resize image", format!("{side} x {side} x 3 bytes"), got.to_string()))
    }

    /// The network's pixels, [3, side, side], `(v / 255 - mean) / std`.
    ///
    /// # Errors
    /// As [`Preprocess::placement`].
    pub fn pixels(&self, image: &RgbImage) -> Result<Vec<f32>> {
        let mut pixels = vec![0.0; self.elements()?];
        self.fill(image, &mut pixels)?;
        Ok(pixels)
    }

    /// The pixels of a batch, [B, 3, side, side], prepared on every core.
    ///
    /// # Errors
    /// As [`Preprocess::placement`], naming the image by its number.
    pub fn pixels_batch<I: Borrow<RgbImage> + Sync>(&self, images: &[I]) -> Result<Vec<f32>> {
        let each = self.elements()?;
        let mut pixels = vec![0.0; images.len() * each];
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let share = images.len().div_ceil(workers).max(1);
        let prepare = |(part, (images, pixels)): (usize, (&[I], &mut [f32]))| -> Result<()> {
            for (number, (image, pixels)) in images.iter().zip(pixels.chunks_exact_mut(each)).enumerate() {
                self.fill(image.borrow(), pixels).map_err(|error| of_image(error, part * share + number))?;
            }
            Ok(())
        };
        let parts = images.chunks(share).zip(pixels.chunks_mut(share * each)).enumerate();
        std::thread::scope(|scope| {
            let workers: Vec<_> = parts.map(|part| scope.spawn(move || prepare(part))).collect();
            let stopped = |_| Err(Error::image("prepare batch", "every worker to finish", "a worker that stopped"));
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(stopped))
        })?;
        Ok(pixels)
    }

    /// Checks that every image can be prepared. The error names the first that cannot by its number.
    pub(crate) fn check_batch<I: Borrow<RgbImage>>(&self, images: &[I], first: usize) -> Result<()> {
        let check = |(number, image): (usize, &I)| {
            let image: &RgbImage = image.borrow();
            self.axes(image.width(), image.height()).map(drop).map_err(|error| of_image(error, first + number))
        };
        images.iter().enumerate().try_for_each(check)
    }

    /// The parameters with which [`texture::record`] prepares a texture of `width` by `height` texels as image `slot`
    /// of a batch. `srgb` says that the view has an sRGB format, which loading decodes. The kernel then encodes the
    /// values again, since the network was trained on encoded values. A view with a format that is not sRGB saves that
    /// work.
    ///
    /// # Errors
    /// As [`Preprocess::placement`]; [`Error::Config`] for filters other than bicubic and bilinear.
    pub fn texture_params(&self, width: u32, height: u32, slot: u32, srgb: bool) -> Result<texture::Params> {
        let placement = self.placement(width, height)?;
        let bicubic = match self.filter {
            Filter::Bicubic => true,
            Filter::Bilinear => false,
            other => {
                let expected = "bicubic or bilinear interpolation for input from a texture";
                return Err(Error::config("texture input", expected, other.to_string()));
            }
        };
        let [mean_r, mean_g, mean_b] = self.mean;
        let [std_r, std_g, std_b] = self.std;
        Ok(texture::Params {
            side: self.side as u32,
            slot,
            width,
            height,
            scale_x: placement.matrix2.x_axis.x as f32,
            scale_y: placement.matrix2.y_axis.y as f32,
            offset_x: placement.translation.x as f32,
            offset_y: placement.translation.y as f32,
            bicubic: bicubic.into(),
            srgb: srgb.into(),
            mean_r,
            mean_g,
            mean_b,
            std_r,
            std_g,
            std_b,
        })
    }

    /// Elements of one image's pixels.
    fn elements(&self) -> Result<usize> {
        self.validate()?;
        Ok(3 * self.side * self.side)
    }

    fn fill(&self, image: &RgbImage, pixels: &mut [f32]) -> Result<()> {
        let square = self.crop_resized(image)?;
        let table: Vec<f32> = self.bytes().collect();
        let planes = pixels.chunks_exact_mut(self.side * self.side).zip(table.chunks_exact(256));
        for (channel, (plane, table)) in planes.enumerate() {
            for (value, &byte) in plane.iter_mut().zip(square.iter().skip(channel).step_by(3)) {
                *value = table[usize::from(byte)];
            }
        }
        Ok(())
    }

    /// The normalised value of each byte, in red, green and blue [3, 256].
    fn bytes(&self) -> impl Iterator<Item = f32> {
        let channels = self.mean.into_iter().zip(self.std);
        channels.flat_map(|(mean, std)| (0..=255u8).map(move |byte| (f32::from(byte) / 255.0 - mean) / std))
    }

    /// The resize and crop along x and y. Their geometry is defined only here.
    fn axes(&self, width: u32, height: u32) -> Result<[Axis; 2]> {
        self.validate()?;
        let sides = 1..=MOST_SOURCE;
        if !(sides.contains(&width) && sides.contains(&height)) {
            let expected = format!("1 to {MOST_SOURCE} pixels along each side");
            return Err(Error::image("prepare image", expected, format!("{width} x {height}")));
        }
        let short = (self.side as f64 / self.crop).floor();
        let resized = |source: u32| match self.squash {
            true => short,
            false => short * f64::from(source) / f64::from(width.min(height)),
        };
        Ok([width, height].map(|source| Axis {
            source: source as usize,
            resized: resized(source) as usize,
            // As Python's `round`: a half is rounded to the even number.
            first: ((resized(source).floor() - self.side as f64) / 2.0).round_ties_even() as usize,
            len: self.side,
        }))
    }
}

/// The error with the number of the image in its batch.
pub(crate) fn of_image(error: Error, number: usize) -> Error {
    match error {
        Error::Image { op, expected, got, source } => {
            Error::Image { op: format!("{op} {number} of the batch"), expected, got, source }
        }
        other => other,
    }
}
