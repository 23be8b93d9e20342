"""Tests of patching timm's models in place, and of undoing it."""

import copy

import pytest
import timm
import torch

from conftest import small_vit
from tcvit_training import Condensation, TrainingError, condense_model, restore

MODELS = {
    "class token": {},
    "layer scale": {"init_values": 0.5},
    "registers": {"reg_tokens": 4, "no_embed_class": True},
    "mean pooled": {"global_pool": "avg", "fc_norm": True},
    "normed queries": {"qk_norm": True},
}


@pytest.mark.parametrize("arguments", MODELS.values(), ids=MODELS)
def test_nothing_dropped_or_switched_off_or_restored_is_exactly_timm(arguments: dict, pixels):
    model = small_vit(**arguments)
    names = list(model.state_dict())
    expected = model(pixels)
    condenser = condense_model(model, Condensation.paper().drop(0))
    assert torch.equal(model(pixels), expected)
    condenser = condense_model(model, Condensation.training_free().drop(3))
    assert not torch.equal(model(pixels), expected)
    assert model.forward_features(pixels).shape[1] == model.num_prefix_tokens + 4
    condenser.enabled = False
    assert torch.equal(model(pixels), expected)
    assert list(model.state_dict()) == names
    restore(model)
    assert torch.equal(model(pixels), expected) and not hasattr(model, "condenser")


def test_own_attention_is_timms(pixels):
    """Blocks with explicit attention agree with the fused one, except for rounding."""
    model = small_vit()
    expected = model.forward_features(pixels)
    for options in ({"metric": "attention"}, {"metric": "dot"}, {"preset": "training_free"}):
        # Only the last block condenses, so that its class token attends to every token.
        condense_model(model, Condensation.from_options({**options, "schedule": [0, 0, 0, 3]}))
        torch.testing.assert_close(model.forward_features(pixels)[:, 0], expected[:, 0], rtol=1e-4, atol=1e-5)


def test_a_distilled_model_and_one_in_training_mode(pixels):
    model = timm.create_model("deit_tiny_distilled_patch16_224", img_size=32, num_classes=5, drop_path_rate=0.1).train()
    condense_model(model, Condensation.paper().set("schedule", [1] + [0] * 11))
    out = model(torch.randn(2, 3, 32, 32))
    out.square().mean().backward()
    assert out.shape == (2, 5) and model.blocks[0].attn.qkv.weight.grad.abs().sum() > 0


def test_the_trace_is_kept_only_when_asked_for(model, pixels):
    condenser = condense_model(model, Condensation.paper().set("schedule", [2, 0, 3, 0]))
    model(pixels)
    assert condenser.trace == {}
    condenser.tracing = True
    model(pixels)
    assert [d.kept.shape for d in condenser.trace.values()] == [(5, 14), (5, 11)]
    assert list(condenser.trace) == [0, 2] and condenser.sizes.sum(dim=1).tolist() == [16.0] * 5


def test_images_do_not_see_each_other(model, pixels):
    condense_model(model, Condensation.training_free().drop(3))
    alone = torch.cat([model(pixels[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(alone, model(pixels), rtol=1e-4, atol=1e-5)


def test_under_autocast_connectivity_stays_f32(model, pixels):
    condenser = condense_model(model, Condensation.paper().drop(2))
    condenser.tracing = True
    with torch.autocast("cpu", torch.bfloat16):
        out = model(pixels)
    assert {d.score.dtype for d in condenser.trace.values()} == {torch.float32}
    out.float().sum().backward()
    assert model.blocks[0].attn.qkv.weight.grad.isfinite().all()


def test_a_copy_made_before_is_not_patched(model, pixels):
    teacher = copy.deepcopy(model)
    condense_model(model, Condensation.paper().drop(3))
    assert not hasattr(teacher, "condenser") and teacher.forward_features(pixels).shape[1] == 17


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        ({}, {"drop": 6}, "block 2"),
        ({"class_token": False, "global_pool": "avg"}, {"drop": 1}, "class token"),
        ({"global_pool": "max"}, {"drop": 1}, "global_pool"),
        ({"patch_drop_rate": 0.5}, {"drop": 1}, "patch dropout"),
        ({"qkv_bias": False, "attn_layer": "diff"}, {"drop": 1}, "DiffAttention"),
    ],
)
def test_what_cannot_be_condensed_is_refused(arguments: dict, options: dict, named: str):
    model = small_vit(**arguments)
    with pytest.raises(TrainingError, match=named):
        condense_model(model, Condensation.from_options(options))
    assert "forward" not in model.blocks[0].__dict__
    with pytest.raises(TrainingError, match="VisionTransformer"):
        condense_model(torch.nn.Linear(2, 2), Condensation.paper())
