"""A worker that hangs for real: killed after ``budget.trial_timeout``, tried again from its checkpoint, then given up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dashboards import load_trials
from tests.conftest import ROOT, TINY
from tests.faults.sweeps import command, start
from tests.test_adding import install

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SLEEPER = '''
import time
from pathlib import Path
from typing import Literal

from vae_core.configurable import Count
from vae_core.schedules import Schedule


class Sleeper(Schedule):
    """1 throughout; at one step it hangs: always, or where there is a marker to leave, until that is left."""

    kind: Literal["sleeper"] = "sleeper"
    at: Count
    marker: str = ""

    def __call__(self, step: int, total: int) -> float:
        if step == self.at and not (self.marker and Path(self.marker).exists()):
            if self.marker:
                Path(self.marker).touch()
            time.sleep(3600)
        return 1.0

    def end(self, total: int) -> int:
        return 0
'''

CONSTANT, ALWAYS, ONCE = 0, 1, 2
"""The three trials; the hangs are in the third epoch."""


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    before, _ = TINY.split("method:")
    path = tmp_path / "hung.yaml"
    path.write_text(
        before.replace("epochs: 3", "epochs: 5").replace("name: tiny", "name: hung")
        + "method: grid\n"
        + "parameters:\n  objective.annealing:\n    choices:\n      constant: {}\n"
        + f"      sleeper: {{at: {{value: 50}}, marker: {{values: ['', '{tmp_path / 'marker'}']}}}}\n"
        + "budget: {trial_timeout: 20s}\nresources: {cpu: 1, max_concurrent_trials: 2}\n"
    )
    install(tmp_path / "site", "sleeper", {"vae_sweeps.schedules": {"sleeper": "sleeper:Sleeper"}})
    (tmp_path / "site" / "sleeper.py").write_text(SLEEPER)
    return path


def test_a_hung_worker_is_killed_and_the_others_go_on(sweep: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path / "site"), str(ROOT)))}
    process = start("run", sweep, "--home", home, environment=environment)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    trials = load_trials("hung", home=home).set_index("trial")
    assert trials["state"].to_dict() == {CONSTANT: "COMPLETE", ALWAYS: "FAILED", ONCE: "COMPLETE"}, output
    reason = str(trials["reason"][ALWAYS])
    assert reason.startswith("worker lost 3 times: no message within budget.trial_timeout; it hung in __call__ ("), reason
    assert "sleeper.py" in reason
    assert trials["epochs"][ALWAYS] == 2, "what it had trained before is kept"
    scores = [str(name) for name in trials if str(name).startswith(("best/", "test/"))]
    assert trials[scores].loc[ONCE].to_dict() == trials[scores].loc[CONSTANT].to_dict(), "it went on from its checkpoint, bitwise"
    code, log = command("logs", "hung", "--home", home)
    assert code == 0
    assert log.count(f"trial {ALWAYS} lost its worker and is taken up again") == 2
    assert log.count(f"trial {ONCE} lost its worker and is taken up again") == 1
    code, story = command("logs", "hung", str(ALWAYS), "--home", home)
    assert code == 0
    assert "trial 2" not in story
    assert "(most recent call first)" in story
    assert "in run_trial" in story
