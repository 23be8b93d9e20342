"""Runs the same DeiT in PyTorch: timm's model, eager and compiled, and ToMe on it.

Reads the cases that the Rust program writes (pixels and their expected logits), checks every system against them, then
times the systems in turns: with CUDA events on a GPU, with the clock elsewhere. Needs torch, timm, safetensors, numpy.

    torch_peers.py target/cases/deit_small-b128.case.safetensors --against peers.json
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

SYSTEMS = {
    "eager-f32": "PyTorch, eager, f32",
    "compile-f32": "PyTorch, compiled, f32",
    "eager-f16": "PyTorch, eager, f16",
    "compile-f16": "PyTorch, compiled, f16",
    "tome-f32": "ToMe in PyTorch, eager, f32",
    "tome-f16": "ToMe in PyTorch, eager, f16",
    "tome-compile-f16": "ToMe in PyTorch, compiled, f16",
}
# Shares of the largest logit. f16 has a large tolerance, because attention in networks with random weights is sharp and
# amplifies rounding. ToMe in f16 may even merge other tokens if two scores are nearly equal.
TOLERANCES = {"f32": 1e-3, "f16": 1e-1}


class Tome(nn.Module):
    """ToMe with proportional attention on timm's ViT: merges `drop` tokens between attention and MLP of every block."""

    def __init__(self, vit: nn.Module, drop: int) -> None:
        super().__init__()
        self.vit, self.drop = vit, drop

    def forward(self, pixels: Tensor) -> Tensor:
        vit = self.vit
        x = vit.norm_pre(vit._pos_embed(vit.patch_embed(pixels)))
        sizes = None
        for block in vit.blocks:
            mixed, keys = self.attention(block.attn, block.norm1(x), sizes)
            x = x + mixed
            x, sizes = merge(x, keys, sizes, self.drop)
            x = x + block.mlp(block.norm2(x))
        return vit.head(vit.norm(x)[:, 0])

    @staticmethod
    def attention(layer: nn.Module, x: Tensor, sizes: Tensor | None) -> tuple[Tensor, Tensor]:
        """The output of attention [B, T, D], and the mean of the keys over heads [B, T, Dh]."""
        batch, tokens, width = x.shape
        q, k, v = layer.qkv(x).reshape(batch, tokens, 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4)
        bias = None if sizes is None else sizes.log()[:, None, None, :, 0]
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return layer.proj(mixed.transpose(1, 2).reshape(batch, tokens, width)), k.mean(1)


def merge(x: Tensor, keys: Tensor, sizes: Tensor | None, drop: int) -> tuple[Tensor, Tensor]:
    """Merges `drop` tokens of even index into the most similar tokens of odd index, weighted by sizes."""
    if sizes is None:
        sizes = torch.ones_like(x[..., :1])
    drop = min(drop, (x.shape[1] - 1) // 2)
    keys = normalize(keys, dim=-1)
    scores = keys[:, ::2] @ keys[:, 1::2].transpose(1, 2)
    # The class token, which has index 0, is not merged.
    scores[:, 0] = -torch.inf
    best, partner = scores.max(-1)
    order = best.argsort(dim=-1, descending=True)[..., None]
    merged, kept = order[:, :drop], order[:, drop:].sort(dim=1).values
    target = partner[..., None].gather(1, merged)

    def fuse(values: Tensor) -> Tensor:
        even, odd, width = values[:, ::2], values[:, 1::2], values.shape[-1]
        odd = odd.scatter_add(1, target.expand(-1, -1, width), even.gather(1, merged.expand(-1, -1, width)))
        return torch.cat([even.gather(1, kept.expand(-1, -1, width)), odd], dim=1)

    fused_sizes = fuse(sizes)
    return fuse(x * sizes) / fused_sizes, fused_sizes


@dataclass
class Case:
    """A case of the Rust program: a network, a batch of pixels, and the expected logits."""

    model: str
    drop: int
    pixels: Tensor
    logits: dict[str, Tensor]
    weights: Path

    @classmethod
    def read(cls, path: Path) -> "Case":
        with safe_open(path, "pt") as file:
            facts = file.metadata()
            logits = {"full": file.get_tensor("logits"), "tome": file.get_tensor("logits_tome")}
            pixels = file.get_tensor("pixels")
        weights = path.parent / f"{facts['model']}.safetensors"
        return cls(facts["model"], int(facts["drop"]), pixels, logits, weights)

    @property
    def batch(self) -> int:
        return len(self.pixels)


def network(case: Case, system: str, device: str, mode: str, public_tome: bool) -> nn.Module:
    """A system with the case's weights on the device, in its precision."""
    vit = timm.create_model(f"{case.model}_patch16_224")
    vit.load_state_dict(load_file(case.weights))
    model: nn.Module = vit.eval()
    if system.startswith("tome") and public_tome:
        from tome.patch.timm import apply_patch

        apply_patch(vit, prop_attn=True)
        vit.r = case.drop
    elif system.startswith("tome"):
        model = Tome(vit, case.drop)
    model = model.to(device, torch.float16 if system.endswith("f16") else torch.float32)
    return torch.compile(model, mode=mode) if "compile" in system else model


def check(case: Case, system: str, found: Tensor) -> float:
    """The largest difference from the expected logits, as a share of the largest. Ends the program if too large."""
    expected = case.logits["tome" if system.startswith("tome") else "full"]
    apart = ((found.float().cpu() - expected).abs().max() / expected.abs().max()).item()
    tolerance = TOLERANCES[system.rsplit("-", 1)[1]]
    if not apart <= tolerance:
        message = f"logits differ by {apart:.1e} of the largest; {tolerance:.0e} is allowed"
        if system in ("tome-f16", "tome-compile-f16") and torch.isfinite(found).all():
            print(f"note: {SYSTEMS[system]}: {message}: other tokens were merged", file=sys.stderr)
        else:
            sys.exit(f"error: {SYSTEMS[system]}: {case.model}, batch {case.batch}: {message}")
    return apart


def seconds_of(forward: Callable[[], Tensor], forwards: int, device: str) -> float:
    """Mean seconds of one forward when `forwards` of them run one after the other."""
    if device != "cuda":
        start = time.perf_counter()
        for _ in range(forwards):
            forward()
        return (time.perf_counter() - start) / forwards
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(forwards):
        forward()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / forwards


def compare(case: Case, options: argparse.Namespace) -> Iterator[dict]:
    """Checks the systems, times them in turns, and yields the results of each."""
    device, runs, differences, firsts = options.device, {}, {}, {}
    for system in options.systems:
        model = network(case, system, device, options.mode, options.tome is not None)
        pixels = case.pixels.to(device, next(model.parameters()).dtype)
        runs[system] = lambda model=model, pixels=pixels: model(pixels)
        start = time.perf_counter()
        differences[system] = check(case, system, runs[system]())
        firsts[system] = time.perf_counter() - start
        for _ in range(options.warm_up):
            seconds_of(runs[system], options.forwards, device)
    seconds: dict[str, list[float]] = {system: [] for system in runs}
    for turn in range(options.repeats):
        for position in range(len(runs)):
            # Each turn starts with another system, so that no system always runs after the same one.
            system = options.systems[(turn + position) % len(runs)]
            seconds[system].append(seconds_of(runs[system], options.forwards, device))
    for system in runs:
        check(case, system, runs[system]())
        rates = [case.batch / value for value in seconds[system]]
        yield {
            "name": system,
            "label": SYSTEMS[system],
            "images_per_second": {"median": statistics.median(rates), "least": min(rates), "most": max(rates)},
            "first_forward": firsts[system],
            "difference": differences[system],
            "seconds": seconds[system],
        }


def rates_of_tcvit(path: Path | None, case: Case) -> list[float | None]:
    """Images/s of tcvit's full and condensed forward of this case, from the Rust program's JSON."""
    cases = json.loads(path.read_text())["cases"] if path else []
    found = {
        system["name"]: system["images_per_second"]["median"]
        for entry in cases
        if (entry["model"], entry["batch"]) == (case.model, case.batch)
        for system in entry["systems"]
    }
    return [found.get("tcvit"), found.get("tcvit-condensed")]


def print_table(case: Case, systems: list[dict], bases: list[float | None]) -> None:
    print(f"\n**{case.model}, batch {case.batch}**\n")
    print("| system | images/s | of tcvit full | of tcvit condensed | first forward | logits differ by |")
    print("| --- | --- | --- | --- | --- | --- |")
    for system in systems:
        rate = system["images_per_second"]
        ratios = ["-" if base is None else f"{rate['median'] / base:.2f}" for base in bases]
        spread = f"{rate['median']:.4g} ({rate['least']:.4g} to {rate['most']:.4g})"
        first = f"{system['first_forward']:.1f} s"
        print(f"| {system['label']} | {spread} | {' | '.join(ratios)} | {first} | {system['difference']:.0e} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="+", type=Path, metavar="CASE", help="NAME.case.safetensors of the Rust program")
    parser.add_argument("--systems", type=lambda text: text.split(","), help=", ".join(SYSTEMS))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--mode", default="default", help="torch.compile's: default, reduce-overhead, max-autotune")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--forwards", type=int, default=1, help="forwards in a turn, one after the other")
    parser.add_argument("--tf32", action="store_true", help="let f32 products round inputs; the check may then fail")
    parser.add_argument("--against", type=Path, metavar="JSON", help="JSON of the Rust program, for the ratios")
    parser.add_argument("--json", type=Path, help="also write all measurements to this file")
    parser.add_argument("--tome", type=Path, metavar="DIR", help="a checkout of ToMe's public code, to run instead")
    options = parser.parse_args()
    if options.systems is None:
        on_gpu = ["eager-f32", "eager-f16", "compile-f16", "tome-f16", "tome-compile-f16"]
        options.systems = on_gpu if options.device == "cuda" else ["eager-f32", "tome-f32"]
    unknown = [system for system in options.systems if system not in SYSTEMS]
    if unknown:
        parser.error(f"unknown systems {unknown}: there are {', '.join(SYSTEMS)}")
    if options.tome:
        sys.path.insert(0, str(options.tome))
    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
    on = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    versions = f"torch {torch.__version__}, timm {timm.__version__}"
    print(f"{time.strftime('%Y-%m-%d', time.gmtime())}, {on}, {versions}; torch.compile mode {options.mode}.")
    found = []
    with torch.inference_mode():
        for path in options.cases:
            case = Case.read(path)
            systems = list(compare(case, options))
            print_table(case, systems, rates_of_tcvit(options.against, case))
            found.append({"model": case.model, "batch": case.batch, "drop": case.drop, "systems": systems})
    if options.json:
        facts = {"device": on, "torch": torch.__version__, "timm": timm.__version__, "mode": options.mode}
        options.json.write_text(json.dumps({**facts, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
