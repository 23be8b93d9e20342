#!/usr/bin/env python3
"""The least time that each kernel of a forward can take on an adapter: operations over FLOP/s, or bytes over bytes/s.

    benches/floor.py [deit_base] [BATCH] [R]

Prints a Markdown table. Weights, activations and attention probabilities are f16, and sums are f32. Every kernel reads
its inputs from memory once and writes its outputs once, and nothing stays in a cache from one kernel to the next.
"""

import sys

TENSOR = 610e12  # FLOP/s of f16 products with f32 sums, the rate reported for Vulkan's 16x16x16 cooperative matrices
PLAIN = 60e12  # FLOP/s of f32 without cooperative matrices
MEMORY = 3.35e12  # bytes/s
HALF = 2  # bytes
SHAPES = {"deit_tiny": (192, 3), "deit_small": (384, 6), "deit_base": (768, 12)}


class Kernels(dict):
    """Per kernel: [dispatches, FLOP, bytes, seconds]."""

    def add(self, name, flops, size, rate=PLAIN):
        row = self.setdefault(name, [0, 0.0, 0.0, 0.0])
        for index, value in enumerate((1, flops, size, max(flops / rate, size / MEMORY))):
            row[index] += value

    def linear(self, name, rows, inner, columns, accumulate=False):
        size = rows * inner + inner * columns + rows * columns * (2 if accumulate else 1)
        self.add(name, 2.0 * rows * inner * columns, size * HALF, TENSOR)


def forward(width, heads, batch, drop, fused):
    """The kernels of a forward, full if `drop` is 0. `fused` attention does not store its probabilities."""
    kernels = Kernels()
    patches = 196
    kernels.add("patchify", 0, batch * (3 * 224 * 224 * 4 + patches * width * HALF))
    kernels.linear("patch projection", batch * patches, 768, width)
    for _ in range(12):
        tokens = patches + 1
        rows = batch * tokens
        kernels.add("layer_norm", 8.0 * rows * width, 2 * rows * width * HALF)
        kernels.linear("qkv", rows, width, 3 * width)
        products = 2.0 * batch * tokens * tokens * width
        probabilities = batch * heads * tokens * (tokens + -tokens % 4) * HALF
        if fused:
            # The products run on tensor cores. The exponentials, which run on other units, are not counted.
            kernels.add("attention", 2 * products, 4 * rows * width * HALF, TENSOR)
        else:
            kernels.add("query_key", products, 2 * rows * width * HALF + probabilities, TENSOR)
            kernels.add("softmax", 4.0 * probabilities / HALF, 2 * probabilities)
            kernels.add("attention_mix", products, 2 * rows * width * HALF + probabilities, TENSOR)
        kernels.linear("proj", rows, width, width, accumulate=True)
        if drop:
            # W and D from the probabilities, c as one product with W, R rows of W^2, and the fused tokens, all in f32.
            square = 4.0 * batch * patches * patches
            reads = square * (1 if fused else 1 + heads * HALF / 4)
            kernels.add("condense: W, dominance", batch * patches * patches * heads, reads)
            kernels.add("condense: mean", 4.0 * batch * patches * patches, square)
            kernels.add("condense: rows, matches", 2.0 * batch * drop * patches * patches, square)
            patches -= drop
            rows = batch * (patches + 1)
            # In place: a dropped token is read, and the token that it is fused into is read and written. Of the others
            # only the rows are written.
            kernels.add("condense: fuse", 2.0 * batch * drop * width, batch * drop * 3 * width * HALF + rows * 8)
        kernels.add("layer_norm", 8.0 * rows * width, 2 * rows * width * HALF)
        kernels.linear("fc1, GELU", rows, width, 4 * width)
        kernels.linear("fc2", rows, 4 * width, width, accumulate=True)
    kernels.add("head", 2.0 * batch * width * 1000, batch * (patches + 1) * width * HALF + width * 1000 * HALF)
    return kernels


def main():
    arguments = sys.argv[1:]
    name = arguments[0] if arguments else "deit_base"
    batch = int(arguments[1]) if len(arguments) > 1 else 128
    drop = int(arguments[2]) if len(arguments) > 2 else 0
    for fused in (False, True):
        kernels = forward(*SHAPES[name], batch, drop, fused)
        what = f"R = {drop}" if drop else "full"
        print(f"\n{name}, {what}, batch {batch}, f16, attention {'fused' if fused else 'in three kernels'}\n")
        print("| kernel | dispatches | GFLOP | MB | FLOP a byte | floor, ms | bound by |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
        sums = [0, 0.0, 0.0, 0.0]
        for kernel, row in kernels.items():
            count, flops, size, seconds = row
            sums = [a + b for a, b in zip(sums, row)]
            bound = "memory" if size / MEMORY >= seconds * 0.999 else "arithmetic"
            print(
                f"| {kernel} | {count} | {flops / 1e9:.1f} | {size / 1e6:.0f} | {flops / size:.0f} |"
                f" {seconds * 1e3:.2f} | {bound} |"
            )
        count, flops, size, seconds = sums
        print(
            f"| **all** | {count} | {flops / 1e9:.0f} | {size / 1e6:.0f} | {flops / size:.0f} | {seconds * 1e3:.2f} |"
            f" {batch / seconds:.0f} images/s |"
        )


if __name__ == "__main__":
    main()
