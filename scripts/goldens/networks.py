"""The networks of the golden files: random weights in published shapes, and the bundled model."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import timm
import torch
from cases import Case, deit_tiny_cases, paper, tome, training_free
from lvvit import LvVit
from preprocess import preprocess
from random_weights import random_tensor, randomise
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor


@dataclass
class Network:
    """A model with its input and its cases. Without a seed, the weights are trained ones."""

    name: str
    model: VisionTransformer
    pixels: Tensor
    cases: list[Case]
    seed: int | None
    extra: dict[str, Tensor] = field(default_factory=dict)


def random_network(
    name: str, build: Callable[[], VisionTransformer], seed: int, batch: int, cases: list[Case]
) -> Network:
    """A network with deterministic random weights and input."""
    model = build().eval()
    randomise(model, seed)
    size = model.patch_embed.img_size[0]
    return Network(name, model, random_tensor("pixels", (batch, 3, size, size), seed), cases, seed)


def bundled_model(directory: Path) -> tuple[VisionTransformer, dict]:
    """The trained model and its preprocessing configuration."""
    config = json.loads((directory / "config.json").read_text())
    model = VisionTransformer(num_classes=config["num_classes"], **config["model_args"])
    model.load_state_dict(load_file(directory / "model.safetensors"))
    return model.eval(), config["pretrained_cfg"]


def bundled_network(directory: Path, photos: Path) -> Network:
    """The trained model on the photographs, in the order of their names."""
    model, config = bundled_model(directory)
    pixels = torch.stack([preprocess(p, config) for p in sorted(photos.glob("*.jpg"))])
    assert pixels.shape == (4, 3, 32, 32), "expected the four photographs"
    cases = [
        paper("paper_r5", [5] * 8, batch=4),
        training_free("training_free_r5", [5] * 8, batch=4),
        training_free("training_free_r7", [7] * 8, batch=4),
        training_free("training_free_one_left", [63] + [0] * 7, batch=4),
        tome("tome_r5", [5] * 8, batch=4),
        paper("evit_r5", [5] * 8, batch=4, reducer="evit"),
        paper("euclidean_r5", [5] * 8, batch=4, metric="euclidean"),
    ]
    return Network("bundled", model, pixels, cases, None, {"pixels": pixels})


def networks(bundled: Path, photos: Path) -> dict[str, Callable[[], Network]]:
    """The networks by name, each built when it is requested."""
    small = [paper("paper_r16", [16] * 12), training_free("training_free_r16", [16] * 12)]
    distilled = [
        paper("paper_r14", [14] * 12),
        training_free("training_free_r14", [14] * 12),
        tome("tome_r14", [14] * 12),
    ]
    registers = [training_free("training_free_r18", [18] * 12), tome("tome_r18", [18] * 12)]
    lvvit_s = [paper("paper_r12", [12] * 16), training_free("training_free_r12", [12] * 16)]
    lvvit_m = [paper("paper_r9", [9] * 20), training_free("training_free_r9", [9] * 20)]
    pooled = [
        paper("paper_r12", [12] * 4, batch=2),
        training_free("training_free_r12", [12] * 4, batch=2),
    ]
    create = timm.create_model
    deit_tiny = partial(create, "deit_tiny_patch16_224")
    deit_small = partial(create, "deit_small_patch16_224")
    deit_tiny_distilled = partial(create, "deit_tiny_distilled_patch16_224")
    dinov2 = partial(create, "vit_small_patch14_dinov2", img_size=224, num_classes=0)
    dinov2_reg4 = partial(create, "vit_small_patch14_reg4_dinov2", img_size=224, num_classes=0)
    mean_pooled = partial(
        VisionTransformer,
        img_size=64,
        patch_size=8,
        embed_dim=192,
        depth=4,
        num_heads=3,
        num_classes=10,
        global_pool="avg",
        fc_norm=True,
    )
    # Name, builder, seed, batch, cases. Each seed is the one of a few dozen whose selections are furthest from ties.
    table = [
        ("deit_tiny", deit_tiny, 6, 2, deit_tiny_cases()),
        ("deit_small", deit_small, 2, 1, small),
        ("deit_tiny_distilled", deit_tiny_distilled, 10, 1, distilled),
        ("dinov2_small", dinov2, 4, 1, []),
        ("dinov2_small_reg4", dinov2_reg4, 4, 1, registers),
        ("vit_mean_pooled", mean_pooled, 10, 2, pooled),
        ("lvvit_s", partial(LvVit, 384, 16, 6), 7, 1, lvvit_s),
        ("lvvit_m", partial(LvVit, 512, 20, 8), 2, 1, lvvit_m),
    ]
    makers: dict[str, Callable[[], Network]] = {
        name: partial(random_network, name, build, seed, batch, cases)
        for name, build, seed, batch, cases in table
    }
    makers["bundled"] = partial(bundled_network, bundled, photos)
    return makers


def configuration(model: VisionTransformer) -> dict:
    """The values that the Rust side needs to build the same model."""
    block = model.blocks[0]
    return {
        "image": model.patch_embed.img_size[0],
        "patch": model.patch_embed.patch_size[0],
        "width": model.embed_dim,
        "depth": len(model.blocks),
        "heads": block.attn.num_heads,
        "mlp": block.mlp.fc1.out_features,
        "classes": model.num_classes,
        "distilled": hasattr(model, "head_dist"),
        "registers": 0 if model.reg_token is None else model.reg_token.shape[1],
        "layer_scale": hasattr(block.ls1, "gamma"),
        "fc_norm": hasattr(model.fc_norm, "weight"),
        "position_covers_prefix": not model.no_embed_class,
        "epsilon": block.norm1.eps,
    } | (model.configuration() if isinstance(model, LvVit) else {})
