//! All of C: the power sum by repeated squaring, Newton's iteration by matrix products. For inspecting C, for pictures
//! of |I - a W|, and to verify the thin path. The scales are those of `condense/connectivity.wgsl`.

use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Context, Recorder, download, empty, upload};
use crate::kernels::matrix_product::{self, Bindings, Params};
use crate::kernels::newton_start;

/// Records C, divided by s^(K-1) for the power sum and by s^K for Newton, with s = max(a, 1), and returns the buffer
/// that holds it. `scratch` are four matrices of W's size.
pub(crate) fn record<'b>(
    recorder: &mut Recorder<'_>,
    (images, patches): (usize, usize),
    scratch: &'b [wgpu::Buffer; 4],
    w: &'b wgpu::Buffer,
    chain: Chain,
) -> Result<&'b wgpu::Buffer> {
    let mut products = Products { recorder, images: images as u32, patches: patches as u32 };
    match chain.newton_steps {
        None => products.power_sum(scratch, w, chain),
        Some(steps) => products.newton(scratch, w, chain, steps),
    }
}

/// Computes all of C [N, N] for one W [N, N], by the dense path, for inspection. The result is scaled as
/// [`Chain::scale`] describes.
///
/// # Errors
/// [`Error::Shape`] when `w` is not N by N, [`Error::Device`] when the device fails.
pub fn connectivity_matrix(context: &Context, w: &[f32], patches: usize, chain: Chain) -> Result<Vec<f32>> {
    if w.len() != patches * patches || patches == 0 {
        let got = format!("{} numbers", w.len());
        return Err(Error::shape("connectivity matrix", format!("W [{patches}, {patches}]"), got));
    }
    let matrix = upload(context, "connectivity", w)?;
    let new = || empty(context, "dense", w.len());
    let scratch = [new()?, new()?, new()?, new()?];
    let mut recorder = Recorder::new(context);
    let c = record(&mut recorder, (1, patches), &scratch, &matrix, chain)?;
    recorder.finish()?.submit(context)?;
    download(context, c, w.len())
}

struct Products<'r, 'c> {
    recorder: &'r mut Recorder<'c>,
    images: u32,
    patches: u32,
}

/// A set of buffers, of which one is always free to be written.
struct Pool<'b>(Vec<&'b wgpu::Buffer>);

impl<'b> Pool<'b> {
    /// The first buffer that is none of `used`.
    fn free(&self, used: &[&wgpu::Buffer]) -> &'b wgpu::Buffer {
        self.0.iter().copied().find(|buffer| !used.contains(buffer)).unwrap_or(self.0[0])
    }
}

impl Products<'_, '_> {
    /// y = p X Z + q A + r I.
    fn product(
        &mut self,
        y: &wgpu::Buffer,
        p: f32,
        [x, z]: [&wgpu::Buffer; 2],
        (q, a): (f32, &wgpu::Buffer),
        r: f32,
    ) -> Result<()> {
        let params = Params { patches: self.patches, product: p, addend: q, identity: r };
        matrix_product::record(self.recorder, params, self.images, Bindings { x, z, addend: a, y })
    }

    /// Goes through the binary digits of K from the highest: S_2m = S_m + a^m W^m S_m and S_(m+1) = W + a W S_m, where
    /// each S_m is divided by s^(m-1).
    fn power_sum<'b>(
        &mut self,
        scratch: &'b [wgpu::Buffer; 4],
        w: &'b wgpu::Buffer,
        chain: Chain,
    ) -> Result<&'b wgpu::Buffer> {
        let pool = Pool(scratch.iter().collect());
        let scale = chain.alpha.max(1.0);
        let (mut sum, mut power, mut m) = (w, w, 1i32);
        let digits = u32::BITS - chain.order.leading_zeros();
        for digit in (0..digits.saturating_sub(1)).rev() {
            let doubled = pool.free(&[sum, power]);
            let ratio = (chain.alpha / scale).powi(m);
            self.product(doubled, ratio, [power, sum], (scale.powi(-m), sum), 0.0)?;
            m *= 2;
            sum = doubled;
            let odd = chain.order >> digit & 1 == 1;
            if digit > 0 {
                let squared = pool.free(&[sum, power]);
                self.product(squared, 1.0, [power, power], (0.0, power), 0.0)?;
                power = squared;
            }
            if odd {
                let next = pool.free(&[sum, power]);
                self.product(next, chain.alpha / scale, [w, sum], (scale.powi(-m), w), 0.0)?;
                sum = next;
                m += 1;
                if digit > 0 {
                    let next = pool.free(&[sum, power]);
                    self.product(next, 1.0, [w, power], (0.0, w), 0.0)?;
                    power = next;
                }
            }
        }
        Ok(sum)
    }

    /// X' = 2X - X A X, then C = (s^-K W - (a/s)^K W^K W) X.
    fn newton<'b>(
        &mut self,
        scratch: &'b [wgpu::Buffer; 4],
        w: &'b wgpu::Buffer,
        chain: Chain,
        steps: u32,
    ) -> Result<&'b wgpu::Buffer> {
        let [a, b, c, d] = scratch;
        let start = newton_start::Params { images: self.images, patches: self.patches, alpha: chain.alpha };
        newton_start::record(self.recorder, start, newton_start::Bindings { w, a, start: b })?;
        let (mut x, mut other) = (b, d);
        for _ in 0..steps {
            self.product(c, 1.0, [a, x], (0.0, x), 0.0)?;
            self.product(other, -1.0, [x, c], (2.0, x), 0.0)?;
            (x, other) = (other, x);
        }
        // W^K by the binary digits of K; A is no longer needed.
        let pool = Pool(vec![a, c, other]);
        let mut power = w;
        let digits = u32::BITS - chain.order.leading_zeros();
        for digit in (0..digits.saturating_sub(1)).rev() {
            let squared = pool.free(&[power]);
            self.product(squared, 1.0, [power, power], (0.0, power), 0.0)?;
            power = squared;
            if chain.order >> digit & 1 == 1 {
                let next = pool.free(&[power]);
                self.product(next, 1.0, [power, w], (0.0, w), 0.0)?;
                power = next;
            }
        }
        let scale = chain.alpha.max(1.0);
        let (order, truncated) = (chain.order as i32, pool.free(&[power]));
        self.product(truncated, -(chain.alpha / scale).powi(order), [w, power], (scale.powi(-order), w), 0.0)?;
        let result = pool.free(&[truncated]);
        self.product(result, 1.0, [truncated, x], (0.0, w), 0.0)?;
        Ok(result)
    }
}
