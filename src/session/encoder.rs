//! A session inside an application's own submission: its forward in the application's encoder, its input and its
//! results in buffers.

use super::Session;
use crate::error::{Error, Result};
use crate::gpu::Recorder;
use crate::kernels::texture;

impl Session {
    /// Encodes the forward into the application's own encoder. The forward reads [`Session::input`] and leaves its
    /// results in [`Session::logits_buffer`] and [`Session::features_buffer`]. This submits nothing and reads nothing
    /// back.
    ///
    /// # Errors
    /// [`Error::Limit`] when the device cannot take the batch in one run. Use a smaller batch.
    pub fn record_into(&self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        if self.0.chunk < self.0.batch {
            return Err(Error::limit(
                "record into encoder",
                format!("a batch of at most {}, which this device takes in one run", self.0.chunk),
                self.0.batch.to_string(),
            ));
        }
        self.0.recording.encode(encoder);
        Ok(())
    }

    /// Encodes the resize, crop and normalisation of a texture into the application's own encoder. The result is image
    /// `slot` of [`Session::input`]. The view must be 2D and have the format of its texture, which is a float or unorm
    /// format. Loading a texel of an sRGB format decodes it; the kernel encodes the values again, because models are
    /// trained on sRGB values.
    ///
    /// # Errors
    /// [`Error::Shape`] for a slot outside the batch, [`Error::Device`] when the view has the wrong dimension or
    /// format.
    pub fn record_texture_into(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        view: &wgpu::TextureView,
        slot: usize,
    ) -> Result<()> {
        if slot >= self.0.chunk {
            return Err(Error::shape("record texture", format!("a slot below {}", self.0.chunk), slot.to_string()));
        }
        self.config().square("prepare a texture")?;
        let (size, srgb) = (view.texture().size(), view.texture().format().is_srgb());
        let params = self.0.model.preprocess().texture_params(size.width, size.height, slot as u32, srgb)?;
        let mut recorder = Recorder::new(self.0.model.context());
        recorder.section("input", None);
        texture::record(&mut recorder, params, view, &self.0.workspace.pixels, self.0.chunk as u32)?;
        recorder.finish()?.encode(encoder);
        Ok(())
    }

    /// Input buffer [B, 3, image, image] of normalised pixels.
    pub fn input(&self) -> &wgpu::Buffer {
        &self.0.workspace.pixels
    }

    /// Output buffer [B, classes] of logits.
    pub fn logits_buffer(&self) -> &wgpu::Buffer {
        &self.0.workspace.logits
    }

    /// Output buffer [B, T, D] of tokens after the final norm. T is
    /// [`Plan::last_tokens`](crate::low_level::plan::Plan::last_tokens).
    pub fn features_buffer(&self) -> &wgpu::Buffer {
        &self.0.outputs.features
    }

    /// Output buffer [B, P] of the classifier's inputs. P is [`VitConfig::pooled`](crate::VitConfig::pooled).
    pub fn pooled_buffer(&self) -> &wgpu::Buffer {
        &self.0.outputs.pooled
    }
}
