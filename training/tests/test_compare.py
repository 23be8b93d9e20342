"""Tests `compare` with a substitute for the Rust program, which runs this package, either unchanged or with a
mistake."""

import json
import stat
import sys
from pathlib import Path

import pytest
import torch

from conftest import REPOSITORY, small_vit
from tcvit_training import compare, export
from tcvit_training.compare import Tally, gap

STAND_IN = """#!{python}
import sys
sys.path[:0] = [{package!r}]
import torch
from pathlib import Path
from safetensors.torch import load_file, save_file
from tcvit_training import models
from tcvit_training.condensation import Condensation
from tcvit_training.patch import condense_model
value = lambda name: sys.argv[sys.argv.index(name) + 1]
assert sys.argv[1] == "classify" and value("--precision") == "f32"
torch.set_num_threads(1)
model = models.load(Path(value("--model"))).model.eval()
trace = {{}}
if "--condense" not in sys.argv:
    condenser = condense_model(model, Condensation.preset(value("--preset")).drop(int(value("--drop"))))
    condenser.tracing = True
with torch.no_grad():
    trace["logits"] = model(load_file(value("--pixels"))["pixels"])
if "--condense" not in sys.argv:
    for block, decision in condenser.trace.items():
        trace[f"block.{{block}}.kept"] = decision.kept.to(torch.uint32)
{slip}
save_file({{name: tensor.contiguous() for name, tensor in trace.items()}}, value("--trace"))
"""


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A checkpoint folder of the small model."""
    arguments = {"img_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 4, "num_heads": 2}
    config = {"architecture": "small", "model_args": arguments, "label_names": ["ant", "bee", "cow"]}
    export.export(tmp_path / "start", small_vit().state_dict(), config, None)
    return tmp_path / "start"


def stand_in(folder: Path, slip: str) -> Path:
    path = folder / "stand_in"
    path.write_text(STAND_IN.format(python=sys.executable, package=str(REPOSITORY / "training"), slip=slip))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def reports(capsys, program: Path, start: Path, folder: Path) -> dict:
    options = ["--drop", "2", "--preset", "paper", "--tcvit", str(program), "--json", "--threads", "1", "--batch", "20"]
    assert compare.main([str(start), str(folder), *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_the_same_is_the_same(start, folder, tmp_path, capsys):
    report = reports(capsys, stand_in(tmp_path, ""), start, folder)
    full, condensed = report["full"], report["paper, drop 2"]
    assert full["images"] == condensed["images"] == 24
    assert full["top1"] == full["tcvit_top1"] and condensed["top1"] == condensed["tcvit_top1"]
    assert full["classified_otherwise"] == condensed["classified_otherwise"] == 0
    assert full["largest_difference"] <= 1e-6 and condensed["largest_difference"] <= 1e-6
    assert condensed["kept_sets"] == condensed["equal_kept_sets"] == 24 * 4 and condensed["images_that_part"] == 0


def test_what_differs_is_told(start, folder, tmp_path, capsys):
    slip = """
trace["logits"][0] = -trace["logits"][0]
if "block.1.kept" in trace:
    gone = set(range(14)) - set(trace["block.1.kept"][3].tolist())
    trace["block.1.kept"][3, 0] = min(gone)
"""
    report = reports(capsys, stand_in(tmp_path, slip), start, folder)
    # The mistake is made in each of two batches, of 20 and 4 images.
    assert report["full"]["largest_difference"] > 0.1
    assert report["full"]["classified_otherwise"] >= 1
    condensed = report["paper, drop 2"]
    assert condensed["kept_sets"] - condensed["equal_kept_sets"] == condensed["images_that_part"] == 2
    assert condensed["largest_gap"] > 0.0


def test_nan_is_the_largest_difference():
    tally = Tally()
    logits, labels = torch.tensor([[0.0, 1.0]]), torch.tensor([1])
    tally.add_logits(logits, torch.tensor([[float("nan"), 1.0]]), labels)
    tally.add_logits(logits, logits, labels)
    assert tally.largest_difference != tally.largest_difference


def test_a_gap_is_a_share_of_the_range():
    score = torch.tensor([0.0, 1.0, 4.0, 1.5])
    assert gap(torch.tensor([1, 2]), torch.tensor([2, 3]), score) == pytest.approx(0.125)


def test_a_program_that_fails_or_is_not_there(start, folder, tmp_path, capsys):
    for program, named in [
        (tmp_path / "none", "cargo build"),
        (stand_in(tmp_path, "sys.exit('no device')"), "no device"),
    ]:
        assert compare.main([str(start), str(folder), "--tcvit", str(program), "--threads", "1"]) == 2
        assert named in capsys.readouterr().err
