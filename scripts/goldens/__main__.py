"""Makes the golden files under tests/goldens: outputs of timm and of an independent condensation.

One safetensors file per model, NAME.safetensors, with
  full/logits    [B, classes]  timm's own float32 forward (absent without a classifier); for LV-ViT,
                               which timm does not have, the float64 forward of lvvit.py,
  full/features  [B, 6, D]     the first six tokens of timm's forward_features,
  CASE/...                     outputs of a condensed forward, computed here in float64 from the
                               definitions, densely and without shortcuts:
    CASE/logits            [B, classes] f32 (CASE/features [B, 6, D] without a classifier)
    CASE/block.I.kept      [B, N - R] u32, CASE/block.I.assigned [B, N] u32, where R > 0
    CASE/block.0.score     [B, N] f32
and a metadata entry `golden`: JSON with the seed, batch, configuration and the list of cases.
The weights are not stored: they follow from the name of each tensor and the seed (`random_tensor`).
`bundled` is the trained model from the assets, run on the four photographs. Its seed is null, and
the file holds the preprocessed `pixels`.

Also pillow_PHOTO_SIZE.png: Pillow's bicubic resize and centre crop of a photograph.

Run from any folder, with the packages of requirements.txt (a CPU build of torch suffices):
  python scripts/goldens                      everything, half a minute on two cores
  python scripts/goldens --only deit_tiny     one model, or `pillow` for the pictures

The columns of the table printed for each case: `gap` is the distance between the last kept and the
first dropped score over the range of the scores (in block 0, then the smallest of all blocks).
`margin` is the distance between the best and the second-best match, relative to the best (the
smallest of all blocks). `f32` compares the same code in float32: the first block whose kept set
differs (- for none), the smallest overlap of kept sets, the smallest share of equal `assigned`, and
the largest difference of the logits relative to the largest logit.
"""

import argparse
import copy
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from cases import Case
from forward import Trace, forward
from lvvit import LvVit
from networks import Network, configuration, networks
from preprocess import make_pictures
from safetensors.numpy import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from condense import GONE, Condensed

REPOSITORY = Path(__file__).resolve().parent.parent.parent
FEATURE_TOKENS = 6


def output(trace: Trace) -> Tensor:
    """The logits, or the stored features of a model without a classifier."""
    return trace.features[:, :FEATURE_TOKENS] if trace.logits is None else trace.logits


@torch.no_grad()
def check_full(model: VisionTransformer, pixels: Tensor) -> float:
    """The largest difference between the block loop without condensation and the model's own forward (timm's, or that
    of our LV-ViT), both in float64."""
    own = forward(model, pixels, None)
    difference = float((own.features - model.forward_features(pixels)).abs().max())
    if own.logits is not None:
        difference = max(difference, float((own.logits - model(pixels)).abs().max()))
    assert difference <= 1e-10, f"the block loop differs from the model's own by {difference}"
    return difference


@torch.no_grad()
def check_tome(directory: Path, model: VisionTransformer, pixels: Tensor, case: Case) -> float:
    """The largest difference between a ToMe case and the public implementation in `directory` (a checkout of
    github.com/facebookresearch/ToMe), on the same weights, relative to the largest logit."""
    sys.path.insert(0, str(directory))
    from tome.patch.timm import apply_patch

    public = copy.deepcopy(model)
    for block in public.blocks:
        # The public patch predates timm's fused attention.
        block.attn.fused_attn = False
    apply_patch(public, prop_attn=case.proportional_attention)
    public._tome_info["distill_token"] = hasattr(model, "head_dist")
    public.r = case.drop
    ours = forward(model, pixels, case).logits
    theirs = public(pixels)
    theirs = theirs if isinstance(theirs, Tensor) else sum(theirs) / 2
    return float((ours - theirs).abs().max() / theirs.abs().max())


def check_block(case: Case, block: Condensed, drop: int) -> None:
    """Checks that `kept` ascends, and that `assigned` gives kept tokens their own place and others a valid one."""
    batch, count = block.assigned.shape
    assert block.kept.shape == (batch, count - drop)
    assert case.reducer == "tome" or (np.diff(block.kept, axis=1) > 0).all()
    for kept, assigned in zip(block.kept, block.assigned, strict=True):
        assert (assigned[kept] == np.arange(count - drop)).all()
        others = np.delete(assigned, kept)
        if case.weights == "none" or case.reducer in ("prune", "random"):
            assert (others == GONE).all()
        else:
            assert (others < count - drop).all()


def float32_columns(exact: Trace, rounded: Trace) -> str:
    """The columns that compare the kept sets and outputs of the float32 forward with those of the float64 one."""
    differs, overlap, assigned = "-", 1.0, 1.0
    for i, block in exact.blocks.items():
        other = rounded.blocks[i]
        share = min(
            len(np.intersect1d(a, b)) / len(a) for a, b in zip(block.kept, other.kept, strict=True)
        )
        if differs == "-" and share < 1.0:
            differs = str(i)
        overlap = min(overlap, share)
        assigned = min(assigned, float((block.assigned == other.assigned).mean()))
    a, b = output(exact), output(rounded).double()
    error = float((a - b).abs().max() / a.abs().max())
    return f"{differs:>5} {overlap:8.3f} {assigned:8.3f} {error:9.1e}"


def case_tensors(case: Case, trace: Trace) -> dict[str, np.ndarray]:
    """The tensors that are stored for a case."""
    kind = "features" if trace.logits is None else "logits"
    tensors = {f"{case.name}/{kind}": output(trace).float().numpy()}
    for i, block in trace.blocks.items():
        tensors[f"{case.name}/block.{i}.kept"] = block.kept.astype(np.uint32)
        tensors[f"{case.name}/block.{i}.assigned"] = block.assigned
        if i == 0:
            tensors[f"{case.name}/block.0.score"] = block.score.astype(np.float32)
    return tensors


@torch.no_grad()
def full_tensors(network: Network) -> dict[str, np.ndarray]:
    """The outputs of timm's own float32 forward, or of our LV-ViT in float64."""
    model, pixels = network.model, network.pixels
    if isinstance(model, LvVit):
        model, pixels = copy.deepcopy(model).double(), pixels.double()
    features = model.forward_features(pixels)
    tensors = {"full/features": features[:, :FEATURE_TOKENS].float().numpy()}
    if model.num_classes > 0:
        tensors["full/logits"] = model(pixels).float().numpy()
    return tensors


def make_network(network: Network, out: Path, tome_directory: Path | None) -> None:
    """Runs and checks every case of a network, prints the comparison, and writes the network's file."""
    tensors = full_tensors(network) | {k: v.numpy() for k, v in network.extra.items()}
    rounded_model = network.model
    model = copy.deepcopy(rounded_model).double()
    pixels = network.pixels.double()
    print(f"\n{network.name}: block loop against the model's own in float64: {check_full(model, pixels):.1e}")
    if network.cases:
        print(
            f"  {'case':24} {'gap block 0':>11} {'gap':>8} {'margin':>8}"
            f"   f32: {'first':>5} {'overlap':>8} {'assigned':>8} {'logits':>9}"
        )
    for case in network.cases:
        trace = forward(model, pixels[: case.batch], case)
        for i, block in trace.blocks.items():
            check_block(case, block, case.drop[i])
        if tome_directory and case.reducer == "tome" and model.num_classes > 0:
            error = check_tome(tome_directory, model, pixels[: case.batch], case)
            assert error <= 1e-10, f"{case.name} differs from the public ToMe by {error}"
            print(f"  {case.name}: against the public implementation {error:.1e}")
        rounded = forward(rounded_model, network.pixels[: case.batch], case)
        gap = min(block.gap for block in trace.blocks.values())
        margin = min(block.margin for block in trace.blocks.values())
        print(
            f"  {case.name:24} {trace.blocks[0].gap:11.1e} {gap:8.1e} {margin:8.1e}"
            f"        {float32_columns(trace, rounded)}"
        )
        tensors |= case_tensors(case, trace)
    golden = {
        "seed": network.seed,
        "batch": len(pixels),
        "config": configuration(model),
        "cases": [asdict(case) for case in network.cases],
    }
    path = out / f"{network.name}.safetensors"
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={"golden": json.dumps(golden)})
    print(f"  {path.name}: {path.stat().st_size:,} bytes")


def main() -> None:
    """Reads the arguments and makes the requested files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", help="one model's name, or `pillow`")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "tests/goldens", metavar="DIR")
    parser.add_argument(
        "--bundled", type=Path, default=REPOSITORY / "assets/models/vit_cifar10_32", metavar="DIR"
    )
    parser.add_argument(
        "--tome", type=Path, metavar="DIR", help="check ToMe cases against a checkout of the public code"
    )
    parser.add_argument("--photos", type=Path, default=REPOSITORY / "crates/cli/assets/photos", metavar="DIR")
    arguments = parser.parse_args()

    makers = networks(arguments.bundled, arguments.photos)
    if arguments.only not in (None, "pillow", *makers):
        parser.error(f"--only takes pillow, {', '.join(makers)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.only in (None, "pillow"):
        make_pictures(arguments.photos, arguments.out)
    for name in makers if arguments.only is None else [arguments.only]:
        if name in makers:
            make_network(makers[name](), arguments.out, arguments.tome)


if __name__ == "__main__":
    main()
