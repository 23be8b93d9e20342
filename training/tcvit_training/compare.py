"""Runs the same model on the same pixels here and in `tcvit`, and reports where the results differ.

    python -m tcvit_training.compare ../assets/models/vit_cifar10_32 cifar10/test --preset paper --drop 5 \\
        --tcvit ../target/release/tcvit

For the full and the condensed model: top-1 of both sides, the largest difference of logits, images that are classified
differently, and kept sets block by block. For the first block in which an image's kept sets differ, `gap` is the
distance between the scores of the tokens that only one side keeps, as a share of the range of scores in that image.
Near a tie it is small.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from . import data, models
from .arguments import add_condensation, add_data, add_machine, device_of
from .data import Preparation
from .errors import TrainingError, exit_status
from .evaluate import choose
from .patch import condense_model

# The same arithmetic as Python's evaluation.
FIXED = ["--precision", "f32", "--no-tune"]


@dataclass
class Tally:
    """Counts of the comparison for the full or the condensed model."""

    images: int = 0
    right_here: int = 0
    right_there: int = 0
    otherwise: int = 0
    largest_difference: float = 0.0
    largest_logit: float = 0.0
    block_sets: int = 0
    equal_sets: int = 0
    gaps: list[float] = field(default_factory=list)  # for each image whose kept sets differ, in the first such block

    def add_logits(self, here: Tensor, there: Tensor, labels: Tensor) -> None:
        """Adds the logits [n, classes] of both sides."""
        mine, other = here.argmax(dim=1), there.argmax(dim=1)
        self.images += len(labels)
        self.right_here += int((mine == labels).sum())
        self.right_there += int((other == labels).sum())
        self.otherwise += int((mine != other).sum())
        difference = float((here - there).abs().max())
        # NaN counts as larger than any number.
        if math.isnan(difference) or difference > self.largest_difference:
            self.largest_difference = difference
        self.largest_logit = max(self.largest_logit, float(here.abs().max()))

    def add_kept(self, here: dict[int, Tensor], scores: dict[int, Tensor], there: dict[str, Tensor]) -> None:
        """Adds kept [n, N - R] and scores [n, N] of this side by block, and the trace of the other side."""
        apart: set[int] = set()
        for block, kept in sorted(here.items()):
            other = there[f"block.{block}.kept"].to(torch.int64)
            equal = (kept == other).all(dim=1)
            self.block_sets += len(kept)
            self.equal_sets += int(equal.sum())
            for image in (~equal).nonzero().flatten().tolist():
                if image not in apart:
                    apart.add(image)
                    self.gaps.append(gap(kept[image], other[image], scores[block][image]))

    def report(self) -> dict[str, float]:
        """The results, with shares in per cent."""
        report: dict[str, float] = {
            "images": self.images,
            "top1": round(100.0 * self.right_here / self.images, 2),
            "tcvit_top1": round(100.0 * self.right_there / self.images, 2),
            "classified_otherwise": self.otherwise,
            "largest_difference": self.largest_difference,
            "largest_logit": round(self.largest_logit, 3),
        }
        if self.block_sets:
            report |= {
                "kept_sets": self.block_sets,
                "equal_kept_sets": self.equal_sets,
                "images_that_part": len(self.gaps),
                "largest_gap": max(self.gaps, default=0.0),
            }
        return report


def gap(mine: Tensor, other: Tensor, score: Tensor) -> float:
    """The distance between the scores [N] of the tokens that only one side keeps, as a share of the range of all
    scores."""
    only = set(mine.tolist()) ^ set(other.tolist())
    values = score[sorted(only)]
    return float((values.max() - values.min()) / (score.max() - score.min()))


def flags_of(arguments: argparse.Namespace) -> list[str]:
    """The options of the condensation as `tcvit` takes them."""
    flags = [] if arguments.preset is None else ["--preset", arguments.preset]
    flags += [] if arguments.drop is None else ["--drop", str(arguments.drop)]
    for item in arguments.set:
        name, _, value = item.partition("=")
        flags += [f"--{name.strip().replace('_', '-')}", value.strip()]
    return flags


def ask(arguments: argparse.Namespace, flags: list[str], pixels: Path, folder: Path) -> dict[str, Tensor]:
    """The trace that `tcvit classify` writes for these pixels."""
    trace = folder / "trace.safetensors"
    command = [str(arguments.tcvit), "classify", "--model", str(arguments.model), "--pixels", str(pixels)]
    command += ["--trace", str(trace), "--batch", str(arguments.tcvit_batch), *FIXED, *flags]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise TrainingError(f"{arguments.tcvit}: ended with status {done.returncode}: {reason}")
        return load_file(trace)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"--tcvit {arguments.tcvit}: {error}; `cargo build --release` makes it") from None


@torch.inference_mode()
def run(arguments: argparse.Namespace) -> None:
    """Compares and prints."""
    device = device_of(arguments)
    if arguments.tcvit_batch < 1:
        raise TrainingError(f"--tcvit-batch: expected at least 1, got {arguments.tcvit_batch}")
    checkpoint = models.load(arguments.model)
    model = checkpoint.model.to(device).eval()
    condensation = choose(arguments, checkpoint.tuned_for)
    condenser = None if condensation is None else condense_model(model, condensation)
    listing = data.align(
        data.scan(arguments.data, arguments.limit, arguments.seed), checkpoint.labels, model.num_classes, every=False
    )
    preparation = Preparation.of(checkpoint.config, model.patch_embed.img_size[0])
    images = data.evaluation_images(listing, preparation, arguments.memory, arguments.cache, arguments.threads)
    full, condensed = Tally(), Tally()
    order = list(torch.arange(len(images)).split(arguments.batch))
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name), Path(name) / "pixels.safetensors"
        for pixels, labels in tqdm(images.batches(order), "compare", len(order), leave=False, disable=None):
            x = preparation.normalise(pixels.to(device))
            save_file({"pixels": x.cpu().contiguous()}, file)
            if condenser is not None:
                condenser.tracing = True
                here = model(x).cpu()
                there = ask(arguments, flags_of(arguments), file, folder)
                condensed.add_logits(here, there["logits"], labels)
                kept = {block: decision.kept.cpu() for block, decision in condenser.trace.items()}
                scores = {block: decision.score.cpu() for block, decision in condenser.trace.items()}
                condensed.add_kept(kept, scores, there)
                condenser.enabled = condenser.tracing = False
            here = model(x).cpu()
            full.add_logits(here, ask(arguments, ["--condense", "off"], file, folder)["logits"], labels)
            if condenser is not None:
                condenser.enabled = True
    reports = {"full": full.report()}
    if condensation is not None:
        reports[str(condensation)] = condensed.report()
    if arguments.json:
        print(json.dumps(reports))
        return
    for name, report in reports.items():
        print(name)
        for key, value in report.items():
            print(f"  {key:22} {value:.3g}" if key in ("largest_difference", "largest_gap") else f"  {key:22} {value}")


def main(argv: list[str] | None = None) -> int:
    """Reads the arguments and compares."""
    parser = argparse.ArgumentParser(
        prog="compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a folder with model.safetensors and config.json")
    parser.add_argument("data", type=Path, help="a folder with a folder of images for each class")
    parser.add_argument("--tcvit", type=Path, default=Path("tcvit"), help="the program (default: %(default)s)")
    parser.add_argument("--tcvit-batch", type=int, default=50, help="its batch (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_condensation(parser, preset=None)
    add_data(parser)
    add_machine(parser)
    arguments = parser.parse_args(argv)
    return exit_status("compare", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
