"""Augmentation of whole batches on their device. Random numbers come from the CPU, so that they are the same on every
device."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

LEVELS = ("none", "light", "strong")


@dataclass(frozen=True)
class Augmentation:
    """`light`: random crop with padding, flip, brightness. `strong`: also rotation, shear, contrast, saturation and
    random erasing. `mixup` and `cutmix` are the alphas of their beta distributions, 0 for off; with both, a batch gets
    either."""

    level: str = "light"
    mixup: float = 0.0
    cutmix: float = 0.0


def uniform(generator: Generator, count: int, low: float, high: float, like: Tensor) -> Tensor:
    """Uniform random numbers [count, 1, 1, 1] from `low` to `high`, on the device of `like`."""
    values = torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low
    return values.to(like.device, non_blocking=True)


def crop_and_flip(pixels: Tensor, generator: Generator) -> Tensor:
    """Shifts images [B, 3, S, S] by up to an eighth of their side, filled with zeros, and mirrors half of them."""
    batch, _, side, _ = pixels.shape
    margin = max(side // 8, 1)
    # For each image, the row and column indices of its pixels in the padded image. For a mirrored image, columns count
    # down.
    steps = torch.arange(side)
    top = torch.randint(0, 2 * margin + 1, (batch, 1), generator=generator)
    left = torch.randint(0, 2 * margin + 1, (batch, 1), generator=generator)
    mirrored = torch.rand(batch, 1, generator=generator) < 0.5
    rows = (steps + top).to(pixels.device)
    columns = (torch.where(mirrored, side - 1 - steps, steps) + left).to(pixels.device)
    padded = F.pad(pixels, (margin,) * 4)
    images = torch.arange(batch, device=pixels.device)[:, None, None]
    # Advanced indices around a slice come first: [B, S, S, 3].
    return padded[images, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def rotate_and_shear(x: Tensor, generator: Generator) -> Tensor:
    """Rotates and shears about half of the images, by up to 20 degrees and a shear of 0.2, with a scale of 0.8 to
    1.2."""
    batch = len(x)
    some = (torch.rand(batch, generator=generator) < 0.5).float()
    angle = (torch.rand(batch, generator=generator) * 2.0 - 1.0) * 0.35 * some
    shear = (torch.rand(batch, generator=generator) * 2.0 - 1.0) * 0.2 * some
    scale = 1.0 + (torch.rand(batch, generator=generator) * 0.4 - 0.2) * some
    cos, sin, zero = scale * angle.cos(), scale * angle.sin(), torch.zeros(batch)
    rows = [torch.stack([cos, shear * cos - sin, zero], 1), torch.stack([sin, shear * sin + cos, zero], 1)]
    grid = F.affine_grid(torch.stack(rows, 1).to(x.device), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def recolour(x: Tensor, generator: Generator) -> Tensor:
    """Changes contrast and saturation by a factor of 0.6 to 1.4 each."""
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * uniform(generator, len(x), 0.6, 1.4, x)
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    return middle + (x - middle) * uniform(generator, len(x), 0.6, 1.4, x)


def rectangle(shape: torch.Size, area: Tensor, generator: Generator, device: torch.device) -> Tensor:
    """A mask [B, 1, S, S] of a square with the share `area` [B, 1] of each image, at a random place."""
    batch, _, side, _ = shape
    length = area.sqrt() * side
    corner = torch.rand(batch, 2, generator=generator) * (side - length)
    steps = torch.arange(side)
    inside = [(steps >= corner[:, i : i + 1]) & (steps < corner[:, i : i + 1] + length) for i in range(2)]
    return (inside[0][:, None, :, None] & inside[1][:, None, None, :]).to(device)


def augment(pixels: Tensor, augmentation: Augmentation, generator: Generator) -> Tensor:
    """Augmented pixels from 0 to 1 [B, 3, S, S], from uint8."""
    if augmentation.level == "none":
        return pixels.float().div_(255.0)
    x = crop_and_flip(pixels, generator).float().div_(255.0)
    if augmentation.level == "strong":
        x = recolour(rotate_and_shear(x, generator), generator)
    x = (x * uniform(generator, len(x), 0.6, 1.4, x)).clamp_(0.0, 1.0)
    if augmentation.level == "strong":
        area = torch.rand(len(x), 1, generator=generator) * 0.2
        area *= torch.rand(len(x), 1, generator=generator) < 0.25
        x = x.masked_fill(rectangle(x.shape, area, generator, x.device), 0.5)
    return x


def mix(x: Tensor, targets: Tensor, augmentation: Augmentation, generator: Generator) -> tuple[Tensor, Tensor]:
    """Mixes each image [B, 3, S, S] and its soft target [B, classes] with another one of the batch."""
    choices = [name for name in ("mixup", "cutmix") if getattr(augmentation, name) > 0.0]
    if not choices:
        return x, targets
    choice = choices[int(torch.randint(len(choices), (1,), generator=generator))]
    alpha = getattr(augmentation, choice)
    # Draws from a beta distribution by two gamma distributions, since torch.distributions takes no generator.
    first, second = (torch._standard_gamma(torch.tensor([alpha]), generator=generator) for _ in range(2))
    own = float(first / (first + second))
    other = torch.randperm(len(x), generator=generator).to(x.device)
    if choice == "cutmix":
        mask = rectangle(x.shape, torch.full((len(x), 1), 1.0 - own), generator, x.device)
        x = torch.where(mask, x[other], x)
        share = 1.0 - mask.float().mean(dim=(1, 2, 3))[:, None]
    else:
        x, share = x * own + x[other] * (1.0 - own), own
    return x, targets * share + targets[other] * (1.0 - share)
