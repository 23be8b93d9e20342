"""Kept logits must equal those that would be computed, and must not be used for anything else."""

import torch
from safetensors.torch import load_file

from conftest import small_vit
from tcvit_training.kept import KeptLogits, name_of

CPU = torch.device("cpu")


def ask(folder, name: str, answers: list[torch.Tensor]) -> tuple[list[torch.Tensor], int]:
    """The logits that are returned if `answers` are those that would be computed, and the number that were computed."""
    kept, computed = KeptLogits(folder, name), []

    def compute(step: int) -> torch.Tensor:
        computed.append(step)
        return answers[step]

    got = [kept.get(step, len(answer), lambda step=step: compute(step), CPU) for step, answer in enumerate(answers)]
    kept.keep()
    return got, len(computed)


def test_a_second_run_computes_nothing_and_another_name_does(tmp_path):
    answers = [torch.randn(4, 3), torch.randn(2, 3)]
    assert ask(tmp_path, "a", answers)[1] == 2
    wrong = [torch.zeros(4, 3), torch.zeros(2, 3)]
    got, computed = ask(tmp_path, "a", wrong)
    assert computed == 0 and all(torch.equal(x, y) for x, y in zip(got, answers, strict=True))
    assert ask(tmp_path, "b", wrong)[1] == 2
    assert ask(None, "a", wrong)[1] == 2


def test_batches_of_another_size_and_damaged_files_are_made_again(tmp_path):
    answers = [torch.randn(4, 3)]
    ask(tmp_path, "a", answers)
    assert ask(tmp_path, "a", [torch.zeros(3, 3)])[1] == 1
    (path,) = tmp_path.iterdir()
    assert load_file(path)["0"].shape == (3, 3)
    path.write_bytes(path.read_bytes()[:20])
    assert ask(tmp_path, "a", answers)[1] == 1


def test_a_name_depends_on_weights_and_questions():
    model = small_vit()
    names = [name_of(model, seed=0), name_of(model, seed=1), name_of(model, seed=0, epoch=1)]
    with torch.no_grad():
        model.head.bias[0] += 1e-3
    names.append(name_of(model, seed=0))
    assert len(set(names)) == 4 and name_of(small_vit(), seed=0) == names[0]
