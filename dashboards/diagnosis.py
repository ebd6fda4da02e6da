"""The tables of trials' diagnoses, which are artifacts of theirs, as frames."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from dashboards.errors import UnknownRun
from dashboards.trial import trial_artifacts, trial_of

_KL = {"trial": "int64", "part": "str", "kl": "float64"}


def load_kl(trials: Mapping[int, str], *, home: str | Path | None = None, tracking_uri: str | None = None) -> pd.DataFrame:
    """The rate by part of the code of each of the trials: ``trial, part, kl`` (nats an example, on test). One that keeps no
    diagnosis, as one that was pruned, has no row.

    Args:
        trials: their run ids, by number.

    Raises:
        NoHome, StoreError: as ``open_store``.
    """
    parts = [pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _KL.items()})]
    for number, run_id in trials.items():
        record = trial_of(run_id, home=home, tracking_uri=tracking_uri)
        with (
            contextlib.suppress(UnknownRun),
            trial_artifacts(record, "diagnosis", home=home, tracking_uri=tracking_uri) as directory,
        ):
            if (file := directory / "kl.csv").exists():
                table = pd.read_csv(file, dtype={"part": "str", "kl": "float64"})
                table.insert(0, "trial", number)
                parts.append(table[list(_KL)])
    return pd.concat(parts, ignore_index=True).astype(_KL)
