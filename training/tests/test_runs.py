"""Runs whole programs on a tiny folder: fine-tune, stop, resume, export, evaluate, and errors."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from conftest import small_vit, write_folder
from tcvit_training import Condensation, ablate, evaluate, export, finetune, models, train
from tcvit_training.checkpoints import read_log

ARGUMENTS = {"img_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 4, "num_heads": 2}
QUICK = ["--threads", "1", "--batch", "8", "--device", "cpu"]


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A checkpoint folder of the small model."""
    config = {
        "architecture": "small",
        "model_args": ARGUMENTS,
        "label_names": ["ant", "bee", "cow"],
        "pretrained_cfg": {"crop_pct": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3},
    }
    export.export(tmp_path / "start", small_vit().state_dict(), config, None)
    return tmp_path / "start"


def run(program, *arguments: object) -> int:
    return program.main([*map(str, arguments), *QUICK])


def test_a_run_that_is_stopped_and_resumed_ends_where_an_uninterrupted_one_does(start, folder, tmp_path):
    options = [start, folder, "--test", folder, "--drop", 2, "--epochs", 3, "--lr", 1e-3, "--seed", 5, "--mixup", 0.4]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(finetune, *options, "--out", whole) == 0
    assert run(finetune, *options, "--out", parts, "--stop-after", 1) == 0
    assert not (parts / "model.safetensors").exists()
    assert run(finetune, *options, "--out", parts, "--resume") == 0
    states = [load_file(path / "model.safetensors") for path in (whole, parts, start)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])
    log = read_log(whole)
    assert log[0]["seed"] == 5 and "finetune" in log[0]["command"] and "torch" in log[0]["versions"]
    assert [line["epoch"] for line in log[1:]] == [0, 1, 2, 3] and "full_top1" in log[1]
    assert all(set(line) >= {"loss", "lr", "top1", "seconds"} for line in log[2:])
    resumed = [line for line in read_log(parts)[1:] if "epoch" in line]
    assert [line["top1"] for line in resumed] == [line["top1"] for line in log[1:]]


def test_what_is_exported_is_what_the_rust_side_reads(start, folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--preset", "paper", "--set", "order=4", "--drop", 2, "--epochs", 1, "--half"]
    assert run(finetune, start, folder, *options, "--out", out) == 0
    with safe_open(out / "model.safetensors", "pt") as file:
        tuned = Condensation.from_json(file.metadata()["tcvit.condensation"])
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
    assert tuned == Condensation.paper().set("order", 4).drop(2)
    config = json.loads((out / "config.json").read_text())
    assert (config["num_classes"], config["num_features"], config["global_pool"]) == (3, 32, "token")
    assert config["label_names"] == ["ant", "bee", "cow"] and config["model_args"]["num_heads"] == 2
    loaded = models.load(out)
    assert loaded.tuned_for == tuned
    again = tmp_path / "again"
    assert export.main([str(out / "checkpoint.pt"), str(again), "--half"]) == 0
    assert models.load(again).tuned_for == tuned
    first, second = (load_file(path / "model.safetensors") for path in (out, again))
    assert all(torch.equal(first[name], second[name]) for name in first)

    capsys.readouterr()
    trace, rows = tmp_path / "trace.safetensors", tmp_path / "rows.csv"
    assert run(evaluate, out, folder, "--json", "--trace", trace, "--csv", rows) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["condensation"] == "paper, order 4, drop 2" and report["images"] == 24 and not captured.err
    tensors = load_file(trace)
    assert tensors["block.3.kept"].shape == (24, 8) and tensors["block.0.assigned"].shape == (24, 16)
    assert len(rows.read_text().splitlines()) == 25
    agree = tensors["logits"].argmax(1) == tensors["full/logits"].argmax(1)
    assert report["agreement"] == pytest.approx(100.0 * float(agree.float().mean()))
    assert run(evaluate, out, folder, "--drop", 1) == 0
    assert "warning" in capsys.readouterr().err


def test_from_scratch_and_on(folder, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    arguments = ["--arch", "vit", "--model-args", json.dumps(ARGUMENTS), "--epochs", 1, "--augment", "strong"]
    assert run(train, folder, *arguments, "--cutmix", 1.0, "--precision", "bf16", "--out", first) == 0
    assert models.load(first).tuned_for is None
    other = write_folder(tmp_path / "other", ["ant", "bee"], 8)
    assert run(finetune, first, other, "--new-head", "--drop", 1, "--epochs", 1, "--out", second) == 0
    assert models.load(second).labels == ["ant", "bee"]


def test_a_teacher_that_is_remembered_teaches_the_same(start, folder, tmp_path):
    options = [start, folder, "--drop", 2, "--epochs", 2, "--lr", 1e-3, "--test", folder]
    cache = tmp_path / "cache"
    folders = [tmp_path / name for name in ("without", "first", "second")]
    for out, extra in zip(folders, ([], ["--cache", cache], ["--cache", cache]), strict=True):
        assert run(finetune, *options, *extra, "--out", out) == 0
    # The files are those of two epochs of the teacher, and of the full model on the test images.
    kept = sorted(cache.glob("logits-*"))
    assert len(kept) == 3
    states = [load_file(out / "model.safetensors") for out in folders]
    assert all(torch.equal(states[0][name], other[name]) for other in states[1:] for name in other)
    # Another seed changes the images, so new logits are computed. Another condensation does not.
    assert run(finetune, *options, "--cache", cache, "--seed", 1, "--out", tmp_path / "third") == 0
    assert len(list(cache.glob("logits-*"))) == 5
    assert run(finetune, *options, "--cache", cache, "--set", "order=1", "--out", tmp_path / "fourth") == 0
    assert len(list(cache.glob("logits-*"))) == 5


def test_errors_are_one_line_and_status_2(start, folder, tmp_path, capsys):
    out = tmp_path / "out"
    options = [start, folder, "--drop", 2, "--epochs", 2, "--out", out]
    assert run(finetune, *options, "--stop-after", 1) == 0
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((start / "config.json").read_bytes())
    (broken / "model.safetensors").write_bytes((start / "model.safetensors").read_bytes()[:1000])
    two = write_folder(tmp_path / "two", ["ant", "bee"], 2)
    empty = tmp_path / "empty"
    empty.mkdir()
    new = ["--out", tmp_path / "new", "--epochs", 1]
    for arguments, named in [
        (options, "--resume goes on"),
        ([*options, "--resume", "--lr", 0.5], "was started with lr 0.0001, got 0.5"),
        ([broken, folder, *new], "not a whole safetensors file"),
        ([empty, folder, *new], "config.json: no such file"),
        ([tmp_path / "none", folder, *new], "got no folder"),
        ([start, empty, *new], "an empty folder"),
        ([start, two, *new], "expected 3 classes, which the model's head has, got 2"),
        ([start, folder, *new, "--drop", 9], "block 1"),
        ([start, folder, *new, "--set", "order"], "NAME=VALUE"),
        ([start, folder, *new, "--set", "metric=angle"], "euclidean"),
        ([start, folder, *new, "--preset", "best"], "training_free"),
        ([start, folder, *new, "--limit", 0], "--limit: expected at least 1"),
        ([start, folder, *new, "--lr", "nan"], "--lr: expected a number from 0"),
        ([start, folder, *new, "--lr", 1e30], "the loss is"),
    ]:
        capsys.readouterr()
        assert run(finetune, *arguments) == 2, named
        error = capsys.readouterr().err.strip()
        assert named in error and error.startswith("finetune: ") and "\n" not in error, error
    checkpoint = out / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    assert run(finetune, *options, "--resume") == 2
    assert "checkpoint is damaged" in capsys.readouterr().err
    assert export.main([str(checkpoint), str(tmp_path / "x")]) == 2
    assert train.main([str(folder), "--arch", "resnet18", "--out", str(tmp_path / "y"), *QUICK]) == 2
    assert "ResNet" in capsys.readouterr().err


def test_an_ablation_goes_on_where_it_was_and_compares_with_before(start, folder, tmp_path, capsys):
    plan, out = tmp_path / "plan.json", tmp_path / "out"
    variants = [{"name": "paper", "tables": ["3"], "options": {"drop": 2}}, {"name": "full", "arguments": ["--full"]}]
    plan.write_text(json.dumps({"seeds": [0, 1], "arguments": ["--epochs", "1"], "variants": variants}))
    arguments = [str(plan), str(start), str(folder), "--test", str(folder), "--out", str(out)]
    assert ablate.main([*arguments, "--only", "paper", "--", *QUICK]) == 0
    first = (out / "results.csv").read_text().splitlines()
    assert ablate.main([*arguments, "--", *QUICK]) == 0
    rows = (out / "results.csv").read_text().splitlines()
    assert rows[:3] == first and len(rows) == 5
    names, values = rows[0].split(","), [row.replace('"paper, drop 2"', "paper").split(",") for row in rows[1:]]
    before = names.index("before_top1")
    assert values[0][before] == values[1][before] != "" and {row[names.index("seed")] for row in values} == {"0", "1"}
    capsys.readouterr()
    assert ablate.main([*arguments, "--", *QUICK]) == 0
    assert "==" not in capsys.readouterr().out
    variants[1]["options"] = {"metric": "angle"}
    plan.write_text(json.dumps({"variants": variants}))
    assert ablate.main(arguments) == 2
    assert "variant full" in capsys.readouterr().err


def test_the_bundled_plan_is_sound():
    plan = ablate.read_plan(Path(__file__).parents[1] / "ablations/small.json")
    tables = {table for variant in plan["variants"] for table in variant["tables"]}
    assert tables == {"3", "4", "5", "6", "7", "8", "9", "10", "choices"}
    for variant in plan["variants"]:
        assert len(Condensation.from_options(variant["options"]).drops(64, 8)) == 8
