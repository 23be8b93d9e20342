"""Prints the inner loops of the kernels that NVIDIA's driver compiled, from the pipelines that a run kept.

A kept pipelines.bin (in the folder that TCVIT_CACHE names, or a result of scripts/gpu) holds one zstd frame for each
pipeline. The frame contains machine code with 16 bytes per instruction. Its start and end are found by trial. Needs
zstandard, and nvdisasm (of CUDA, or of Triton's wheel: triton/backends/nvidia/bin).

    machine_code.py pipelines.bin                 # a line for each loop that multiplies matrices
    machine_code.py pipelines.bin --code 5        # the instructions of pipeline 5
"""

import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zstandard

MAGIC = b"\x28\xb5\x2f\xfd"
BYTES = 16
# The low twelve bits of HMMA, LDG and STG. Code starts at an offset of eight bytes.
OPCODES = (0x23C, 0x981, 0x986)
OFFSET = 8
# The fewest matrix products in a loop that is printed.
FEWEST = 8


def frames(data: bytes) -> list[bytes]:
    found = []
    for match in re.finditer(re.escape(MAGIC), data):
        try:
            found.append(zstandard.ZstdDecompressor().decompressobj().decompress(data[match.start() :]))
        except zstandard.ZstdError:
            pass  # The four bytes were not the start of a frame.
    return found


def places_of(blob: bytes, opcode: int) -> list[int]:
    places = range(OFFSET, len(blob) - BYTES, BYTES)
    return [at for at in places if struct.unpack_from("<H", blob, at)[0] & 0xFFF == opcode]


class Disassembler:
    def __init__(self, program: str, architecture: str) -> None:
        self.program, self.architecture = program, architecture

    def of(self, code: bytes) -> str | None:
        """The disassembly of `code`, or None if some of it is not an instruction."""
        with tempfile.NamedTemporaryFile(suffix=".bin") as file:
            file.write(code)
            file.flush()
            run = subprocess.run(
                [self.program, "--binary", self.architecture, file.name], capture_output=True, text=True, check=False
            )
        return run.stdout if run.returncode == 0 and not run.stderr.strip() else None

    def around(self, blob: bytes) -> list[tuple[int, str]]:
        """Addresses and instructions of a pipeline's code, extended both ways from a place that is surely code."""
        places = [places_of(blob, opcode) for opcode in OPCODES]
        known = next((at for at in sum(places, []) if self.of(blob[at : at + BYTES]) is not None), None)
        if known is None:
            return []
        first = self.furthest(blob, known, -BYTES)
        last = self.furthest(blob, known + BYTES, BYTES)
        text = self.of(blob[first:last]) or ""
        lines = re.finditer(r"/\*([0-9a-f]{4,})\*/\s+(.*?)\s*;", text)
        return [(int(line[1], 16), line[2]) for line in lines]

    def furthest(self, blob: bytes, at: int, unit: int) -> int:
        """The furthest place from `at`, in steps of `unit`, that instructions reach, found with halving steps."""
        step = 256
        while step:
            to = at + step * unit
            inside = OFFSET <= to <= len(blob)
            if inside and self.of(blob[min(at, to) : max(at, to)]) is not None:
                at = to
            else:
                step //= 2
        return at


def operation(instruction: str) -> str:
    return re.sub(r"^@!?U?P\w+\s+", "", instruction).split()[0].split(".")[0]


def loops(code: list[tuple[int, str]]) -> list[list[str]]:
    """The bodies of loops that contain matrix products."""
    found = []
    for at, instruction in code:
        branch = re.search(r"\bBRA\b.*0x([0-9a-f]+)", instruction)
        if branch and int(branch[1], 16) < at:
            body = [text for place, text in code if int(branch[1], 16) <= place <= at]
            if sum(operation(text) == "HMMA" for text in body) >= FEWEST:
                found.append(body)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipelines", type=Path)
    parser.add_argument("--code", type=int, metavar="PIPELINE", help="print its instructions")
    parser.add_argument("--nvdisasm", default="nvdisasm")
    parser.add_argument("--architecture", default="SM90")
    options = parser.parse_args()
    blobs = frames(options.pipelines.read_bytes())
    if not blobs:
        sys.exit(f"{options.pipelines}: expected zstd frames, found none: not kept by NVIDIA's driver?")
    disassembler = Disassembler(options.nvdisasm, options.architecture)
    if options.code is not None:
        for at, instruction in disassembler.around(blobs[options.code]):
            print(f"{at:6x}  {instruction}")
        return
    print(f"{len(blobs)} pipelines")
    multiplying = [index for index, blob in enumerate(blobs) if len(places_of(blob, OPCODES[0])) >= FEWEST]
    # Each pipeline takes about fifty runs of the disassembler.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        codes = threads.map(lambda index: disassembler.around(blobs[index]), multiplying)
        found = [(index, body) for index, code in zip(multiplying, codes) for body in loops(code)]
    for index, body in found:
        counts = Counter(map(operation, body))
        often = ", ".join(f"{count} {name}" for name, count in counts.most_common(8))
        print(f"{index:3}: a loop of {len(body)} instructions, {counts['HMMA']} HMMA: {often}")


if __name__ == "__main__":
    main()
