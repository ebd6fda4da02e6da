"""A code decoded by a trial's own model: by the command line's ``generate`` in another process, as pages import no torch."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from dashboards.app.exhibits import Pixels, pixels_of
from dashboards.app.settings import settings

_TIMEOUT_S = 120.0
_ONE_AT_A_TIME = threading.Lock()
"""Each loads a model: readers who click at the same time wait for each other."""


class DecodingError(RuntimeError):
    """The command failed; what it said."""


def decode(sweep: str, number: int, codes: Sequence[Sequence[float]], *, is_text: bool, label: str | None = None) -> str | Pixels:
    """The sentences, one a line, or the picture of these codes; of a model that knows labels under the one that is given.

    Raises:
        DecodingError: the command did not succeed.
    """
    where = settings().where
    with tempfile.TemporaryDirectory() as scratch, _ONE_AT_A_TIME:
        given, found = Path(scratch, "codes.csv"), Path(scratch, "found.txt" if is_text else "found.png")
        with given.open("w", newline="") as file:
            csv.writer(file).writerows(codes)
        command = [sys.executable, "-m", "orchestration", "generate", "--home", str(where.root), "--codes", str(given)]
        command += ["--output", str(found), *(["--decoding", "greedy"] if is_text else [])]
        command += [*([] if label is None else [f"--label={label}"]), "--", f"{sweep}/{number}"]
        environment = {**os.environ, "MLFLOW_TRACKING_URI": where.tracking_uri, "OMP_NUM_THREADS": "1"}
        try:
            ended = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DecodingError(f"the model did not answer within {_TIMEOUT_S:.0f} s") from None
        if ended.returncode != 0 or not found.exists():
            raise DecodingError(" ".join((ended.stderr or ended.stdout).split()) or f"exit code {ended.returncode}")
        return found.read_text().rstrip("\n") if is_text else pixels_of(found.read_bytes())
