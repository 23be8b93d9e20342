"""Fine-tunes a model with condensation: the paper's recipe, with the condensation that was best (docs/ACCURACY.md).

    python -m tcvit_training.finetune ../assets/models/vit_cifar10_32 cifar10/train --test cifar10/test \\
        --drop 5 --out runs/r5

`--preset paper` selects the paper's condensation. The recipe is AdamW at 1e-4 with a cosine for 30 epochs. The full
model before fine-tuning is the teacher, whose divergence has a weight of 0.5. The result in --out is a checkpoint
folder for `tcvit eval` and `tcvit classify`, in which the condensation is recorded.
"""

import argparse
import copy
import sys
from pathlib import Path

from . import data, models
from .arguments import add_condensation, add_data, add_machine, add_recipe, add_run, condensation_of, device_of
from .data import Preparation
from .errors import exit_status
from .export import export
from .loop import Recipe, Run, fit
from .patch import condense_model
from .provenance import log_head


def run(arguments: argparse.Namespace) -> None:
    """Fine-tunes and exports."""
    device = device_of(arguments)
    condensation = condensation_of(arguments)
    checkpoint = models.load(arguments.model)
    listing = data.scan(arguments.data, arguments.limit, arguments.seed)
    if arguments.new_head:
        models.replace_head(checkpoint, listing.classes, arguments.seed)
    listing = data.align(listing, checkpoint.labels, checkpoint.model.num_classes, every=True)
    if not checkpoint.labels:
        checkpoint.config["label_names"] = listing.classes
    test = arguments.test and data.align(
        data.scan(arguments.test, arguments.test_limit), checkpoint.labels, checkpoint.model.num_classes, every=False
    )
    model = checkpoint.model.to(device)
    # An untrained head has nothing to teach.
    teaches = arguments.distillation > 0.0 and not arguments.new_head
    teacher = copy.deepcopy(model).eval().requires_grad_(False) if teaches else None
    if condensation is not None:
        condense_model(model, condensation)
    preparation = Preparation.of(checkpoint.config, model.patch_embed.img_size[0])
    loading = {"memory": arguments.memory, "cache": arguments.cache, "threads": arguments.threads}
    training = Run(
        out=arguments.out,
        model=model,
        config=checkpoint.config,
        condensation=condensation,
        recipe=Recipe.of(arguments, device),
        images=data.training_images(listing, preparation, **loading),
        test=test and data.evaluation_images(test, preparation, **loading),
        preparation=preparation,
        device=device,
        teacher=teacher,
        cache=arguments.cache,
        evaluate_every=arguments.evaluate_every,
        before=not arguments.skip_before,
        stop_after=arguments.stop_after,
    )
    if fit(training, arguments.resume, log_head("finetune", arguments, training)):
        export(arguments.out, model.state_dict(), checkpoint.config, condensation, arguments.half)
        print(f"{arguments.out}: {condensation or 'full'}")


def main(argv: list[str] | None = None) -> int:
    """Reads the arguments and fine-tunes."""
    parser = argparse.ArgumentParser(
        prog="finetune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the folder to start from, with model.safetensors and config.json")
    parser.add_argument("data", type=Path, help="a folder with a folder of training images for each class")
    parser.add_argument("--full", action="store_true", help="no condensation: as long without it, to compare with")
    parser.add_argument("--new-head", action="store_true", help="a new classifier, for other classes than the model's")
    add_condensation(parser, preset=None)
    add_recipe(parser, epochs=30, lr=1e-4, label_smoothing=0.0)
    parser.add_argument("--distillation", type=float, default=0.5, help="weight of the teacher (default: %(default)s)")
    parser.add_argument("--skip-before", action="store_true", help="do not measure accuracy before the first epoch")
    add_run(parser)
    add_data(parser)
    add_machine(parser)
    arguments = parser.parse_args(argv)
    if arguments.preset is None and not arguments.full:
        arguments.preset = "training_free"
    arguments.command = ["finetune", *(sys.argv[1:] if argv is None else argv)]
    return exit_status("finetune", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
