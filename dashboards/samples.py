"""What trials drew, as a tidy frame: every sentence or picture by trial and kind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dashboards.errors import UnknownRun
from dashboards.records import load_trials
from dashboards.trial import trial_artifacts, trial_of

_TYPES = {
    "run_id": "str",
    "trial": "int64",
    "kind": "str",
    "part": "str",
    "index": "int64",
    "label": "str",
    "text": "str",
    "image": "object",
    "epoch": "Int64",
}
KINDS = ("samples", "reconstructions", "interpolations", "traversals")
"""The files that a trial keeps, each as text or as a picture."""
_PARTS = {"samples": ("greedy", "drawn"), "reconstructions": ("input", "output")}
"""Words that begin a line, and say what it is; ``label`` is that of the lines behind it."""


def load_samples(
    sweep: str,
    *,
    trials: Sequence[int] | None = None,
    kinds: Sequence[str] = ("samples", "reconstructions"),
    home: str | Path | None = None,
    tracking_uri: str | None = None,
) -> pd.DataFrame:
    """A row a sentence, or a picture, that the trials keep, by trial, kind and index; trials that keep none have no row.

    Columns: ``run_id, trial, kind`` (one of ``KINDS``), ``part`` (of samples ``greedy`` or ``drawn``, of reconstructions
    ``input`` or ``output``; of pictures ``grid``; else empty), ``index`` (of the code or example, from 0: rows of one belong
    together), ``label`` (of a model that tells them apart), ``text``, ``image`` (the grid as it was kept, an array of bytes,
    height x width [x 3]), ``epoch`` (whose weights drew it). What does not apply is missing.

    Args:
        trials: their numbers; None: all.
        kinds: what is wanted of ``KINDS``.

    Raises:
        UnknownSweep: with the nearest name.
        UnknownRun: there is no such trial.
        ValueError: there is no such kind.
        NoHome, StoreError: as ``open_store``.
    """
    if strange := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"no kind {strange[0]!r}: there are {', '.join(KINDS)}")
    every = load_trials(sweep, home=home, tracking_uri=tracking_uri)
    if missing := [number for number in trials or [] if number not in set(every["trial"])]:
        raise UnknownRun(f"the sweep {sweep!r} has no trial {missing[0]}")
    wanted = every if trials is None else every[every["trial"].isin(list(trials))]
    rows: list[dict[str, Any]] = []
    for _, trial in wanted.iterrows():
        record = trial_of(trial["run_id"], home=home, tracking_uri=tracking_uri)
        epoch = trial.get("best/epoch")
        fixed = {"run_id": trial["run_id"], "trial": trial["trial"], "epoch": None if pd.isna(epoch) else int(epoch)}
        with (
            contextlib.suppress(UnknownRun),
            trial_artifacts(record, "samples", home=home, tracking_uri=tracking_uri) as directory,
        ):
            rows += [fixed | row for kind in kinds for row in _rows(directory, kind)]
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=type_) for name, type_ in _TYPES.items()})


def blocks_of(text: str) -> list[str]:
    """What a file of texts says of each code or example, without the heading above them."""
    _, *blocks = text.split("\n\n")
    return [block.strip("\n") for block in blocks if block.strip()]


def _rows(directory: Path, kind: str) -> Iterator[dict[str, Any]]:
    picture, text = directory / f"{kind}.png", directory / f"{kind}.txt"
    if picture.exists():
        import numpy as np
        from PIL import Image

        with Image.open(picture) as opened:
            yield {"kind": kind, "part": "grid", "index": 0, "image": np.asarray(opened)}
    elif text.exists():
        for index, block in enumerate(blocks_of(text.read_text(encoding="utf-8"))):
            yield from ({"kind": kind, "index": index, **line} for line in _lines(block, kind))


def _lines(block: str, kind: str) -> Iterator[dict[str, Any]]:
    """The lines of one code or example; those of samples and reconstructions begin with what they are."""
    label = None
    for line in block.splitlines():
        word, _, rest = line.partition(" ")
        if kind not in _PARTS:
            yield {"part": "", "text": line}
        elif word == "label":
            label = rest.strip()
        elif word in _PARTS[kind]:
            yield {"part": word, "text": rest.strip(), "label": label}
