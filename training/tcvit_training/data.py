"""Folders of images, one folder for each class, as uint8 tensors.

Images that fit in memory are decoded once and kept, optionally also in a cache file. Others are decoded batch by batch.
Evaluation pixels equal those of timm's evaluation transform (bicubic, crop_pct).
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from timm.data import create_transform
from timm.data.transforms import MaybePILToTensor, MaybeToTensor
from torch import Tensor
from torchvision.transforms import Compose
from tqdm import tqdm

from .errors import TrainingError
from .files import write_whole

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".tif", ".tiff", ".gif"}


@dataclass(frozen=True)
class Preparation:
    """How pixels become a model's input, from config.json's `pretrained_cfg`."""

    side: int
    crop: float
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, config: dict, side: int) -> "Preparation":
        """The preparation for a model with inputs of `side` pixels."""
        given = config.get("pretrained_cfg") or {}
        return cls(
            side,
            float(given.get("crop_pct") or 0.875),
            given.get("interpolation") or "bicubic",
            tuple(given.get("mean") or (0.485, 0.456, 0.406)),
            tuple(given.get("std") or (0.229, 0.224, 0.225)),
        )

    def geometry(self, side: int, crop: float) -> Compose:
        """timm's resize and centre crop to `side`, without its later steps."""
        whole = create_transform((3, side, side), interpolation=self.interpolation, crop_pct=crop)
        ends = (MaybeToTensor, MaybePILToTensor)
        until = next(i for i, step in enumerate(whole.transforms) if isinstance(step, ends))
        return Compose(whole.transforms[:until])

    def normalise(self, pixels: Tensor) -> Tensor:
        """Model input [B, 3, side, side] from pixels [B, 3, S, S], as uint8 or from 0 to 1. Smaller images are enlarged
        first."""
        x = pixels.float().div(255.0) if pixels.dtype == torch.uint8 else pixels
        if x.shape[-1] != self.side:
            # Antialiased, as in Pillow's filter. On the device, because enlarged images would not fit in memory.
            x = F.interpolate(x, (self.side, self.side), mode="bicubic", antialias=True).clamp(0.0, 1.0)
        mean = torch.tensor(self.mean, device=x.device).view(1, 3, 1, 1)
        return x.sub(mean).div_(torch.tensor(self.std, device=x.device).view(1, 3, 1, 1))


@dataclass
class Listing:
    """The files of a folder and their classes."""

    folder: Path
    classes: list[str]
    paths: list[Path]
    labels: list[int]


def scan(folder: Path, limit: int | None = None, seed: int = 0) -> Listing:
    """The images in a folder that has a folder for each class. With `limit`, this number of images, evenly over the
    classes."""
    if not folder.is_dir():
        raise TrainingError(f"{folder}: expected a folder with a folder of images for each class, got no folder")
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        found = "an empty folder" if not any(folder.iterdir()) else "no folders in it"
        raise TrainingError(f"{folder}: expected a folder of images for each class, got {found}")
    by_class = []
    for name in classes:
        paths = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise TrainingError(f"{folder / name}: expected images ({' '.join(sorted(SUFFIXES))}), got none")
        by_class.append(paths)
    if limit is not None:
        by_class = choose(by_class, limit, seed)
    paths = [path for paths in by_class for path in paths]
    return Listing(folder, classes, paths, [label for label, paths in enumerate(by_class) for _ in paths])


def choose(by_class: list[list[Path]], limit: int, seed: int) -> list[list[Path]]:
    """`limit` paths, evenly over the classes and random within each. The first classes get the remainder."""
    if limit < len(by_class):
        raise TrainingError(f"--limit: expected at least one image for each of {len(by_class)} classes, got {limit}")
    generator = np.random.default_rng(seed)
    each, more = divmod(limit, len(by_class))
    chosen = []
    for label, paths in enumerate(by_class):
        count = min(len(paths), each + (label < more))
        chosen.append([paths[i] for i in sorted(generator.permutation(len(paths))[:count])])
    return chosen


def align(listing: Listing, labels: list[str], classes: int, every: bool) -> Listing:
    """The listing with labels in the order of the model's class names, if it has names. With `every`, for training, all
    classes must be present."""
    known = {name: label for label, name in enumerate(labels)}
    found = len(listing.classes)
    if set(listing.classes) <= set(known) and (found == classes or not every):
        order = [known[name] for name in listing.classes]
        return Listing(listing.folder, labels, listing.paths, [order[label] for label in listing.labels])
    if found != classes:
        raise TrainingError(
            f"{listing.folder}: expected {classes} classes, which the model's head has, got {found} folders "
            f"({', '.join(listing.classes[:4])}{', ...' if found > 4 else ''}); use the folder that the model was made "
            "for, or --new-head to train a new classifier"
        )
    return listing


def decode(path: Path, geometry: Compose) -> Tensor:
    """The prepared image as uint8 [3, S, S]."""
    try:
        with Image.open(path) as image:
            prepared = geometry(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{path}: not an image that can be read: {error}") from None
    return torch.from_numpy(np.array(prepared)).permute(2, 0, 1).contiguous()


class Images:
    """Images of one size with labels [n], in memory (`pixels` [n, 3, S, S] uint8) or decoded on request."""

    def __init__(self, listing: Listing, geometry: Compose, side: int, memory: float, cache: Path | None, threads: int):
        self.listing, self.geometry, self.side, self.threads = listing, geometry, side, max(threads, 1)
        self.labels = torch.tensor(listing.labels)
        self.pixels: Tensor | None = None
        if len(self) * 3 * side * side <= memory * 2**30:
            self.pixels = self._cached(cache)

    def __len__(self) -> int:
        return len(self.listing.paths)

    def _cached(self, cache: Path | None) -> Tensor:
        if cache is None:
            return self._decode_all()
        path = cache / f"{fingerprint(self.listing, self.geometry)}.safetensors"
        try:
            pixels = load_file(path)["pixels"]
            if pixels.shape == (len(self), 3, self.side, self.side):
                return pixels
        except (SafetensorError, OSError, KeyError):
            pass  # The file is missing or damaged, so it is made again.
        pixels = self._decode_all()
        try:
            write_whole(path, lambda beside: save_file({"pixels": pixels}, beside))
        except OSError as error:
            raise TrainingError(f"--cache {cache}: {error}") from None
        return pixels

    def _decode_all(self) -> Tensor:
        pixels = torch.empty(len(self), 3, self.side, self.side, dtype=torch.uint8)
        title = f"decode {self.listing.folder.name}"
        with ThreadPoolExecutor(self.threads) as pool:
            decoded = pool.map(lambda path: decode(path, self.geometry), self.listing.paths)
            for index, image in enumerate(tqdm(decoded, title, len(self), leave=False, disable=None)):
                pixels[index] = image
        return pixels

    def batches(self, order: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels [B, 3, S, S] uint8 and labels [B] for each tensor of indices. Decodes one batch ahead."""
        if self.pixels is not None:
            yield from ((self.pixels[index], self.labels[index]) for index in order)
            return
        with ThreadPoolExecutor(self.threads) as pool:

            def ask(index: Tensor) -> list:
                return [pool.submit(decode, self.listing.paths[i], self.geometry) for i in index.tolist()]

            waiting = ask(order[0])
            for place, index in enumerate(order):
                ready, waiting = waiting, ask(order[place + 1]) if place + 1 < len(order) else []
                yield torch.stack([future.result() for future in ready]), self.labels[index]


def fingerprint(listing: Listing, geometry: Compose) -> str:
    """A name for the decoded images of these files, by the files' names, sizes and times, not by their contents."""
    digest = hashlib.sha256(repr(geometry).encode())
    for path in listing.paths:
        status = path.stat()
        digest.update(f"{path.relative_to(listing.folder)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def evaluation_images(listing: Listing, preparation: Preparation, memory=8.0, cache=None, threads=1) -> Images:
    """Images prepared as in timm's evaluation."""
    geometry = preparation.geometry(preparation.side, preparation.crop)
    return Images(listing, geometry, preparation.side, memory, cache, threads)


def training_images(listing: Listing, preparation: Preparation, memory=8.0, cache=None, threads=1) -> Images:
    """Square images without a crop, which augmentation makes. Square images smaller than the input are enlarged only on
    the device: the 50,000 images of CIFAR for a 224 px model take 150 MB instead of 7.5 GB."""
    try:
        with Image.open(listing.paths[0]) as image:
            width, height = image.size
    except (OSError, ValueError) as error:
        raise TrainingError(f"{listing.paths[0]}: not an image that can be read: {error}") from None
    side = min(width, preparation.side) if width == height else preparation.side
    return Images(listing, preparation.geometry(side, 1.0), side, memory, cache, threads)


def default_threads() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
