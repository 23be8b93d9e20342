"""Trains a Vision Transformer from scratch, as the full model from which fine-tuning starts.

    python -m tcvit_training.train cifar10/train --test cifar10/test --out runs/tiny --arch deit_tiny_patch16_224 \\
        --epochs 100 --augment strong --mixup 0.8 --cutmix 1.0
    python -m tcvit_training.train cifar10/train --test cifar10/test --out runs/small --arch vit \\
        --model-args '{"img_size": 32, "patch_size": 4, "embed_dim": 128, "depth": 8, "num_heads": 2}'
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from . import data, models
from .arguments import add_data, add_machine, add_recipe, add_run, device_of
from .data import Preparation
from .errors import TrainingError, exit_status
from .export import export
from .loop import Recipe, Run, fit
from .provenance import log_head


def model_arguments(text: str) -> dict:
    """The model's arguments in --model-args."""
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise TrainingError(f'--model-args: expected a JSON object such as {{"depth": 8}}, got {text}')
    return arguments


def run(arguments: argparse.Namespace) -> None:
    """Trains and exports."""
    device = device_of(arguments)
    listing = data.scan(arguments.data, arguments.limit, arguments.seed)
    torch.manual_seed(arguments.seed)
    extra = model_arguments(arguments.model_args) | (
        {"drop_path_rate": arguments.drop_path} if arguments.drop_path else {}
    )
    checkpoint = models.new_checkpoint(arguments.arch, arguments.size, listing.classes, extra)
    # Stochastic depth is for training only. The exported configuration does not have it.
    checkpoint.config["model_args"].pop("drop_path_rate", None)
    model = checkpoint.model.to(device)
    test = arguments.test and data.align(
        data.scan(arguments.test, arguments.test_limit), checkpoint.labels, model.num_classes, every=False
    )
    preparation = Preparation.of(checkpoint.config, model.patch_embed.img_size[0])
    loading = {"memory": arguments.memory, "cache": arguments.cache, "threads": arguments.threads}
    training = Run(
        out=arguments.out,
        model=model,
        config=checkpoint.config,
        condensation=None,
        recipe=Recipe.of(arguments, device),
        images=data.training_images(listing, preparation, **loading),
        test=test and data.evaluation_images(test, preparation, **loading),
        preparation=preparation,
        device=device,
        evaluate_every=arguments.evaluate_every,
        before=False,
        stop_after=arguments.stop_after,
    )
    if fit(training, arguments.resume, log_head("train", arguments, training)):
        export(arguments.out, model.state_dict(), checkpoint.config, None, arguments.half)
        print(f"{arguments.out}: {arguments.arch}")


def main(argv: list[str] | None = None) -> int:
    """Reads the arguments and trains."""
    parser = argparse.ArgumentParser(
        prog="train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="a folder with a folder of training images for each class")
    parser.add_argument(
        "--arch", default="deit_tiny_patch16_224", help="of timm, or `vit` with --model-args (default: %(default)s)"
    )
    parser.add_argument("--model-args", default="{}", metavar="JSON", help="arguments of timm's model")
    parser.add_argument(
        "--size", type=int, metavar="PIXELS", help="side of the input, where not the architecture's own"
    )
    parser.add_argument("--drop-path", type=float, default=0.0, help="stochastic depth (default: %(default)s)")
    add_recipe(parser, epochs=100, lr=1e-3, warmup=5.0)
    add_run(parser)
    add_data(parser)
    add_machine(parser)
    arguments = parser.parse_args(argv)
    arguments.command = ["train", *(sys.argv[1:] if argv is None else argv)]
    return exit_status("train", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
