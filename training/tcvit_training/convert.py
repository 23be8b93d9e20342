"""Turns a PyTorch checkpoint (.pth, .pth.tar) of a ViT into the safetensors that tcvit loads.

    python -m tcvit_training.convert lvvit_s-224-83.3.pth.tar lvvit_s/model.safetensors
    python -m tcvit_training.convert model.pth out/model.safetensors --half --classes imagenet.txt --heads 6

The checkpoint is read with `weights_only`, so no code in it runs. Weights are searched under
`state_dict_ema`, `state_dict` and `model` in that order (or under --key). The prefix `module.` (from
training on several GPUs) is removed, and batch norm's `num_batches_tracked`, which inference does not
use, is dropped. Other names do not change, since tcvit reads timm's and LV-ViT's names.

With --classes (one name per line), --heads or --skip-lam, a `config.json` in timm's format is written
beside the output. LV-ViT needs none for its published widths.

Needs torch and safetensors. Files are written under another name first and then renamed, so that no
partial file is left.
"""

import argparse
import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from .files import write_whole

WRAPPERS = ("state_dict_ema", "state_dict", "model")


class ConversionError(Exception):
    """An error that tells the user why a checkpoint cannot be converted."""


def read_checkpoint(path: Path) -> object:
    """Reads the checkpoint that torch saved at `path`."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ConversionError(f"{path}: no such file") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConversionError(f"{path}: not a checkpoint of tensors alone: {reason}") from error


def state_dict(checkpoint: object, key: str | None) -> dict[str, Tensor]:
    """The tensors by name, without the dictionaries around them."""
    if not isinstance(checkpoint, Mapping):
        raise ConversionError(f"expected a dictionary of tensors, got {type(checkpoint).__name__}")
    if key is not None and key not in checkpoint:
        raise ConversionError(f"no `{key}` in the checkpoint, which has {', '.join(map(str, checkpoint))}")
    wrapper = key or next((w for w in WRAPPERS if isinstance(checkpoint.get(w), Mapping)), None)
    state = checkpoint if wrapper is None else checkpoint[wrapper]
    if not isinstance(state, Mapping):
        raise ConversionError(f"`{wrapper}` is a {type(state).__name__}, not a dictionary of tensors")
    if not state:
        raise ConversionError("the checkpoint holds no tensors")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            known = ", ".join(WRAPPERS)
            raise ConversionError(
                f"`{name}` is a {type(tensor).__name__}, not a tensor; weights are looked for under {known} or --key"
            )
    return dict(state)


def convert(state: Mapping[str, Tensor], half: bool) -> dict[str, Tensor]:
    """Contiguous f32 (or f16) tensors under the names that tcvit reads."""
    converted: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = name.removeprefix("module.")
        if name.endswith(".num_batches_tracked"):
            continue
        if name in converted:
            raise ConversionError(f"{name} is there twice, with and without `module.`")
        if not tensor.is_floating_point():
            raise ConversionError(f"{name} holds {tensor.dtype}, not floating-point numbers")
        values = tensor.detach().to(torch.float16 if half else torch.float32)
        if not bool(torch.isfinite(values).all()):
            reason = "does not fit f16" if bool(torch.isfinite(tensor).all()) else "is not finite"
            raise ConversionError(f"{name} has a value that {reason}")
        # Copied, since tensors that use the same memory cannot be saved.
        converted[name] = values.clone(memory_format=torch.contiguous_format)
    if "patch_embed.proj.weight" not in converted:
        raise ConversionError("not a ViT in timm's or LV-ViT's names: no patch_embed.proj.weight")
    return converted


def class_count(weights: Mapping[str, Tensor]) -> int:
    """Classes of the head; 0 without one."""
    return weights["head.weight"].shape[0] if "head.weight" in weights else 0


def configuration(
    weights: Mapping[str, Tensor], labels: list[str] | None, heads: int | None, skip_lam: float | None
) -> dict | None:
    """A config.json in timm's format, or None if it would hold nothing that the weights do not tell."""
    classes = class_count(weights)
    if labels is not None and len(labels) != classes:
        raise ConversionError(f"{len(labels)} class names for a head of {classes} classes")
    width = weights["patch_embed.proj.weight"].shape[0]
    if heads is not None and (heads < 1 or width % heads):
        raise ConversionError(f"{heads} heads do not divide a width of {width}")
    if skip_lam is not None and not skip_lam > 0:
        raise ConversionError(f"skip_lam is {skip_lam}, not a positive number")
    arguments = {"num_heads": heads, "skip_lam": skip_lam}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    if labels is None and not arguments:
        return None
    return {"num_classes": classes, "label_names": labels or [], "model_args": arguments}


def read_labels(path: Path) -> list[str]:
    """Class names, one per line."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path}: {error}") from error


def run(arguments: argparse.Namespace) -> str:
    """Converts, and returns a line that describes the result."""
    labels = None if arguments.classes is None else read_labels(arguments.classes)
    state = state_dict(read_checkpoint(arguments.checkpoint), arguments.key)
    weights = convert(state, arguments.half)
    config = configuration(weights, labels, arguments.heads, arguments.skip_lam)
    out: Path = arguments.out
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, lambda path: save_file(weights, path, metadata={"format": "pt"}))
        if config is not None:
            text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
            write_whole(out.with_name("config.json"), lambda path: path.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise ConversionError(f"{out}: {error}") from error
    numbers = sum(tensor.numel() for tensor in weights.values())
    beside = "" if config is None else " and config.json"
    return f"{out}{beside}: {len(weights)} tensors, {numbers / 1e6:.1f} M numbers, {class_count(weights)} classes"


def main(argv: list[str] | None = None) -> int:
    """Reads the arguments and converts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a .pth or .pth.tar file")
    parser.add_argument("out", type=Path, help="the .safetensors file to write")
    parser.add_argument("--half", action="store_true", help="write f16 instead of f32")
    parser.add_argument("--classes", type=Path, metavar="FILE", help="class names, one per line")
    parser.add_argument("--heads", type=int, help="attention heads, where the width does not tell")
    parser.add_argument("--skip-lam", type=float, help="LV-ViT's residual divisor, where the width does not tell")
    parser.add_argument("--key", help="what the checkpoint calls its weights")
    try:
        print(run(parser.parse_args(argv)))
    except ConversionError as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
