"""What a trial says of itself when it starts stands in its record."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from mlflow import MlflowClient

from dashboards import load_trials
from dashboards.home import resolve_home
from dashboards.records import sweep_row
from dashboards.times import with_times
from orchestration import load_sweep, run_sweep
from tests.conftest import TINY

PRIORS = """\
parameters:
  model.prior:
    choices:
      standard: {}
      mixture: {components: {value: 3}}
      vamp: {components: {value: 3}}
      flow: {family: {value: maf}, transforms: {value: 1}, hidden: {value: [8]}}
  model.latent.batch_norm.gamma: {values: [0.5]}
"""


def test_every_record_says_how_its_kl_was_computed_and_where(tmp_path: Path, home: Path) -> None:
    """In a sweep over the priors."""
    head, _ = TINY.split("parameters:\n")
    path = tmp_path / "priors.yaml"
    for old, new in (("method: random", "method: grid"), ("epochs: 3", "epochs: 1"), ("size: 4", "size: 4, batch_norm: {}")):
        assert old in head
        head = head.replace(old, new)
    path.write_text(head + PRIORS)
    run_sweep(load_sweep(path), home=home, debug=True)
    trials = load_trials("tiny", home=home)
    assert list(trials["state"]) == ["COMPLETE"] * 4
    timed = with_times(trials, sweep_row("tiny", home=home), home=home)
    assert set(timed["worker"]) == {f"{socket.gethostname()}/{os.getpid()}"}
    client = MlflowClient(resolve_home(home).tracking_uri)
    kinds = {row["model.prior.kind"]: client.get_run(row["run_id"]).data.tags["kl"] for _, row in trials.iterrows()}
    assert kinds == {"standard": "closed form", **dict.fromkeys(("mixture", "vamp", "flow"), "monte carlo")}
