"""Checkpoints from which a run resumes, and its log."""

import json
import pickle
from pathlib import Path

import torch

from .errors import TrainingError
from .files import write_whole

FORMAT = "tcvit_training 1"
CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


def write(path: Path, saved: dict) -> None:
    """Saves a run's state, never a partial file."""
    try:
        write_whole(path, lambda beside: torch.save({"format": FORMAT, **saved}, beside))
    except (OSError, RuntimeError) as error:
        raise TrainingError(f"{path}: {error}") from None


def read(path: Path) -> dict:
    """Reads a run's state. No code in the file runs."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such file") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainingError(
            f"{path}: the checkpoint is damaged ({reason}); delete it to start again, or put back a copy"
        ) from None
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        raise TrainingError(f"{path}: expected a checkpoint of this package ({FORMAT}), got something else")
    return saved


def refuse_another_run(path: Path, saved: dict, expected: dict) -> None:
    """Refuses to resume with other options than those with which the run was started, since the result would belong to
    neither."""
    for name, value in expected.items():
        if saved["run"].get(name) != value:
            raise TrainingError(
                f"{path}: was started with {name} {saved['run'].get(name)}, got {value}; resume with the same "
                "options or use another --out"
            )


def start_log(folder: Path, head: dict) -> None:
    """Starts a new log with its head."""
    text = json.dumps(head) + "\n"
    write_whole(folder / LOG, lambda path: path.write_text(text, encoding="utf-8"))


def append_log(folder: Path, entry: dict) -> None:
    """Appends a line to the log."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def read_log(folder: Path) -> list[dict]:
    """The lines of a log."""
    return [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]


def rewind_log(folder: Path, epoch: int, entry: dict) -> None:
    """Removes epochs from the log that the checkpoint does not include, and appends `entry`, which notes the
    resumption."""
    try:
        lines = [line for line in read_log(folder) if line.get("epoch", 0) <= epoch]
    except (OSError, ValueError):
        lines = []
    text = "".join(json.dumps(line) + "\n" for line in [*lines, entry])
    write_whole(folder / LOG, lambda path: path.write_text(text, encoding="utf-8"))
