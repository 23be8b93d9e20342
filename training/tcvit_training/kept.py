"""Logits of a fixed model, kept on disk, since many runs need the logits of the same teacher on the same images."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .errors import TrainingError
from .files import write_whole


def name_of(model: nn.Module, **asked: object) -> str:
    """A name for a model's weights and its inputs. Everything that affects the logits must be part of it."""
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:24]


class KeptLogits:
    """Logits for a series of batches. Without a folder, nothing is kept and all of them are computed."""

    def __init__(self, folder: Path | None, name: str) -> None:
        self.path = None if folder is None else folder / f"logits-{name}.safetensors"
        self.known: list[Tensor] = []
        self.new: list[Tensor] = []
        if self.path is not None:
            try:
                saved = load_file(self.path)
                self.known = [saved[str(step)] for step in range(len(saved))]
            except (SafetensorError, OSError, KeyError):
                pass  # The file is missing or damaged, so the logits are computed again.

    def get(self, step: int, batch: int, compute: Callable[[], Tensor], device: torch.device) -> Tensor:
        """The logits [batch, classes] of one batch, in f32. Steps must come in order."""
        if step < len(self.known) and len(self.known[step]) == batch:
            return self.known[step].to(device, non_blocking=True)
        answer = compute().float()
        if self.path is not None:
            # Kept on its device, since fetching it now would wait for the device.
            self.new.append(answer.detach())
        return answer

    def keep(self) -> None:
        """Writes the logits to disk, if they are new."""
        if self.path is None or not self.new:
            return
        tensors = {str(step): answer.cpu().contiguous() for step, answer in enumerate(self.new)}
        try:
            write_whole(self.path, lambda beside: save_file(tensors, beside))
        except OSError as error:
            raise TrainingError(f"--cache {self.path.parent}: {error}") from None
