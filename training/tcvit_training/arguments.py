"""Arguments that several programs have in common."""

import argparse
from pathlib import Path

import torch

from .augment import LEVELS
from .condensation import SCHEDULES, Condensation
from .data import default_threads
from .errors import TrainingError


def add_condensation(parser: argparse.ArgumentParser, preset: str | None) -> None:
    """Adds --preset, --drop and --set. Without a default preset, if none of them is given, the condensation is the one
    that the checkpoint records."""
    group = parser.add_argument_group("condensation")
    group.add_argument(
        "--preset",
        default=preset,
        help="paper, literal or training_free" + (" (default: %(default)s)" if preset else ""),
    )
    group.add_argument("--drop", type=int, metavar="R", help="patch tokens dropped in each block")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another option, such as order=4 or schedule=5,5,4",
    )


def condensation_of(arguments: argparse.Namespace, recorded: Condensation | None = None) -> Condensation | None:
    """The condensation of the arguments: changes to the preset or, without one, to the recorded condensation."""
    changes = [("drop", arguments.drop)] if arguments.drop is not None else []
    for item in arguments.set:
        name, sign, value = item.partition("=")
        if not sign:
            raise TrainingError(f"--set: expected NAME=VALUE, got {item}")
        changes.append((name.strip(), value.strip()))
    if sum(name in SCHEDULES for name, _ in changes) > 1:
        raise TrainingError(f"expected one of {', '.join(SCHEDULES)}, got several")
    if getattr(arguments, "full", False):
        if changes or arguments.preset is not None:
            raise TrainingError("--full: expected no options of a condensation beside it")
        return None
    if arguments.preset is None and recorded is None and not changes:
        return None
    if arguments.preset is not None:
        condensation = Condensation.preset(arguments.preset)
    else:
        condensation = recorded if recorded is not None else Condensation.training_free()
    # The score first, since it decides which other options apply.
    for name, value in sorted(changes, key=lambda change: change[0] != "score"):
        condensation = condensation.set(name, value)
    return condensation.validate()


def add_data(parser: argparse.ArgumentParser) -> None:
    """Adds the options of which images are loaded, and how."""
    group = parser.add_argument_group("data")
    group.add_argument("--limit", type=int, metavar="N", help="use N images, evenly over the classes")
    group.add_argument("--seed", type=int, default=0, help="of everything that is random (default: %(default)s)")
    group.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="keep decoded images there, and what the teacher said of them, for the next run",
    )
    group.add_argument(
        "--memory",
        type=float,
        default=8.0,
        metavar="GIB",
        help="decode ahead what fits in so much (default: %(default)s)",
    )


def add_machine(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the machine."""
    group = parser.add_argument_group("machine")
    group.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; auto takes a GPU where there is one")
    group.add_argument("--threads", type=int, default=default_threads(), help="on the CPU (default: %(default)s)")
    group.add_argument("--batch", type=int, default=256, help="images at a time (default: %(default)s)")


def add_recipe(parser: argparse.ArgumentParser, epochs: int, lr: float, **defaults) -> None:
    """Adds the options of the recipe."""
    group = parser.add_argument_group("recipe")

    def add(name: str, default, text: str) -> None:
        group.add_argument(f"--{name}", type=type(default), default=default, help=f"{text} (default: %(default)s)")

    add("epochs", epochs, "passes over the training images")
    add("lr", lr, "AdamW's highest learning rate; a cosine takes it to --min-lr")
    add("min-lr", defaults.get("min_lr", 0.0), "the last learning rate")
    add("warmup", defaults.get("warmup", 0.0), "epochs from 0 to --lr")
    add("weight-decay", defaults.get("weight_decay", 0.05), "of matrices; not of biases, norms and embeddings")
    add("label-smoothing", defaults.get("label_smoothing", 0.1), "share of the target spread over all classes")
    add("clip", defaults.get("clip", 1.0), "largest gradient norm, 0 for any")
    add("mixup", defaults.get("mixup", 0.0), "alpha, 0 for off")
    add("cutmix", defaults.get("cutmix", 0.0), "alpha, 0 for off")
    group.add_argument(
        "--augment", choices=LEVELS, default=defaults.get("augment", "light"), help="(default: %(default)s)"
    )
    group.add_argument(
        "--precision",
        choices=("auto", "f32", "bf16"),
        default="auto",
        help="bf16 autocast; auto uses it where the device multiplies bf16",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a run: its files, its test images, and how it is resumed."""
    group = parser.add_argument_group("run")
    group.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="checkpoint, log and exported model")
    group.add_argument("--test", type=Path, metavar="FOLDER", help="images to measure accuracy on")
    group.add_argument("--test-limit", type=int, metavar="N", help="use N of them, evenly over the classes")
    group.add_argument(
        "--evaluate-every", type=int, default=1, metavar="EPOCHS", help="(default: %(default)s; the last always)"
    )
    group.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out, if there is one")
    group.add_argument("--stop-after", type=int, metavar="EPOCHS", help="stop after so many more, to be resumed")
    group.add_argument("--half", action="store_true", help="export f16 instead of f32")


def device_of(arguments: argparse.Namespace) -> torch.device:
    """The device. Also sets the number of threads, and checks the numbers that must be positive."""
    for name in ("threads", "batch", "limit", "test_limit", "epochs", "stop_after", "evaluate_every"):
        value = getattr(arguments, name, None)
        if value is not None and value < 1:
            raise TrainingError(f"--{name.replace('_', '-')}: expected at least 1, got {value}")
    torch.set_num_threads(arguments.threads)
    # A softmax over distances gives many denormals, which halve the speed of a CPU.
    torch.set_flush_denormal(True)
    wanted = arguments.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["none there"])[0]
        raise TrainingError(f"--device: expected cpu or a GPU that is there, got {wanted}: {reason}") from None
    return device
