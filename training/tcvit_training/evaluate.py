"""Measures top-1, top-5 and agreement with the full model on a folder of images.

    python -m tcvit_training.evaluate models/r5 cifar10/test
    python -m tcvit_training.evaluate models/r5 cifar10/test --drop 3 --limit 2000 --trace trace.safetensors

Without options, the condensation is the one that the checkpoint was fine-tuned for, or none.
"""

import argparse
import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from . import data, models
from .arguments import add_condensation, add_data, add_machine, condensation_of, device_of
from .condensation import Condensation
from .data import Images, Preparation, fingerprint
from .errors import TrainingError, exit_status
from .files import write_whole
from .kept import KeptLogits, name_of
from .patch import condense_model


@dataclass
class Outcome:
    """Logits [n, classes] of the condensed model and, if requested, of the full one, labels [n], and the trace's
    tensors."""

    labels: Tensor
    logits: Tensor
    full: Tensor | None
    trace: dict[str, Tensor]

    def measures(self) -> dict[str, float]:
        """The results in per cent, except for the mean Kullback-Leibler divergence in nats."""
        measures = {"images": len(self.labels), **accuracy(self.logits, self.labels)}
        if self.full is not None:
            measures |= {f"full_{name}": value for name, value in accuracy(self.full, self.labels).items()}
            same = self.logits.argmax(dim=1) == self.full.argmax(dim=1)
            measures["agreement"] = 100.0 * float(same.double().mean())
            own, other = self.logits.log_softmax(dim=1), self.full.log_softmax(dim=1)
            measures["kl"] = float(F.kl_div(own, other, reduction="batchmean", log_target=True))
        return measures


def accuracy(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Top-1 and top-5 in per cent."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    return {"top1": 100.0 * float(best[:, 0].double().mean()), "top5": 100.0 * float(best.any(dim=1).double().mean())}


@torch.inference_mode()
def evaluate(
    model: torch.nn.Module,
    images: Images,
    preparation: Preparation,
    device: torch.device,
    batch: int,
    compare: bool = False,
    tracing: bool = False,
    cache: Path | None = None,
) -> Outcome:
    """Runs a model over images in f32. With `compare`, also runs it as the full model, whose logits are kept in
    `cache`. With `tracing`, records decisions."""
    condenser, was_training = getattr(model, "condenser", None), model.training
    model.eval()
    logits, full, traces = [], [], []
    order = list(torch.arange(len(images)).split(batch))
    progress = tqdm(images.batches(order), "evaluate", len(order), leave=False, disable=None)
    if condenser is not None:
        condenser.tracing = tracing
    answers = KeptLogits(None, "")
    if cache is not None and condenser is not None and compare:
        asked = {"images": fingerprint(images.listing, images.geometry), "preparation": preparation, "batch": batch}
        answers = KeptLogits(cache, name_of(model, **asked, versions=(torch.__version__, device.type)))
    for step, (pixels, _) in enumerate(progress):
        x = preparation.normalise(pixels.to(device, non_blocking=True))
        logits.append(model(x).float())
        if condenser is not None and tracing:
            traces.append(
                {
                    f"block.{i}.{name}": value.cpu()
                    for i, d in condenser.trace.items()
                    for name, value in vars(d).items()
                }
            )
        if condenser is not None and compare:
            condenser.enabled = False
            full.append(answers.get(step, len(x), lambda x=x: model(x), device))
            condenser.enabled = True
    answers.keep()
    if condenser is not None:
        condenser.tracing = False
    model.train(was_training)
    trace = {name: torch.cat([part[name] for part in traces]) for name in (traces[0] if traces else ())}
    return Outcome(images.labels, torch.cat(logits).cpu(), torch.cat(full).cpu() if full else None, trace)


def write_trace(path: Path, outcome: Outcome, preparation: Preparation, images: Images) -> None:
    """Writes the trace in the format of the Rust side, without features, and with the paths of the images instead of
    their pixels."""
    tensors = {"logits": outcome.logits, "labels": outcome.labels.to(torch.int32)}
    if outcome.full is not None:
        tensors["full/logits"] = outcome.full
    for name, value in outcome.trace.items():
        # torch supports few operations on uint32, but the conversion is all that is needed here.
        tensors[name] = value if value.is_floating_point() else value.to(torch.uint32)
    root = images.listing.folder
    metadata = {"images": json.dumps([str(path.relative_to(root)) for path in images.listing.paths])}
    write_whole(path, lambda beside: save_file({k: v.contiguous() for k, v in tensors.items()}, beside, metadata))


def write_csv(path: Path, outcome: Outcome, images: Images) -> None:
    """Writes one row for each image: its path, its label, and the predicted classes."""

    def write(beside: Path) -> None:
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "label", "predicted", "full"])
            root, full = images.listing.folder, outcome.full
            classes = [
                outcome.logits.argmax(dim=1).tolist(),
                [""] * len(images) if full is None else full.argmax(1).tolist(),
            ]
            for row in zip(images.listing.paths, outcome.labels.tolist(), *classes, strict=True):
                writer.writerow([row[0].relative_to(root), *row[1:]])

    write_whole(path, write)


def choose(arguments: argparse.Namespace, tuned_for: Condensation | None) -> Condensation | None:
    """The requested condensation, or else the one that the checkpoint was fine-tuned for. Prints a warning if the two
    differ."""
    chosen = condensation_of(arguments, tuned_for)
    if tuned_for is not None and chosen != tuned_for:
        print(f"warning: {arguments.model} was tuned for {tuned_for}, and runs {chosen or 'full'}", file=sys.stderr)
    return chosen


def run(arguments: argparse.Namespace) -> None:
    """Evaluates and prints."""
    device = device_of(arguments)
    checkpoint = models.load(arguments.model)
    model = checkpoint.model.to(device)
    condensation = choose(arguments, checkpoint.tuned_for)
    if condensation is not None:
        condense_model(model, condensation)
    listing = data.scan(arguments.data, arguments.limit, arguments.seed)
    listing = data.align(listing, checkpoint.labels, model.num_classes, every=False)
    preparation = Preparation.of(checkpoint.config, model.patch_embed.img_size[0])
    images = data.evaluation_images(listing, preparation, arguments.memory, arguments.cache, arguments.threads)
    tracing = arguments.trace is not None and condensation is not None
    outcome = evaluate(model, images, preparation, device, arguments.batch, compare=True, tracing=tracing)
    try:
        if arguments.trace is not None:
            write_trace(arguments.trace, outcome, preparation, images)
        if arguments.csv is not None:
            write_csv(arguments.csv, outcome, images)
    except OSError as error:
        raise TrainingError(str(error)) from None
    report = {"condensation": str(condensation or "full"), **outcome.measures()}
    if arguments.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(
                f"{name:12} {value:.4g}"
                if isinstance(value, float) and name == "kl"
                else f"{name:12} {value:.2f}"
                if isinstance(value, float)
                else f"{name:12} {value}"
            )


def main(argv: list[str] | None = None) -> int:
    """Reads the arguments and evaluates."""
    parser = argparse.ArgumentParser(
        prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a folder with model.safetensors and config.json")
    parser.add_argument("data", type=Path, help="a folder with a folder of images for each class")
    parser.add_argument("--full", action="store_true", help="no condensation, whatever the checkpoint was tuned for")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write logits and decisions as safetensors")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write what was predicted for each image")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_condensation(parser, preset=None)
    add_data(parser)
    add_machine(parser)
    arguments = parser.parse_args(argv)
    return exit_status("evaluate", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
