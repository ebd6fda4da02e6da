"""What the trials drew: samples and reconstructions of the best ones, side by side."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dashboards.errors import UnknownRun
from dashboards.samples import blocks_of
from dashboards.trial import trial_artifacts, trial_of

KINDS = {"samples": "Samples from the prior", "reconstructions": "Reconstructions of test examples: each input, then its output"}
_BLOCKS = 6
"""Of a text file, blocks that are shown."""


@dataclass(frozen=True)
class Exhibit:
    """What one trial keeps of one kind."""

    trial: int
    text: str = ""
    """Of a text model."""
    image: str = ""
    """Of an image model: a PNG as a data URL."""


def gallery(
    trials: Mapping[int, str], *, home: str | Path | None = None, tracking_uri: str | None = None
) -> dict[str, list[Exhibit]]:
    """By title, what each of the trials keeps; one that keeps nothing is left out.

    Args:
        trials: their run ids, by number.

    Raises:
        NoHome, StoreError: as ``open_store``.
    """
    found: dict[str, list[Exhibit]] = {title: [] for title in KINDS.values()}
    for number, run_id in trials.items():
        record = trial_of(run_id, home=home, tracking_uri=tracking_uri)
        with (
            contextlib.suppress(UnknownRun),
            trial_artifacts(record, "samples", home=home, tracking_uri=tracking_uri) as directory,
        ):
            for name, title in KINDS.items():
                if (shown := _exhibit(number, directory, name)) is not None:
                    found[title].append(shown)
    return {title: exhibits for title, exhibits in found.items() if exhibits}


def _exhibit(trial: int, directory: Path, name: str) -> Exhibit | None:
    picture, text = directory / f"{name}.png", directory / f"{name}.txt"
    if picture.exists():
        return Exhibit(trial, image=f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}")
    if text.exists():
        return Exhibit(trial, text="\n\n".join(blocks_of(text.read_text(encoding="utf-8", errors="replace"))[:_BLOCKS]))
    return None
