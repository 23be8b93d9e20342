"""Tests of convert.py."""

import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path

import torch
from safetensors.torch import load_file

from tcvit_training import convert


def weights() -> dict[str, torch.Tensor]:
    """A few tensors of an LV-ViT with three classes."""
    generator = torch.Generator().manual_seed(1)
    return {
        "patch_embed.proj.weight": torch.randn(16, 8, 4, 4, generator=generator),
        "patch_embed.bn1.running_var": torch.rand(8, generator=generator, dtype=torch.float64),
        "patch_embed.bn1.num_batches_tracked": torch.tensor(7),
        "head.weight": torch.randn(16, 3, generator=generator).T,  # not contiguous
    }


class Convert(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.out = self.folder / "out" / "model.safetensors"

    def convert(self, checkpoint: object, *options: str) -> tuple[int, str]:
        """Saves and converts a checkpoint; returns the exit status and what was printed."""
        path = self.folder / "model.pth"
        torch.save(checkpoint, path)
        return self.main(path, *options)

    def main(self, path: Path, *options: str) -> tuple[int, str]:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            status = convert.main([str(path), str(self.out), *options])
        return status, text.getvalue()

    def refused(self, checkpoint: object, *parts: str, options: tuple[str, ...] = ()) -> None:
        """Fails unless the checkpoint is refused with an error that contains all `parts`, and nothing is written."""
        status, text = self.convert(checkpoint, *options)
        self.assertEqual(status, 1, text)
        for part in parts:
            self.assertIn(part, text)
        self.assertEqual(list(self.folder.rglob("*.safetensors")), [])
        self.assertEqual(list(self.folder.rglob("config.json")), [])

    def test_every_wrapping_gives_the_same(self) -> None:
        state = weights()
        parallel = {f"module.{name}": tensor for name, tensor in state.items()}
        other = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
        for checkpoint in (
            state,
            {"state_dict": state, "epoch": 3},
            {"model": parallel, "optimizer": {"lr": 0.1}},
            {"state_dict": other, "state_dict_ema": parallel},
        ):
            status, text = self.convert(checkpoint)
            self.assertEqual(status, 0, text)
            self.assertIn("3 tensors", text)
            got = load_file(self.out)
            self.assertEqual(set(got), set(state) - {"patch_embed.bn1.num_batches_tracked"})
            for name, tensor in got.items():
                self.assertEqual(tensor.dtype, torch.float32)
                self.assertTrue(torch.equal(tensor, state[name].float()), name)
        self.assertEqual([path.name for path in self.out.parent.iterdir()], ["model.safetensors"])

    def test_a_key_overrides(self) -> None:
        state = weights()
        checkpoint = {"state_dict": {"wrong": torch.zeros(1)}, "teacher": state}
        self.assertEqual(self.convert(checkpoint, "--key", "teacher")[0], 0)
        self.assertTrue(torch.equal(load_file(self.out)["head.weight"], state["head.weight"]))

    def test_half(self) -> None:
        state = weights()
        self.assertEqual(self.convert(state, "--half")[0], 0)
        got = load_file(self.out)["head.weight"]
        self.assertEqual(got.dtype, torch.float16)
        self.assertTrue(torch.equal(got, state["head.weight"].half()))
        state["head.weight"] = torch.full((3, 16), 1e6)
        self.out.unlink()
        self.refused(state, "head.weight", "does not fit f16", options=("--half",))

    def test_configuration(self) -> None:
        classes = self.folder / "classes.txt"
        classes.write_text("tench\ngoldfish, Carassius auratus\nsofá\n", encoding="utf-8")
        status, text = self.convert(weights(), "--classes", str(classes), "--heads", "4", "--skip-lam", "2")
        self.assertEqual(status, 0, text)
        config = json.loads((self.out.parent / "config.json").read_text(encoding="utf-8"))
        self.assertEqual(config["label_names"], ["tench", "goldfish, Carassius auratus", "sofá"])
        self.assertEqual(config["model_args"], {"num_heads": 4, "skip_lam": 2.0})
        self.assertEqual(config["num_classes"], 3)

    def test_refusals(self) -> None:
        state = weights()
        self.refused([1, 2], "dictionary", "list")
        self.refused({}, "no tensors")
        self.refused({"epoch": 3, "net": state}, "epoch", "int", "--key")
        self.refused(state, "nothing", options=("--key", "nothing"))
        self.refused(state | {"mask": torch.tensor([1, 2])}, "mask", "int64")
        self.refused(state | {"head.bias": torch.tensor([float("nan")] * 3)}, "head.bias", "not finite")
        self.refused(state | {"module.head.weight": state["head.weight"]}, "head.weight", "twice")
        self.refused({"fc.weight": torch.zeros(2, 2)}, "patch_embed.proj.weight")
        self.refused(state, "5 heads", "16", options=("--heads", "5"))
        self.refused(state, "skip_lam", options=("--skip-lam", "-1"))
        classes = self.folder / "classes.txt"
        classes.write_text("one\ntwo\n")
        self.refused(state, "2 class names", "3 classes", options=("--classes", str(classes)))
        self.refused(state, "missing.txt", options=("--classes", str(self.folder / "missing.txt")))
        self.refused(torch.nn.Linear(2, 2), "tensors alone")

    def test_files_that_are_no_checkpoint(self) -> None:
        path = self.folder / "model.pth"
        for content in (b"", b"\x00" * 100, b"PK\x03\x04 not really a zip"):
            path.write_bytes(content)
            status, text = self.main(path)
            self.assertEqual(status, 1)
            self.assertIn("model.pth: not a checkpoint", text)
        self.assertIn("no such file", self.main(self.folder / "missing.pth")[1])

    def test_nothing_is_left_when_the_output_cannot_be_written(self) -> None:
        self.out.mkdir(parents=True)
        status, text = self.convert(weights())
        self.assertEqual(status, 1, text)
        self.assertIn("model.safetensors", text)
        self.assertEqual(list(self.out.parent.iterdir()), [self.out])


if __name__ == "__main__":
    unittest.main()
