//! What attention emits, into and out of either place.

use bytemuck::pod_collect_to_vec;
use half::f16;

use super::data::{download_as, place};
use super::download;
use crate::error::Result;
use crate::gpu::{Context, Home, Placed, Precision, Texels, download_texture};
use crate::kernels::attention::Emission;

/// Of which sizes: images, heads, tokens; and in what.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) sizes: [usize; 3],
    pub(super) precision: Precision,
    pub(super) home: Home,
}

impl Shape {
    pub(super) fn texels(self) -> Texels {
        Emission::texels(self.sizes, self.precision)
    }

    fn stride(self) -> usize {
        Emission::powers_stride(self.sizes[2])
    }

    /// Places `powers`, and with texels behind each row of them its row of `rows`.
    pub(super) fn upload(self, context: &Context, powers: &[f32], rows: &[[f32; 2]]) -> Result<Placed> {
        if self.home == Home::Buffer {
            return place(context, "powers", powers, self.precision, (self.texels(), self.home));
        }
        let mut words: Vec<u32> = Vec::new();
        for (powers, row) in powers.chunks_exact(self.stride()).zip(rows) {
            match self.precision {
                Precision::F32 => words.extend(powers.iter().map(|power| power.to_bits())),
                Precision::F16 => {
                    let halves: Vec<f16> = powers.iter().map(|&power| f16::from_f32(power)).collect();
                    words.extend(pod_collect_to_vec::<f16, u32>(&halves));
                }
            }
            words.extend([row[0].to_bits(), row[1].to_bits(), 0, 0]);
        }
        Placed::upload(context, "powers", &words, self.texels(), self.home)
    }

    /// What was placed: powers, and the softmax of their rows, which is in `rows` where there are no texels.
    pub(super) fn download(
        self,
        context: &Context,
        placed: &Placed,
        rows: &wgpu::Buffer,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let count = self.sizes.iter().product::<usize>();
        let view = match placed {
            Placed::Buffer(buffer) => {
                let powers = download_as(context, buffer, count * self.stride(), self.precision)?;
                return Ok((powers, download(context, rows, 2 * count)?));
            }
            Placed::Texture(view) => view,
        };
        let (mut powers, mut of_rows) = (Vec::new(), Vec::new());
        let words: Vec<u32> = download_texture(context, view, self.texels())?;
        for row in words.chunks_exact(self.texels()[0] as usize * 4) {
            let (own, softmax) = row.split_at(row.len() - 4);
            match self.precision {
                Precision::F32 => powers.extend(own.iter().map(|&bits| f32::from_bits(bits))),
                Precision::F16 => powers.extend(pod_collect_to_vec::<u32, f16>(own).into_iter().map(f16::to_f32)),
            }
            of_rows.extend(softmax[..2].iter().map(|&bits| f32::from_bits(bits)));
        }
        Ok((powers, of_rows))
    }
}
