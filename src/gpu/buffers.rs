//! Copies data into buffers on the device and back.

use bytemuck::Pod;

use super::Context;
use super::mapping::Mapping;
use crate::error::{Error, Result};

const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// Bytes that uploads may leave in host memory before they are submitted.
const MOST_STAGED: usize = 16 << 20;

/// A storage buffer of `len` 4-byte elements, zeroed by wgpu. It has at least one element, since empty buffers cannot
/// be bound.
///
/// # Errors
/// [`Error::Limit`] past the device's buffer or binding limit, [`Error::Device`] when memory runs out.
pub fn empty(context: &Context, label: &str, len: usize) -> Result<wgpu::Buffer> {
    // A rehearsal runs nothing, so its buffers can be small.
    let size = byte_size(context, label, len)?.min(if context.rehearses() { 4096 } else { u64::MAX });
    let op = format!("allocate {label}");
    context.checked(&op, || {
        Ok(context.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size,
            usage: USAGE,
            mapped_at_creation: false,
        }))
    })
}

/// A storage buffer that holds `data`.
///
/// # Errors
/// As [`empty`].
pub fn upload<T: Pod>(context: &Context, label: &str, data: &[T]) -> Result<wgpu::Buffer> {
    let bytes: &[u8] = bytemuck::cast_slice(data);
    let buffer = empty(context, label, bytes.len().div_ceil(4))?;
    if !bytes.is_empty() && !context.rehearses() {
        context.checked(label, || {
            context.queue().write_buffer(&buffer, 0, bytes);
            Ok(())
        })?;
        written(context, label, bytes.len())?;
    }
    Ok(buffer)
}

/// Must be called after every upload. wgpu keeps a copy of the written bytes until a submission is done. Without these
/// submissions it would keep a copy of a whole model.
pub(super) fn written(context: &Context, label: &str, bytes: usize) -> Result<()> {
    if context.staged(bytes) > MOST_STAGED {
        context.checked(label, || {
            context.queue().submit([]);
            Ok(())
        })?;
        context.wait(label)?;
        context.nothing_staged();
    }
    Ok(())
}

/// The first `len` elements of `buffer`, after all submitted work. Blocks.
///
/// # Errors
/// [`Error::Device`] when the device is lost or the copy fails, [`Error::Shape`] when the buffer is shorter.
pub fn download<T: Pod>(context: &Context, buffer: &wgpu::Buffer, len: usize) -> Result<Vec<T>> {
    pollster::block_on(download_async(context, buffer, len))
}

/// Like [`download`], as a future. On native targets it blocks the thread that polls it.
///
/// # Errors
/// As [`download`].
pub async fn download_async<T: Pod>(context: &Context, buffer: &wgpu::Buffer, len: usize) -> Result<Vec<T>> {
    const OP: &str = "read back";
    let size = (len * size_of::<T>()) as u64;
    if size == 0 {
        return Ok(Vec::new());
    }
    if buffer.size() < size {
        return Err(Error::shape(OP, format!("a buffer of at least {size} bytes"), format!("{} bytes", buffer.size())));
    }
    let (staging, submission) = context.checked(OP, || {
        let staging = context.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("read back"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = context.device().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, size);
        let submission = context.queue().submit([encoder.finish()]);
        Ok((staging, submission))
    })?;
    Mapping::new(context, OP, std::slice::from_ref(&staging), submission)?.done(context).await?;
    let view = staging
        .get_mapped_range(..)
        .map_err(|error| Error::device(OP, "a mapped buffer", error.to_string()).caused_by(error))?;
    let mut data = vec![T::zeroed(); len];
    bytemuck::cast_slice_mut::<T, u8>(&mut data).copy_from_slice(&view);
    Ok(data)
}

fn byte_size(context: &Context, label: &str, len: usize) -> Result<u64> {
    let size = len.max(1) as u64 * 4;
    if size > context.max_binding() {
        return Err(Error::limit(
            format!("allocate {label}"),
            format!("at most {} bytes in one binding on {}", context.max_binding(), context.info().name),
            format!("{size} bytes; use a smaller batch, image or model"),
        ));
    }
    // Rounds up to whole vec4s, because a buffer that is bound as vec4s must not end within one.
    Ok(size.next_multiple_of(16))
}
