"""Checkpoint folders: `model.safetensors` with timm's names, and timm's `config.json` beside it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from .condensation import METADATA, Condensation
from .errors import TrainingError

WEIGHTS, CONFIG = "model.safetensors", "config.json"


@dataclass
class Checkpoint:
    """A model, its config.json, and the condensation that it was fine-tuned for, if one is recorded."""

    model: VisionTransformer
    config: dict = field(default_factory=dict)
    tuned_for: Condensation | None = None

    @property
    def labels(self) -> list[str]:
        """Class names; empty if the config has none."""
        return self.config.get("label_names") or []


def read_config(folder: Path) -> dict:
    """Reads config.json."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such file; a checkpoint is a folder with {WEIGHTS} and {CONFIG}") from None
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: not JSON: {error}") from None
    if not isinstance(config, dict) or "model_args" not in config and "architecture" not in config:
        raise TrainingError(f"{path}: expected timm's format, with `architecture` or `model_args`")
    return config


def build(config: dict) -> VisionTransformer:
    """A model with new weights: of a timm architecture or, if timm has none of that name, from `model_args`."""
    architecture, arguments = config.get("architecture", ""), dict(config.get("model_args") or {})
    classes = config.get("num_classes", 1000)
    try:
        if timm.is_model(architecture):
            return timm.create_model(architecture, num_classes=classes, **arguments)
        return VisionTransformer(num_classes=classes, **arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise TrainingError(f"cannot build `{architecture}` with {arguments}: {error}") from None


def new_checkpoint(architecture: str, size: int | None, labels: list[str], arguments: dict) -> Checkpoint:
    """An untrained model of a timm architecture, or of `vit` with `embed_dim`, `depth`, `num_heads` and `patch_size` in
    `arguments`."""
    arguments = dict(arguments) if size is None else {"img_size": size, **arguments}
    if architecture != "vit" and not timm.is_model(architecture):
        similar = ", ".join(timm.list_models(f"*{architecture}*")[:5] or timm.list_models("deit_*")[:5])
        raise TrainingError(f"model: expected `vit` or an architecture of timm, such as {similar}, got {architecture}")
    config = {"architecture": architecture, "num_classes": len(labels), "model_args": arguments}
    model = build(config)
    if not isinstance(model, VisionTransformer):
        raise TrainingError(f"model: expected a Vision Transformer, got {architecture}, a {type(model).__name__}")
    preprocessing = dict(getattr(model, "pretrained_cfg", None) or {})
    side = model.patch_embed.img_size[0]
    defaults = {
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "bicubic",
        "crop_pct": 1.0,
    }
    kept = {name: preprocessing.get(name, value) for name, value in defaults.items()}
    config["pretrained_cfg"] = {"input_size": [3, side, side], **kept}
    config["label_names"] = labels
    return Checkpoint(model, config)


def load(folder: Path) -> Checkpoint:
    """Loads the checkpoint in a folder."""
    path = folder / WEIGHTS
    if not folder.is_dir():
        raise TrainingError(f"{folder}: expected a checkpoint folder with {WEIGHTS} and {CONFIG}, got no folder")
    config = read_config(folder)
    try:
        state = load_file(path)
        with safe_open(path, framework="pt") as file:
            recorded = (file.metadata() or {}).get(METADATA)
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such file; `python -m tcvit_training.convert` makes it of a .pth") from None
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path}: not a whole safetensors file: {error}") from None
    classes = state["head.weight"].shape[0] if "head.weight" in state else 0
    if config.setdefault("num_classes", classes) != classes:
        raise TrainingError(
            f"{folder}: config.json says {config['num_classes']} classes, the weights' head has {classes}"
        )
    model = build(config)
    try:
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"{path}: does not fit {CONFIG}: {reason[:300]}") from None
    return Checkpoint(model, config, None if recorded is None else Condensation.from_json(recorded))


def replace_head(checkpoint: Checkpoint, labels: list[str], seed: int) -> None:
    """Replaces the classifier by a new one for other classes, in place."""
    torch.manual_seed(seed)
    checkpoint.model.reset_classifier(len(labels))
    for name in ("head", "head_dist"):
        head = getattr(checkpoint.model, name, None)
        if isinstance(head, nn.Linear):
            nn.init.trunc_normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)
    checkpoint.config |= {"num_classes": len(labels), "label_names": labels}
