"""What every test shares: a home of its own, quiet libraries, and a sweep that is over in seconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import pandas as pd

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
for _inherited in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "VAE_SWEEPS_HOME"):
    os.environ.pop(_inherited, None)

ROOT = Path(__file__).resolve().parent.parent

TINY = """\
version: 1
name: tiny
question: Does a smaller beta buy a lower distortion?
trial:
  data: {kind: digits}
  model: {encoder: {kind: mlp, hidden: [32]}, decoder: {kind: mlp, hidden: [32]}, latent: {kind: gaussian, size: 4}}
  objective: {kind: elbo}
  training: {epochs: 3, batch_size: 64}
  evaluation: {importance_samples: 3, importance_examples: 20, samples: 4}
method: random
search: {seed: 1}
metric: {name: val/neg_elbo, goal: minimize}
parameters:
  optimizer.lr: {distribution: log_uniform_values, min: 1e-3, max: 1e-2}
  objective.beta: {min: 0.1, max: 1.0}
  objective.annealing:
    choices:
      constant: {}
      linear: {warmup: {min: 0.1, max: 0.5}}
run_cap: 4
resources: {cpu: 1, max_concurrent_trials: 1}
"""


@pytest.fixture(autouse=True)
def _own_records() -> Iterator[None]:
    """MLflow's ``set_tracking_uri`` also sets the variable that sends every later sweep's records there: not beyond a test."""
    yield
    if "MLFLOW_TRACKING_URI" in os.environ:
        if "mlflow" in sys.modules:
            sys.modules["mlflow"].set_tracking_uri(None)
        os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A sweep file of four short trials on real digits."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that does not exist yet."""
    return tmp_path / "home"


@pytest.fixture(scope="session")
def data_directory() -> Path:
    """Real data sets that are not in the project: $VAE_SWEEPS_DATA, else ``../shared/data`` beside the checkout."""
    directory = Path(os.environ.get("VAE_SWEEPS_DATA") or ROOT.parent / "shared" / "data")
    if not directory.is_dir():
        pytest.skip(f"{directory} is absent: set VAE_SWEEPS_DATA to a directory that holds wikitext-2/ and tinyshakespeare/")
    return directory


def comparable(sweep: str, home: Path) -> pd.DataFrame:
    """A sweep's trials without what differs from run to run: ids, times, speeds."""
    from dashboards import load_trials

    frame = load_trials(sweep, home=home)
    times = ["duration_s", "run_id", "train/examples_per_s", "train/tokens_per_s"]
    return frame.drop(columns=[name for name in times if name in frame]).sort_values("trial", ignore_index=True)
