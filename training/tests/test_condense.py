"""Tests of one condensation step: ties, NaN, unusable weights, and gradients."""

import math

import pytest
import torch

from tcvit_training.condensation import Condensation
from tcvit_training.condense import GONE, Attended, Chain, condense, fuse, match, mean_connectivity, select, shares


def attended_of(seed: int, batch: int = 2, count: int = 9, prefix: int = 1) -> tuple[torch.Tensor, Attended]:
    """Tokens [2, 10, 6] in f64, and attention, with gradients."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, prefix + count, 6, dtype=torch.float64, generator=generator).requires_grad_()
    logits = torch.randn(batch, 2, prefix + count, prefix + count, dtype=torch.float64, generator=generator)
    probs = (2.0 * logits).softmax(-1).requires_grad_()
    keys = torch.randn(batch, count, 3, dtype=torch.float64, generator=generator).requires_grad_()
    return x, Attended(probs, probs[:, :, 0, prefix:].mean(dim=1).detach(), keys)


def dense(condensation: Condensation, w: torch.Tensor) -> torch.Tensor:
    """C [B, N, N] at its true scale, by equations 8 to 10 as printed."""
    identity, a = torch.eye(w.shape[-1], dtype=w.dtype), condensation.alpha
    if condensation.newton_steps is None:
        return sum(a ** (k - 1) * torch.linalg.matrix_power(w, k) for k in range(1, condensation.order + 1))
    left = identity - a * w
    x = torch.diag_embed(1.0 / torch.diagonal(left, dim1=1, dim2=2))
    for _ in range(condensation.newton_steps):
        x = x + x @ (identity - left @ x)
    return w @ (identity - a**condensation.order * torch.linalg.matrix_power(w, condensation.order)) @ x


@pytest.mark.parametrize("method", ["power_sum", "newton0", "newton1", "newton2", "newton3"])
@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("alpha", [0.3, 500.0])
def test_rows_and_means_are_those_of_the_dense_matrix(method: str, order: int, alpha: float):
    condensation = Condensation(method=method, order=order, alpha=alpha)
    w = torch.rand(2, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(order)).softmax(-1)
    chain, c = Chain(condensation, w), dense(condensation, w)
    torch.testing.assert_close(chain.rows(w) * math.exp(chain.scale), c, rtol=1e-8, atol=1e-10 * float(c.abs().max()))
    for mean, dim in (("column", 1), ("row", 2)):
        got = mean_connectivity(Condensation(method=method, order=order, alpha=alpha, mean=mean), chain)
        torch.testing.assert_close(
            got * math.exp(chain.scale), c.mean(dim=dim), rtol=1e-8, atol=1e-10 * float(c.abs().max())
        )


def test_ties_go_to_the_lower_index_and_nan_ranks_last():
    nan = math.nan
    score = torch.tensor([[1.0, 2.0, 1.0, nan, 1.0], [nan, nan, nan, nan, 5.0], [0.0, -0.0, 0.0, -math.inf, nan]])
    kept, dropped = select(score, 2)
    assert kept.tolist() == [[0, 1, 2], [0, 1, 4], [0, 1, 2]]
    assert dropped.tolist() == [[3, 4], [2, 3], [3, 4]]
    rows = torch.tensor([[[1.0, 3.0, nan, 3.0, 9.0], [nan, nan, nan, nan, nan], [nan, -math.inf, 1.0, 0.0, 0.0]]])
    assert match(rows, torch.tensor([[0, 1, 2, 3]])).tolist() == [[1, 0, 2]]


def test_without_usable_weights_the_plain_mean_is_taken():
    kept, dropped = torch.tensor([[[2.0], [10.0], [7.0]]]), torch.tensor([[[4.0], [6.0], [20.0]]])
    slots = torch.tensor([[0, 0, 1]])
    for own, others in ([[0.0, 0.0, math.inf], [0.0, 0.0, 1.0]], [[1.0, 1.0, math.nan], [0.5, -1.5, 1.0]]):
        weights = shares(torch.tensor([own]), torch.tensor([others]), slots, 3)
        assert fuse(kept, dropped, *weights, slots).flatten().tolist() == pytest.approx([4.0, 15.0, 7.0])
    weights = shares(torch.tensor([[1.0, 1.0, 3.0]]), torch.tensor([[1.0, 2.0, 1.0]]), slots, 3)
    assert fuse(kept, dropped, *weights, slots).flatten().tolist() == pytest.approx([4.5, 12.5, 7.0])


OPTIONS = [
    {},
    {"order": 1},
    {"order": 4},
    {"method": "newton2", "normalise": "off", "alpha": 2},
    {"metric": "key_cosine"},
    {"metric": "cosine"},
    {"metric": "dot"},
    {"metric": "euclidean"},
    {"weights": "size"},
    {"weights": "none"},
    {"preset": "training_free"},
    {"mean": "row", "score": "connectivity"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_gradients_are_those_of_finite_differences(options: dict):
    """Decisions are constant around a point that is not a tie, so the differences are those of the fusion alone."""
    condensation = Condensation.from_options(options)
    x, attended = attended_of(11)

    def run(x, probs, keys):
        sizes = 1.0 + torch.arange(18, dtype=torch.float64).reshape(2, 9) % 3
        given = Attended(probs, attended.dominance, keys)
        return condense(condensation, x, given, sizes, 1, 4)[0]

    assert torch.autograd.gradcheck(run, (x, attended.probs, attended.keys), eps=1e-6, atol=1e-5)


def test_gradients_reach_what_they_should_and_decisions_have_none():
    reached = {}
    for name, options in {"connectivity": {}, "size": {"weights": "size"}, "key": {"metric": "key_cosine"}}.items():
        x, attended = attended_of(12)
        out, sizes, decision = condense(Condensation.from_options(options), x, attended, None, 1, 4, tracing=True)
        assert not any(t.requires_grad for t in (decision.kept, decision.assigned, decision.score, sizes))
        out.square().sum().backward()
        assert bool((x.grad.abs().sum(dim=-1) > 0).all()), "every token goes somewhere"
        reached[name] = [t.grad is not None and bool((t.grad != 0).any()) for t in (attended.probs, attended.keys)]
    assert reached == {"connectivity": [True, False], "size": [False, False], "key": [False, True]}


def test_dropped_tokens_without_fusion_have_no_gradient_and_no_place():
    x, attended = attended_of(13)
    out, sizes, decision = condense(Condensation(weights="none"), x, attended, None, 1, 4, tracing=True)
    out.sum().backward()
    assert sizes is None
    gone = decision.assigned == GONE
    assert gone.sum(dim=1).tolist() == [4, 4]
    assert bool((x.grad[:, 1:][gone] == 0).all()) and bool((x.grad[:, 1:][~gone] == 1).all())


def test_sizes_add_up_and_one_token_can_be_left():
    x, attended = attended_of(14)
    out, sizes, _ = condense(Condensation.training_free(), x, attended, None, 1, 8)
    assert out.shape == (2, 2, 6) and sizes.tolist() == [[9.0], [9.0]]
