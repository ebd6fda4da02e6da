"""A bug in every trial is noticed after the first few, not after all; once it is mended, the sweep goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dashboards import load_sweeps, load_trials
from tests.conftest import ROOT, TINY
from tests.faults.sweeps import start
from tests.test_adding import install

pytestmark = pytest.mark.long

BUGGY = """
from typing import Literal

from vae_core.schedules import Schedule


class Buggy(Schedule):
    kind: Literal["buggy"] = "buggy"

    def __call__(self, step: int, total: int) -> float:
        if step >= 10:
            raise RuntimeError(f"no weight for step {step} of {total}")
        return 1.0

    def end(self, total: int) -> int:
        return 0
"""


@pytest.mark.parametrize("launcher", [["--debug"], pytest.param([], marks=pytest.mark.xdist_group("ray"))], ids=["debug", "ray"])
def test_three_of_twelve_are_trained(tmp_path: Path, launcher: list[str]) -> None:
    site, home, file = tmp_path / "site", tmp_path / "home", tmp_path / "tiny.yaml"
    install(site, "buggy", {"vae_sweeps.schedules": {"buggy": "buggy:Buggy"}})
    (site / "buggy.py").write_text(BUGGY)
    before, after = TINY.replace("run_cap: 4", "run_cap: 12").split("  objective.annealing:")
    file.write_text(before.replace("{kind: elbo}", "{kind: elbo, annealing: {kind: buggy}}") + after[after.index("run_cap") :])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(site), str(ROOT)))}

    def sweeps(*arguments: str | Path) -> tuple[int, str]:
        process = start(*arguments, environment=environment)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    code, output = sweeps("run", file, "--home", home, *launcher)
    assert code == 1, output
    cause = "same_failure: the first 3 trials failed alike: RuntimeError: no weight for step 10 of"
    assert cause in output
    assert list(load_trials("tiny", home=home)["state"]) == ["FAILED"] * 3
    [sweep] = load_sweeps(home=home).to_dict("records")
    assert (sweep["state"], sweep["ended_by"].startswith(cause)) == ("FAILED", True)

    (site / "buggy.py").write_text(BUGGY.replace("step >= 10", "False"))
    code, output = sweeps("resume", "tiny", "--home", home, *launcher)
    assert code == 0, output
    assert list(load_trials("tiny", home=home)["state"]) == ["FAILED"] * 3 + ["COMPLETE"] * 9
