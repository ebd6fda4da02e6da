"""``vae-sweeps plan`` as it is typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def plan(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "orchestration", "plan", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300, check=False)


@pytest.mark.parametrize("name", ["quickstart", "digits", "wikitext2_collapse"])
def test_the_static_part_is_readable_at_80_columns(name: str, data_directory: Path) -> None:
    done = plan(f"sweeps/{name}.yaml", "--profile", "none", "--trials", "3")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "structural variants" in done.stdout
    assert "not measured" in done.stdout


def test_the_static_part_loads_neither_torch_nor_ray() -> None:
    code = """
import sys
from orchestration.planning.plan import make_plan
from orchestration.spec import load_sweep
plan = make_plan(load_sweep("sweeps/quickstart.yaml"), profile="none")
assert plan.estimate is None and plan.steps is None and plan.rungs
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "ray", "mlflow", "sqlalchemy"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_json_and_text_of_a_profile(tiny: Path) -> None:
    done = plan(str(tiny), "--profile-seconds", "4", "--format", "json", "--set", "run_cap=5", "--trials", "2")
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    assert [one["number"] for one in read["drawn"]] == [0, 1]
    assert read["trials"] == 5
    assert read["steps"] == [69, 69]
    wall = read["estimate"]["wall_s"]
    assert 0 < wall["low"] <= wall["mean"] <= wall["high"]


def test_faults_are_told_in_a_line(tiny: Path, tmp_path: Path) -> None:
    gone = plan(str(tmp_path / "gone.yaml"))
    assert gone.returncode == 2
    assert "Traceback" not in gone.stderr
    greedy = plan(str(tiny), "--set", "resources.gpu=64", "--profile-seconds", "2")
    assert greedy.returncode == 2
    assert "a trial wants 64 of a GPU" in greedy.stderr
