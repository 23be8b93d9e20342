"""Compares this package with the golden files of the Rust side's tests: whole networks, computed by another
implementation."""

import importlib.util
import json

import pytest
import timm
import torch
from safetensors import safe_open
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from conftest import BUNDLED, REPOSITORY
from tcvit_training import Condensation, condense_model, models, restore


def random_weights():
    """The module that generates the weights of the golden files from a seed. It gives the inputs only and is not part
    of the implementation that is compared."""
    spec = importlib.util.spec_from_file_location("random_weights", REPOSITORY / "scripts/goldens/random_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pooled() -> VisionTransformer:
    sizes = {"img_size": 64, "patch_size": 8, "embed_dim": 192, "depth": 4, "num_heads": 3, "num_classes": 10}
    return VisionTransformer(**sizes, global_pool="avg", fc_norm=True)


BUILDERS = {
    "bundled": lambda: models.load(BUNDLED).model,
    "deit_tiny": lambda: timm.create_model("deit_tiny_patch16_224"),
    "deit_tiny_distilled": lambda: timm.create_model("deit_tiny_distilled_patch16_224"),
    "dinov2_small_reg4": lambda: timm.create_model("vit_small_patch14_reg4_dinov2", img_size=224, num_classes=0),
    "vit_mean_pooled": pooled,
}


class Golden:
    """A golden file and its model."""

    def __init__(self, name: str) -> None:
        self.file = safe_open(REPOSITORY / f"tests/goldens/{name}.safetensors", "pt")
        described = json.loads(self.file.metadata()["golden"])
        self.cases = [case for case in described["cases"] if case["reducer"] == "connectivity"]
        self.model = BUILDERS[name]().eval()
        if described["seed"] is None:
            self.pixels = self.file.get_tensor("pixels")
        else:
            weights = random_weights()
            weights.randomise(self.model, described["seed"])
            side = described["config"]["image"]
            self.pixels = weights.random_tensor("pixels", (described["batch"], 3, side, side), described["seed"])

    def tensor(self, name: str) -> Tensor:
        value = self.file.get_tensor(name)
        return value if value.is_floating_point() else value.to(torch.int64)

    def forward(self, batch: int, dtype: torch.dtype) -> Tensor:
        """Logits, or, for a model without a classifier, the features of the first six tokens."""
        features = self.model.to(dtype).forward_features(self.pixels[:batch].to(dtype))
        return self.model.forward_head(features) if self.model.num_classes else features[:, :6]

    def expected(self, case: str) -> Tensor:
        return self.tensor(f"{case}/logits" if self.model.num_classes else f"{case}/features")


def condensation_of(case: dict) -> Condensation:
    names = ("metric", "order", "alpha", "beta", "normalise", "mean", "score", "weights", "proportional_attention")
    options = {name: case[name] for name in names} | {"schedule": case["drop"]}
    options["method"] = f"newton{case['steps']}" if case["method"] == "newton" else case["method"]
    if case["score"] == "uniqueness":
        options |= {"exponent": case["exponent"], "size_exponent": case["size_exponent"]}
    return Condensation.from_options(options)


def relative(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected.double()).abs().max() / expected.double().abs().max())


@pytest.mark.parametrize("name", BUILDERS)
@torch.inference_mode()
def test_full(name: str):
    golden = Golden(name)
    kind = "logits" if golden.model.num_classes else "features"
    condenser = condense_model(golden.model, Condensation.paper().drop(2))
    condenser.enabled = False
    error = relative(golden.forward(len(golden.pixels), torch.float32), golden.tensor(f"full/{kind}"))
    # Both are computed in f32, on different machines.
    assert error <= 1e-4, error


@pytest.mark.parametrize("name", BUILDERS)
@torch.inference_mode()
def test_condensed_in_f64_decides_alike_everywhere(name: str):
    golden = Golden(name)
    assert golden.cases
    for case in golden.cases:
        condenser = condense_model(golden.model, condensation_of(case))
        condenser.tracing = True
        error = relative(golden.forward(case["batch"], torch.float64), golden.expected(case["name"]))
        assert error <= 1e-6, (case["name"], error)
        assert [i for i, drop in enumerate(case["drop"]) if drop] == list(condenser.trace)
        for i, decision in condenser.trace.items():
            assert torch.equal(decision.kept, golden.tensor(f"{case['name']}/block.{i}.kept")), (case["name"], i)
            assert torch.equal(decision.assigned, golden.tensor(f"{case['name']}/block.{i}.assigned")), (
                case["name"],
                i,
            )
        if 0 in condenser.trace:
            error = relative(condenser.trace[0].score, golden.tensor(f"{case['name']}/block.0.score"))
            assert error <= 1e-5, (case["name"], error)
        restore(golden.model)


@pytest.mark.parametrize("name", ["bundled", "deit_tiny", "vit_mean_pooled"])
@torch.inference_mode()
def test_condensed_in_f32_is_near(name: str):
    """In f32, near-ties may be decided differently. Outputs are compared with a tolerance that depends on whether kept
    sets are equal."""
    golden = Golden(name)
    for case in golden.cases:
        condenser = condense_model(golden.model, condensation_of(case))
        condenser.tracing = True
        error = relative(golden.forward(case["batch"], torch.float32), golden.expected(case["name"]))
        kept = [(d.kept, golden.tensor(f"{case['name']}/block.{i}.kept")) for i, d in condenser.trace.items()]
        same = all(torch.equal(*pair) for pair in kept)
        assert error <= (2e-3 if same else 5e-2), (case["name"], error, same)


@torch.inference_mode()
def test_the_comparison_can_fail():
    golden = Golden("bundled")
    case = next(case for case in golden.cases if case["name"] == "paper_r5")
    condense_model(golden.model, condensation_of(case).set("beta", 3.0))
    wrong = golden.forward(case["batch"], torch.float64)
    assert not relative(wrong, golden.expected("paper_r5")) <= 1e-3
    assert not relative(torch.full_like(wrong, float("nan")), golden.expected("paper_r5")) <= 1e-3
