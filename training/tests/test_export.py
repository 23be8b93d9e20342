"""Tests that models are refused if the Rust side could not distinguish them from others."""

import pytest
from timm.models.vision_transformer import VisionTransformer

from tcvit_training.errors import TrainingError
from tcvit_training.export import refuse_unlike

SIZES = {"img_size": 8, "patch_size": 4, "embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 3}


def test_a_mean_without_its_norm_is_refused():
    with pytest.raises(TrainingError, match="fc_norm"):
        refuse_unlike(VisionTransformer(**SIZES, global_pool="avg", fc_norm=False))


@pytest.mark.parametrize("arguments", [{"global_pool": "avg"}, {"global_pool": "avg", "fc_norm": True}, {}])
def test_what_can_be_told_is_not(arguments):
    refuse_unlike(VisionTransformer(**SIZES, **arguments))
