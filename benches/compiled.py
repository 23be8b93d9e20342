#!/usr/bin/env python3
"""Statistics that a Mesa driver printed for each kernel that it compiled: benches/compiled.py LOG [--all]

LOG holds the output of `tcvit=debug` and of RADV_DEBUG=shaderstats or INTEL_DEBUG=cs (scripts/elsewhere writes it).
Prints the kernels that spill registers to memory, or every kernel with --all. A kernel is counted once for each
combination of types and constants.
"""

import re
import sys

AMD = re.compile(r"(VGPRs|Spilled VGPRs|Scratch size|LDS size|Subgroups per SIMD|Instructions): (\d+)$")
INTEL = re.compile(r"(SIMD\d+) shader: (\d+) inst.*? (\d+):(\d+) spills:fills")
COMPILED = re.compile(r'compiled kernel="(\w+)" types=Types \{ input: (F\d+), output: (F\d+).*?constants=\[(.*?)\] seconds')


def forms(lines):
    """Kernel, types, constants and the driver's statistics, in the order of compilation."""
    said = {}
    for line in lines:
        line = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
        if match := AMD.match(line):
            said[match[1]] = int(match[2])
        elif match := INTEL.match(line):
            # Of several lines, the last is that of the code that is used.
            said = dict(width=match[1], Instructions=int(match[2]), stored=int(match[3]), loaded=int(match[4]))
        elif match := COMPILED.search(line):
            constants = re.sub(r'\("(\w+)", ([\d.]+)\)', lambda c: f"{c[1]} {float(c[2]):g}", match[4])
            if said:
                yield match[1], f"{match[2].lower()} to {match[3].lower()}", constants, said
            said = {}


def spilled(said):
    return bool(said.get("Spilled VGPRs") or said.get("Scratch size") or said.get("stored") or said.get("loaded"))


def line(kernel, types, constants, said):
    if "width" in said:
        numbers = f"{said['width']:>6}, {said['stored']:>3} registers stored, {said['loaded']:>3} loaded"
    else:
        numbers = (
            f"{said.get('VGPRs', 0):>3} registers, {said.get('Spilled VGPRs', 0):>3} spilled, "
            f"{said.get('LDS size', 0):>6} bytes shared, {said.get('Subgroups per SIMD', 0):>2} subgroups a SIMD"
        )
    return f"  {kernel:27} {types:10}  {numbers}, {said['Instructions']:>5} instructions  {constants}"


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--all"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    with open(arguments[0], errors="replace") as log:
        found = list(forms(log))
    if not found:
        sys.exit("found no compiled kernel with the driver's statistics")
    shown = found if "--all" in sys.argv else [form for form in found if spilled(form[3])]
    kernels = len({form[0] for form in found})
    print(f"  {len(found)} pipelines of {kernels} kernels, {sum(spilled(form[3]) for form in found)} of them spill")
    for form in shown:
        print(line(*form))


if __name__ == "__main__":
    main()
