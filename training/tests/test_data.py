"""Tests of folders of images, their preparation and augmentation."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from conftest import BUNDLED, REPOSITORY, write_folder
from tcvit_training import TrainingError, data
from tcvit_training.augment import Augmentation, augment, crop_and_flip, mix
from tcvit_training.data import Preparation

PREPARATION = Preparation(16, 1.0, "bicubic", (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def test_evaluation_pixels_are_timms():
    """The golden file holds the pixels of timm's evaluation transform for the photographs."""
    config = json.loads((BUNDLED / "config.json").read_text())
    preparation = Preparation.of(config, 32)
    expected = load_file(REPOSITORY / "tests/goldens/bundled.safetensors")["pixels"]
    paths = sorted((REPOSITORY / "crates/cli/assets/photos").glob("*.jpg"))
    pixels = torch.stack([data.decode(path, preparation.geometry(32, preparation.crop)) for path in paths])
    assert pixels.dtype == torch.uint8
    torch.testing.assert_close(preparation.normalise(pixels), expected, rtol=0, atol=1e-6)


def test_small_images_are_enlarged_as_pillow_does(tmp_path: Path):
    folder = write_folder(tmp_path / "small", ["a"], 3, side=8)
    listing = data.scan(folder)
    kept = data.training_images(listing, PREPARATION)
    exact = data.evaluation_images(listing, PREPARATION)
    assert (kept.pixels.shape[-1], exact.pixels.shape[-1]) == (8, 16)
    got, expected = PREPARATION.normalise(kept.pixels), PREPARATION.normalise(exact.pixels)
    # Differences in steps of 8-bit values. Pillow rounds and clips between its two passes, which matters most in noise
    # such as this.
    difference = (got - expected).abs().mul(torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1) * 255.0)
    assert float(difference.mean()) <= 0.5 and float(difference.max()) <= 8.0


def test_a_limit_is_even_over_classes_and_seeded(folder: Path):
    listing = data.scan(folder, 7, seed=1)
    assert [listing.labels.count(label) for label in range(3)] == [3, 2, 2]
    assert listing.paths == data.scan(folder, 7, seed=1).paths != data.scan(folder, 7, seed=2).paths
    with pytest.raises(TrainingError, match="--limit: expected at least one"):
        data.scan(folder, 2)


def test_decoded_ahead_batch_by_batch_or_cached_is_the_same(folder: Path, tmp_path: Path):
    listing = data.scan(folder)
    cache = tmp_path / "cache"
    ways = [
        data.evaluation_images(listing, PREPARATION, memory=m, cache=c) for m, c in ((8, None), (0, None), (8, cache))
    ]
    assert ways[1].pixels is None and len(list(cache.iterdir())) == 1
    kept = next(cache.iterdir())
    kept.write_bytes(kept.read_bytes()[:100])
    ways += [data.evaluation_images(listing, PREPARATION, cache=cache) for _ in range(2)]
    order = list(torch.randperm(24).split(7))
    batches = [list(images.batches(order)) for images in ways]
    for other in batches[1:]:
        for (pixels, labels), (expected, expected_labels) in zip(other, batches[0], strict=True):
            assert torch.equal(pixels, expected) and torch.equal(labels, expected_labels)


def test_bad_folders_are_named(folder: Path, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.new("RGB", (4, 4)).save(flat / "a.png")
    for bad, named in [(empty, "an empty folder"), (flat, "no folders in it"), (tmp_path / "none", "got no folder")]:
        with pytest.raises(TrainingError, match=named):
            data.scan(bad)
    broken = folder / "bee/3.png"
    broken.write_bytes(broken.read_bytes()[:60])
    for memory in (8, 0):
        with pytest.raises(TrainingError, match="bee/3.png: not an image"):
            list(data.evaluation_images(data.scan(folder), PREPARATION, memory=memory).batches([torch.arange(24)]))
    (folder / "dog").mkdir()
    with pytest.raises(TrainingError, match="dog: expected images"):
        data.scan(folder)


def test_classes_are_matched_by_name_or_refused_by_count(folder: Path):
    listing = data.scan(folder)
    aligned = data.align(listing, ["cow", "ant", "bee"], 3, every=True)
    assert aligned.labels[0] == 1 and aligned.labels[-1] == 0
    assert data.align(listing, ["x", "y", "z"], 3, every=True) is listing
    part = data.align(listing, ["ant", "bee", "cow", "dog"], 4, every=False)
    assert set(part.labels) == {0, 1, 2}
    for labels, every in ((["ant", "bee", "cow", "dog"], True), ([], False)):
        with pytest.raises(TrainingError, match="expected 4 classes.*got 3 folders.*--new-head"):
            data.align(listing, labels, 4, every=every)


def test_augmentation_repeats_by_seed_and_stays_in_range():
    pixels = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    for level in ("none", "light", "strong"):
        draws = [augment(pixels, Augmentation(level), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
        assert torch.equal(draws[0], draws[1])
        assert torch.equal(draws[0], draws[2]) == (level == "none")
        assert draws[0].shape == pixels.shape and float(draws[0].min()) >= 0.0 and float(draws[0].max()) <= 1.0


def test_crops_are_shifts_of_the_image_or_its_mirror():
    pixels = torch.arange(1, 257).reshape(1, 1, 16, 16).expand(40, 3, -1, -1)
    seen = set()
    for image in crop_and_flip(pixels, torch.Generator().manual_seed(1)):
        inner = image[0, 2:-2, 2:-2]
        steps = (int(inner[1, 0] - inner[0, 0]), int(inner[0, 1] - inner[0, 0]))
        assert steps in ((16, 1), (16, -1)) and torch.equal(inner[1:] - inner[:-1], torch.full((11, 12), 16))
        seen.add((steps, int(inner[0, 0])))
    assert len(seen) > 20


def test_mixed_targets_are_still_distributions():
    x, targets = torch.rand(8, 3, 16, 16), torch.eye(8)
    for augmentation in (Augmentation(mixup=0.8), Augmentation(cutmix=1.0), Augmentation(mixup=0.8, cutmix=1.0)):
        mixed, soft = mix(x, targets, augmentation, torch.Generator().manual_seed(3))
        torch.testing.assert_close(soft.sum(dim=1), torch.ones(8))
        assert not torch.equal(mixed, x) and not torch.equal(soft, targets)
    assert mix(x, targets, Augmentation(), torch.Generator())[0] is x
