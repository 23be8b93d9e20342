"""The condensed cases of the golden files."""

from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class Case:
    """One condensation. The defaults are those of the `paper` preset. `drop` holds R for each block."""

    name: str
    drop: list[int]
    batch: int = 1
    metric: str = "attention"
    method: str = "power_sum"
    steps: int = 0
    order: int = 2
    alpha: float = 500.0
    beta: float = 3.5
    normalise: bool = True
    mean: str = "column"
    score: str = "combined"
    exponent: float = 0.0
    size_exponent: float = 0.5
    weights: str = "connectivity"
    proportional_attention: bool = False
    reducer: str = "connectivity"
    random_seed: int = 1


paper = Case
training_free = partial(
    Case,
    metric="cosine",
    order=1,
    score="uniqueness",
    weights="size",
    proportional_attention=True,
)
tome = partial(Case, reducer="tome", proportional_attention=True)


def deit_tiny_cases() -> list[Case]:
    """Every option once, on twelve blocks of 196 patch tokens.

    On these attention matrices, Newton diverges and C has both signs. Fusion weights nearly cancel and amplify
    rounding, until a float32 forward keeps other tokens than a float64 one. The Newton cases of which this is true
    condense in the first blocks only, where both still agree.
    """
    r14 = [14] * 12
    first_four = [14] * 4 + [0] * 8
    first_two = [14] * 2 + [0] * 10
    return [
        paper("paper_r8", [8] * 12),
        paper("paper_r14", r14, batch=2),
        paper("paper_r16", [16] * 12),
        paper("paper_uneven", [5, 0, 20, 1, 0, 33, 14, 7, 0, 2, 40, 10]),
        paper("paper_k1", r14, order=1),
        paper("paper_k4", r14, order=4),
        paper("paper_k8", r14, order=8),
        paper("paper_k32", r14, order=32),
        paper("newton_0", r14, method="newton", steps=0),
        paper("newton_1", first_four, method="newton", steps=1),
        paper("newton_2", first_four, method="newton", steps=2),
        paper("newton_3", first_four, method="newton", steps=3),
        paper("literal", first_two, method="newton", steps=2, normalise=False),
        paper("not_normalised", r14, normalise=False),
        paper("row_mean", r14, mean="row"),
        paper("connectivity_only", r14, score="connectivity"),
        paper("dominance_only", r14, score="dominance"),
        paper("size_weights", r14, weights="size"),
        paper("no_fusion", r14, weights="none"),
        paper("key_cosine_k1", r14, metric="key_cosine", order=1),
        paper("key_cosine_k4", r14, metric="key_cosine", order=4),
        paper("key_cosine_newton", r14, metric="key_cosine", method="newton", steps=2),
        paper("uniqueness_attention", r14, score="uniqueness"),
        training_free("training_free_r14", r14, batch=2),
        training_free("training_free_keys_r14", r14, metric="key_cosine", exponent=0.5, size_exponent=0.0),
        training_free("training_free_g1_h1_r14", r14, exponent=1.0, size_exponent=1.0),
        paper("cosine_k1", r14, metric="cosine", order=1),
        paper("cosine_k4", r14, metric="cosine", order=4),
        paper("cosine_newton", first_four, metric="cosine", method="newton", steps=1),
        paper("dot_k2", r14, metric="dot"),
        paper("dot_newton", first_four, metric="dot", method="newton", steps=2),
        paper("euclidean_k2", r14, metric="euclidean"),
        paper("euclidean_k8", r14, metric="euclidean", order=8),
        tome("tome_r14", r14, batch=2),
        tome("tome_plain_r14", r14, proportional_attention=False),
        tome("tome_half_r97", [97, 0, 40] + [0] * 9),
        paper("evit_r14", r14, batch=2, reducer="evit"),
        paper("prune_r14", r14, reducer="prune"),
        paper("random_r14", r14, batch=2, reducer="random", random_seed=7),
    ]
