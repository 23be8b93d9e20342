"""Tests of options, presets, validation, and the JSON that the Rust side reads."""

import json

import pytest

from tcvit_training import Condensation, TrainingError


def odd() -> Condensation:
    options = {"metric": "dot", "method": "newton3", "order": 5, "mean": "row", "score": "uniqueness"}
    return Condensation.from_options(
        options | {"exponent": 0.25, "size_exponent": 1, "keep": [1, 0.7], "path": "dense"}
    )


def test_json_gives_back_every_condensation():
    presets = [Condensation.preset(name).drop(3) for name in ("paper", "literal", "training_free")]
    for condensation in [*presets, Condensation(), odd(), Condensation.paper().set("flops", "55%")]:
        assert Condensation.from_json(condensation.to_json()) == condensation


def test_json_is_the_form_of_the_rust_side():
    """As in Condensation::to_json of src/condensation/text.rs, all values are text."""
    assert json.loads(Condensation.paper().drop(5).to_json()) == {
        "preset": "paper",
        "metric": "attention",
        "method": "power_sum",
        "order": "2",
        "alpha": "500",
        "beta": "3.5",
        "normalise": "on",
        "mean": "column",
        "score": "combined",
        "weights": "connectivity",
        "path": "thin",
        "proportional_attention": "off",
        "drop": "5",
    }
    written = json.loads(odd().to_json())
    assert (written["exponent"], written["size_exponent"], written["keep"]) == ("0.25", "1", "1,0.7")


def test_json_takes_numbers_booleans_and_lists():
    read = Condensation.from_json('{"preset": "literal", "normalise": true, "schedule": [3, 0, 5]}')
    assert (read.method, read.normalise, read.drops(16, 3)) == ("newton2", True, [3, 0, 5])
    assert str(read) == "paper, method newton2, schedule 3,0,5"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[]", "JSON object"),
        ("{", "JSON object"),
        ('{"preset": "best"}', "training_free"),
        ('{"preset": "tome"}', "cannot be trained"),
        ('{"metrik": "dot"}', "metrik"),
        ('{"metric": "dots"}', "euclidean"),
        ('{"metric": {}}', "metric"),
        ('{"order": 0}', "K from 1"),
        ('{"order": 2.5}', "whole number"),
        ('{"alpha": 0}', "above 0"),
        ('{"beta": "inf"}', "finite"),
        ('{"method": "newton4"}', "newton3"),
        ('{"exponent": 1}', "this score"),
        ('{"score": "uniqueness", "exponent": -1}', "0 to 16"),
        ('{"order": 32, "normalise": "off"}', "1e30"),
        ('{"flops": "1.2"}', "55%"),
        ('{"flops": "120%"}', "100 %"),
        ('{"schedule": "1,x"}', "commas"),
        ('{"keep": 1.5}', "at most 1"),
        ('{"drop": -1}', "whole number"),
    ],
)
def test_what_is_wrong_is_named(text: str, named: str):
    with pytest.raises(TrainingError, match=named):
        Condensation.from_json(text)


def test_schedules_are_those_of_the_rust_side():
    """The cases of src/condensation/schedule.rs."""
    assert Condensation.paper().drops(196, 12) == [14] * 12
    for patches in range(1, 300):
        for depth in (1, 2, 8, 12, 24, 48):
            assert len(Condensation.paper().drops(patches, depth)) == depth
    keep = Condensation.paper().set("keep", [0.7])
    assert keep.drops(196, 3) == [58, 41, 29]
    assert keep.drops(10, 1) == [3]
    assert Condensation.paper().set("keep", "1,0.5,1").drops(196, 3) == [0, 98, 0]
    with pytest.raises(TrainingError, match="block 11, which has 9"):
        Condensation.paper().drop(17).drops(196, 12)
    with pytest.raises(TrainingError, match="each of 12 blocks, got 2 numbers"):
        Condensation.paper().set("schedule", "1,2").drops(196, 12)
    with pytest.raises(TrainingError, match="tcvit flops"):
        Condensation.paper().set("flops", "55%").drops(64, 8)
