"""Fixtures and models for all tests."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.models.vision_transformer import VisionTransformer

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLED = REPOSITORY / "assets/models/vit_cifar10_32"
sys.path.insert(0, str(REPOSITORY / "training"))
torch.set_num_threads(1)


def small_vit(**arguments) -> VisionTransformer:
    """A seeded untrained model with 16 patch tokens and 4 blocks. Its weights are large enough for attention not to be
    uniform."""
    torch.manual_seed(3)
    options = {"img_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 4, "num_heads": 2, "num_classes": 3}
    model = VisionTransformer(**options | arguments).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("qkv.weight"):
                p.mul_(8.0)
            if name.endswith(("pos_embed", "cls_token", "reg_token")):
                p.normal_(0.0, 0.5)
    return model


@pytest.fixture
def model() -> VisionTransformer:
    """A small model."""
    return small_vit()


@pytest.fixture
def pixels() -> torch.Tensor:
    """Input of the small model [5, 3, 16, 16]."""
    return torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(4))


def write_folder(folder: Path, classes: list[str], each: int, side: int = 16) -> Path:
    """A folder of random images, brighter from class to class."""
    generator = np.random.default_rng(5)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            image = generator.integers(0, 128, (side, side, 3), dtype=np.uint8) + np.uint8(40 * label)
            Image.fromarray(image).save(folder / name / f"{index}.png")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of eight images of 16 px."""
    return write_folder(tmp_path / "images", ["ant", "bee", "cow"], 8)
