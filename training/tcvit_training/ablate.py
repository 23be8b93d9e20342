"""Fine-tunes several condensations from the same start with the same recipe, and tabulates the results.

    python -m tcvit_training.ablate ablations/small.json ../assets/models/vit_cifar10_32 cifar10/train \\
        --test cifar10/test --out runs/small

The JSON file has `seeds`, the `arguments` of finetune that all runs have in common, and `variants`. Each variant has a
`name`, `options` of a condensation, its own `arguments`, and the `tables` of the paper that it belongs to. Arguments
after `--` are appended to those of every run. Results are written to --out/results.csv. A run that is in this file
already is not repeated, and an interrupted run continues from its checkpoint.
"""

import argparse
import csv
import json
import shutil
import sys
from pathlib import Path

from . import finetune
from .checkpoints import read_log
from .condensation import Condensation
from .errors import TrainingError, exit_status
from .files import write_whole

COLUMNS = (
    "name", "tables", "seed", "condensation", "full_top1", "before_top1", "before_agreement", "top1", "top5", "loss",
    "epochs", "images", "test_images", "seconds",
)  # fmt: skip


def read_plan(path: Path) -> dict:
    """Reads the file and checks every variant, so that a mistake in the last one is found before the first has run."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        variants = plan["variants"]
        names = [variant["name"] for variant in variants]
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: expected JSON with `variants`, each with a `name`: {error}") from None
    if len(set(names)) < len(names):
        raise TrainingError(f"{path}: expected variants of different names, got {', '.join(names)}")
    for variant in variants:
        try:
            Condensation.from_options(variant.get("options", {}))
        except TrainingError as error:
            raise TrainingError(f"{path}: variant {variant['name']}: {error}") from None
    return plan


def read_results(path: Path) -> list[dict[str, str]]:
    """The rows of results.csv; empty if there is no file yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise TrainingError(f"{path}: expected the columns of this program, got {reader.fieldnames}")
    return rows


def write_results(path: Path, rows: list[dict]) -> None:
    """Writes all rows, never a partial file."""

    def write(beside: Path) -> None:
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    write_whole(path, write)


def command(variant: dict, seed: int, shared: list[str], arguments: argparse.Namespace, out: Path) -> list[str]:
    """The arguments of finetune for one run."""
    options = dict(variant.get("options", {}))
    # Options without a preset mean `paper`, as in `Condensation.from_options`.
    preset = ["--preset", options.pop("preset", "paper")] if options else []
    own = [*preset, *(part for name, value in options.items() for part in ("--set", f"{name}={value}"))]
    fixed = [str(arguments.model), str(arguments.data), "--test", str(arguments.test), "--out", str(out)]
    extra = [*variant.get("arguments", []), *arguments.rest]
    return [*fixed, *shared, *own, *extra, "--seed", str(seed), "--resume", "--cache", str(arguments.out / "cache")]


def summary(variant: dict, seed: int, out: Path, before: dict) -> dict:
    """A row from the log of a finished run. `before` holds the measurement before training of the variant's first seed,
    for a run without one."""
    log = read_log(out)
    epochs = [line for line in log[1:] if "epoch" in line]
    first = next((line for line in epochs if line["epoch"] == 0), None)
    last = epochs[-1]
    before = (
        before
        if first is None
        else {
            "full_top1": first.get("full_top1", first["top1"]),
            "before_top1": first["top1"],
            "before_agreement": first.get("agreement", 100.0),
        }
    )
    return {
        "name": variant["name"], "tables": " ".join(variant.get("tables", [])), "seed": seed,
        "condensation": log[0]["condensation"] or "full", **before, "top1": last["top1"], "top5": last["top5"],
        "loss": last["loss"], "epochs": last["epoch"], "images": log[0]["images"], "test_images": log[0]["test_images"],
        "seconds": round(sum(line.get("seconds", 0.0) for line in epochs), 1),
    }  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Makes the runs that are not in the table yet: the first seed of every variant, then the second, and so on."""
    plan = read_plan(arguments.plan)
    path = arguments.out / "results.csv"
    rows = read_results(path)
    wanted = [variant for variant in plan["variants"] if not arguments.only or variant["name"] in arguments.only]
    for seed in plan.get("seeds", [0]):
        for variant in wanted:
            mine = [row for row in rows if row["name"] == variant["name"]]
            if any(row["seed"] == str(seed) for row in mine):
                continue
            print(f"== {variant['name']}, seed {seed}", flush=True)
            out = arguments.out / f"{variant['name'].replace(' ', '_').replace(',', '')}.{seed}"
            # Before training the seed changes nothing, so one measurement suffices for all seeds.
            skip = ["--skip-before"] if mine else []
            status = finetune.main(command(variant, seed, plan.get("arguments", []), arguments, out) + skip)
            if status != 0:
                raise TrainingError(f"{variant['name']}, seed {seed}: did not end; the rest was not run")
            before = {name: mine[0][name] for name in ("full_top1", "before_top1", "before_agreement")} if mine else {}
            rows.append({name: str(value) for name, value in summary(variant, seed, out, before).items()})
            write_results(path, rows)
            if not arguments.keep:
                for file in ("checkpoint.pt", "model.safetensors", "config.json"):
                    (out / file).unlink(missing_ok=True)
    if not arguments.keep:
        shutil.rmtree(arguments.out / "cache", ignore_errors=True)
    print(f"{path}: {len(rows)} rows")


def main(argv: list[str] | None = None) -> int:
    """Reads the arguments and runs the variants."""
    argv = list(sys.argv[1:] if argv is None else argv)
    split = argv.index("--") if "--" in argv else len(argv)
    parser = argparse.ArgumentParser(
        prog="ablate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", type=Path, help="the JSON file")
    parser.add_argument("model", type=Path, help="the folder to start from")
    parser.add_argument("data", type=Path, help="training images")
    parser.add_argument("--test", type=Path, required=True, metavar="FOLDER", help="images to measure accuracy on")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="results.csv, and a log of every run")
    parser.add_argument("--only", action="append", metavar="NAME", help="this variant; may be given several times")
    parser.add_argument("--keep", action="store_true", help="keep checkpoints, models and decoded images")
    arguments = parser.parse_args(argv[:split])
    arguments.rest = argv[split + 1 :]
    return exit_status("ablate", lambda: run(arguments))


if __name__ == "__main__":
    sys.exit(main())
