"""Prepares photographs with timm and Pillow."""

import math
from pathlib import Path

import numpy as np
from PIL import Image
from timm.data import create_transform
from torch import Tensor


def resize_and_crop(photo: Path, size: int, crop_pct: float) -> Image.Image:
    """Pillow's bicubic resize of the short side to size / crop_pct, then the centre crop."""
    image = Image.open(photo).convert("RGB")
    short = math.floor(size / crop_pct)
    width, height = image.size
    if width <= height:
        resized = (short, int(short * height / width))
    else:
        resized = (int(short * width / height), short)
    image = image.resize(resized, Image.Resampling.BICUBIC)
    left = round((resized[0] - size) / 2)
    top = round((resized[1] - size) / 2)
    return image.crop((left, top, left + size, top + size))


def preprocess(photo: Path, config: dict) -> Tensor:
    """Normalised pixels [3, H, W] by timm's evaluation transform, after checking that `resize_and_crop` gives the same
    pixels."""
    size = config["input_size"][-1]
    transform = create_transform(
        input_size=tuple(config["input_size"]),
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    pixels = transform(Image.open(photo).convert("RGB"))
    own = np.asarray(resize_and_crop(photo, size, config["crop_pct"]), dtype=np.float64) / 255.0
    own = (own - np.array(config["mean"])) / np.array(config["std"])
    difference = np.abs(own.transpose(2, 0, 1) - pixels.numpy()).max()
    assert difference < 1e-5, f"{photo.name}: preprocessing differs from timm's by {difference}"
    return pixels


PICTURES = [
    ("chelsea", 224, 0.9),
    ("coffee", 224, 0.875),
    ("chelsea", 32, 1.0),
    ("rocket", 32, 1.0),
]


def make_pictures(photos: Path, out: Path) -> None:
    """Writes the pillow_PHOTO_SIZE.png files."""
    for photo, size, crop_pct in PICTURES:
        path = out / f"pillow_{photo}_{size}.png"
        resize_and_crop(photos / f"{photo}.jpg", size, crop_pct).save(path, optimize=True)
        print(f"{path.name}: crop_pct {crop_pct}, {path.stat().st_size:,} bytes")
