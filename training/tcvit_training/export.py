"""Writes a folder that the Rust side loads: `model.safetensors`, with the condensation that the model was fine-tuned
for, and `config.json` in timm's format.

python -m tcvit_training.export runs/r5/checkpoint.pt models/r5 --half
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from . import checkpoints
from .condensation import METADATA, Condensation
from .errors import TrainingError, exit_status
from .files import write_whole
from .models import CONFIG, WEIGHTS


def converted(state: dict[str, Tensor], half: bool) -> dict[str, Tensor]:
    """The tensors, contiguous and in f32 or f16. Refuses values that are not finite."""
    tensors = {}
    for name, tensor in state.items():
        values = tensor.detach().cpu().to(torch.float16 if half else torch.float32)
        if not bool(torch.isfinite(values).all()):
            reason = "does not fit f16" if bool(torch.isfinite(tensor).all()) else "is not finite"
            raise TrainingError(f"export: {name} has a value that {reason}")
        tensors[name] = values.clone(memory_format=torch.contiguous_format)
    return tensors


def refuse_unlike(model: nn.Module) -> None:
    """Refuses a model that the Rust side would take for another one, since it sees tensors only."""
    if model.global_pool == "avg" and isinstance(model.fc_norm, nn.Identity):
        raise TrainingError(
            "export: expected a mean-pooled model to have fc_norm, by which it is told from one with a class token; "
            "got none; build it with fc_norm=True"
        )


def completed(config: dict, state: dict[str, Tensor]) -> dict:
    """The config.json, completed with the classes, width and pooling of the weights."""
    config = dict(config)
    config["num_classes"] = state["head.weight"].shape[0] if "head.weight" in state else 0
    config["num_features"] = state["patch_embed.proj.weight"].shape[0]
    config["global_pool"] = "avg" if "fc_norm.weight" in state else "token"
    return config


def export(
    folder: Path, state: dict[str, Tensor], config: dict, condensation: Condensation | None, half: bool = False
) -> None:
    """Writes a checkpoint folder. Without a condensation, the folder records that the model was fine-tuned for none."""
    tensors = converted(state, half)
    metadata = {"format": "pt"} | ({} if condensation is None else {METADATA: condensation.to_json()})
    text = json.dumps(completed(config, state), indent=1, ensure_ascii=False) + "\n"
    try:
        write_whole(folder / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))
        write_whole(folder / WEIGHTS, lambda path: save_file(tensors, path, metadata=metadata))
    except OSError as error:
        raise TrainingError(f"{folder}: {error}") from None


def run(arguments: argparse.Namespace) -> None:
    """Exports a training checkpoint."""
    saved = checkpoints.read(arguments.checkpoint)
    text = saved["condensation"]
    condensation = None if text is None else Condensation.from_json(text)
    export(arguments.out, saved["model"], saved["config"], condensation, arguments.half)
    print(f"{arguments.out}: epoch {saved['epoch']}, {condensation or 'full'}")


def main(argv: list[str] | None = None) -> int:
    """Reads the arguments and exports."""
    parser = argparse.ArgumentParser(
        prog="export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint.pt of train or finetune")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--half", action="store_true", help="write f16 instead of f32")
    arguments = parser.parse_args(argv)
    return exit_status("export", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
