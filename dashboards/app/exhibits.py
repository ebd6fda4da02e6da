"""What a trial drew, piece by piece: a sentence or a picture each, out of the files that it keeps."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dashboards.samples import blocks_of

KINDS = {
    "samples": "Samples from the prior",
    "reconstructions": "Reconstructions of test examples",
    "interpolations": "Interpolations",
    "traversals": "Traversals of the code",
    "attributes": "Examples changed towards a label",
    "nearest": "Samples beside the nearest sentence of train",
}
"""Kinds of pieces, in words; all but the last by the names of their files."""
_SCALED = 64
"""Small pictures are kept enlarged to so many pixels."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Piece:
    """One sample, reconstruction, interpolation ...: text, or a picture."""

    text: str = ""
    pixels: Pixels | None = None
    """(H, W) or (H, W, 3)."""


def pieces_of(
    kind: str, samples: Mapping[str, bytes], diagnosis: Mapping[str, bytes], shape: tuple[int, ...] | None
) -> list[Piece]:
    """All that there is of one kind; a picture whose parts are not known is one piece.

    Args:
        samples: the files of the folder, by name.
        diagnosis: the same.
        shape: (H, W) or (H, W, C) of one image, where it is known.
    """
    if kind == "nearest":
        return _nearest(diagnosis.get("samples.csv", b""))
    if (text := samples.get(f"{kind}.txt")) is not None:
        return [Piece(block) for block in blocks_of(text.decode("utf-8", errors="replace"))]
    if (picture := samples.get(f"{kind}.png")) is not None:
        whole = pixels_of(picture)
        return _parts(kind, whole, shape) if shape is not None and kind != "attributes" else [Piece(pixels=whole)]
    return []


def pixels_of(picture: bytes) -> Pixels:
    """A picture's pixels."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        return np.asarray(opened.convert("L" if opened.mode in ("1", "L") else "RGB"))


def enlarged(pixels: npt.NDArray[Any], least: int = 192) -> Pixels:
    """The picture with each pixel repeated, so that its shorter side has at least so many; one channel is grey."""
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    times = max(1, -(-least // min(flat.shape[:2])))
    found: Pixels = flat.repeat(times, 0).repeat(times, 1)
    return found


def _nearest(table: bytes) -> list[Piece]:
    rows = csv.DictReader(io.StringIO(table.decode("utf-8", errors="replace")))
    told = []
    for row in rows:
        same = "copied from train" if row["copied"] == "1" else f"{row['distance']} tokens away"
        told.append(Piece(f"sample  {row['sample']}\ntrain   {row['nearest']}\n        {same}"))
    return told


def _parts(kind: str, whole: Pixels, shape: tuple[int, ...]) -> list[Piece]:
    """The pieces of a grid: tiles of H x W, each pixel ``scale`` wide, with a pixel of white between them."""
    height, width = shape[:2]
    scale = max(1, _SCALED // height)
    rows, columns = (whole.shape[0] // scale + 1) / (height + 1), (whole.shape[1] // scale + 1) / (width + 1)
    if rows != int(rows) or columns != int(columns) or rows < 1 or columns < 1:
        return [Piece(pixels=whole)]
    tiles = {"samples": 1, "reconstructions": 2}.get(kind, int(columns))
    found = []
    for row in range(int(rows)):
        for first in range(0, int(columns) - tiles + 1, tiles):
            top, left = row * (height + 1) * scale, first * (width + 1) * scale
            part = whole[top : top + height * scale, left : left + (tiles * (width + 1) - 1) * scale]
            if not (part == 255).all():  # the rest of the last row is empty
                found.append(Piece(pixels=part))
    return found
