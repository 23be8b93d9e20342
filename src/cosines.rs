//! The way for cosines of unit keys, and the precision in which the keys are stored for it.

use crate::error::Result;
use crate::gpu::{Context, Precision, Way};
use crate::kernels::query_key::{Call, cooperative};
use crate::ways;

/// The way for cosines of `tokens` unit rows of `inner` dimensions in each of `images` images, and its call. The call's
/// input type is the type in which the rows are to be stored: f16 when the network is stored in f16 and the way of
/// cooperative matrices is verified, and f32 otherwise.
///
/// # Errors
/// As [`ways::choose`].
pub(crate) fn way(
    context: &Context,
    [images, tokens, inner]: [usize; 3],
    precision: Precision,
) -> Result<(&'static Way<Call>, Call)> {
    let of = |input| Call::cosines([images as u32, tokens as u32, (inner / 4) as u32], input);
    if precision == Precision::F16 {
        let call = of(Precision::F16);
        let by_matrices =
            ways::ranked(context, &call).into_iter().find(|(_, way)| way.kernel.name == cooperative::KERNEL.name);
        if let Some((_, way)) = by_matrices
            && ways::is_verified(context, way, &call)
        {
            return Ok((way, call));
        }
    }
    let call = of(Precision::F32);
    Ok((ways::choose(context, &call)?, call))
}
