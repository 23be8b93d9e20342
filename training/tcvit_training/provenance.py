"""The head of a log, with everything that is needed to repeat the run."""

import argparse
import platform
import shlex
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

import torch

from .loop import Run

PACKAGES = ("torch", "timm", "safetensors", "Pillow", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that affect results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def log_head(program: str, arguments: argparse.Namespace, run: Run) -> dict:
    """The head of a run's log."""
    name = torch.cuda.get_device_name(run.device) if run.device.type == "cuda" else "cpu"
    return {
        "program": program,
        "command": shlex.join(["python", "-m", f"tcvit_training.{program}", *map(str, arguments.command[1:])]),
        "seed": run.recipe.seed,
        "versions": versions(),
        "device": name,
        "threads": arguments.threads,
        "condensation": None if run.condensation is None else str(run.condensation),
        "drops": run.model.condenser.drops if run.condensation is not None else [],
        "images": len(run.images),
        "test_images": 0 if run.test is None else len(run.test),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "recipe": asdict(run.recipe),
    }
