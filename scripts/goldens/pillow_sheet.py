#!/usr/bin/env python3
"""Pillow's resize and centre crop with every filter, for sources of unusual shapes, as one picture.

Writes tests/goldens/pillow_sheet.png, with one column of tiles per filter and one row per source. The sources are cut
from the top left corner of tests/goldens/pillow_chelsea_224.png, which every decoder reads identically.
tests/input/pillow.rs holds the same table. Needs pillow in the version of goldens/requirements.txt: version 13.0
changed the order in which tall images are resized.
"""

import math
from pathlib import Path

from PIL import Image

GOLDENS = Path(__file__).resolve().parent.parent.parent / "tests/goldens"
TILE = 32
FILTERS = ["NEAREST", "BOX", "BILINEAR", "HAMMING", "BICUBIC", "LANCZOS"]
SOURCES = [
    (1, 1, 1.0),
    (1, 9, 0.9),
    (9, 1, 0.9),
    (2, 150, 1.0),
    (150, 2, 0.875),
    (7, 5, 0.5),
    (31, 33, 1.0),
    (32, 32, 1.0),
    (32, 40, 1.0),
    (60, 224, 0.95),
    (224, 60, 0.95),
    (97, 101, 0.875),
    (224, 149, 0.3),
    (224, 224, 0.9),
]


def tile(source: Image.Image, crop: float, resample: Image.Resampling) -> Image.Image:
    """The image that timm's evaluation transform gives to the network."""
    short = math.floor(TILE / crop)
    width, height = source.size
    if width <= height:
        size = (short, int(short * height / width))
    else:
        size = (int(short * width / height), short)
    left, top = (round((length - TILE) / 2.0) for length in size)
    return source.resize(size, resample).crop((left, top, left + TILE, top + TILE))


def main() -> None:
    photo = Image.open(GOLDENS / "pillow_chelsea_224.png").convert("RGB")
    sheet = Image.new("RGB", (len(FILTERS) * TILE, len(SOURCES) * TILE))
    for row, (width, height, crop) in enumerate(SOURCES):
        for column, name in enumerate(FILTERS):
            source = photo.crop((0, 0, width, height))
            sheet.paste(tile(source, crop, Image.Resampling[name]), (column * TILE, row * TILE))
    sheet.save(GOLDENS / "pillow_sheet.png", optimize=True)


if __name__ == "__main__":
    main()
