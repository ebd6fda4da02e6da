"""Sweeps that are jobs of a cluster: gone on with there, and asked and stopped where no driver has begun them."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pandas as pd
import pytest

from dashboards.home import resolve_home
from orchestration import run_sweep
from orchestration.driver_lock import only_driver
from tests.conftest import TINY, comparable
from tests.faults.sweeps import heard
from tests.orchestration.heads import Running

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]


def test_a_detached_resume_goes_on_where_the_sweep_stopped(cluster: Running, tiny: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    at = ("--home", home)
    changes = ("--set", "trial.training.epochs=80", "--set", "run_cap=2")
    code, said = cluster("submit", tiny, "--address", cluster.dashboard, *at, *changes)
    assert code == 0, said
    wait_for_line(cluster, home, "trial 0 started")
    while sum(heard(home).values()) < 3:
        time.sleep(0.2)
    code, said = cluster("stop", "tiny", "--now", *at)
    assert (code, "driven by process" in said) == (0, True), said
    wait_for_line(cluster, home, "ended by stopped")
    wait_until(cluster, home, "submitted as .*: FAILED")  # a job has two ends, and exit code 130 is not 0
    first = json.loads((home / "jobs" / "tiny.json").read_text())

    with only_driver("tiny", resolve_home(home)):
        code, said = cluster("resume", "tiny", "--detach", *at)
    assert (code, "'tiny' is being run by process" in said) == (2, True), said
    code, said = cluster("resume", "tiny", "--detach", "--run-cap", "3", *at)
    assert code == 0, said
    second = json.loads((home / "jobs" / "tiny.json").read_text())
    assert f"submitted as {second['id']} to {cluster.dashboard}" in said
    assert (second["id"] != first["id"], second["address"]) == (True, first["address"])
    standing = wait_until(cluster, home, "submitted as .*: SUCCEEDED")
    assert "tiny: FINISHED" in standing
    assert "taken up again" in (home / "trials" / "tiny" / "driver.log").read_text()
    assert list(comparable("tiny", home)["state"]) == ["COMPLETE"] * 3
    assert "nothing was left to do" not in cluster("logs", "tiny", "--job", *at)[1]
    run_sweep(tiny, home=tmp_path / "debug", overrides=["trial.training.epochs=80", "run_cap=3"], debug=True)
    pd.testing.assert_frame_equal(comparable("tiny", home), comparable("tiny", tmp_path / "debug"), check_exact=True)


def test_a_job_that_has_no_driver(cluster: Running, tiny: Path, tmp_path: Path) -> None:
    """It is stopped before it has begun; and of one that dies before, why is told."""
    home = tmp_path / "home"
    at, to = ("--home", home), ("--address", cluster.dashboard)
    code, said = cluster("submit", tiny, *to, *at)
    assert code == 0, said
    code, said = cluster("resume", "tiny", "--detach", *at)
    assert (code, "there is no sweep 'tiny'" in said) == (2, True), said
    job = json.loads((home / "jobs" / "tiny.json").read_text())["id"]
    code, said = cluster("stop", "tiny", *at)
    assert (code, f"tiny has no driver yet: its job {job} is stopped" in said) == (0, True), said
    code, said = cluster("status", "tiny", *at)
    assert code == 0, said
    assert f"submitted as {job} to {cluster.dashboard}: STOPPED" in said
    assert "tiny has not begun" in said
    assert "Traceback" not in said
    assert cluster("stop", "tiny", *at)[0] == 2, "it has ended"

    (tmp_path / "words.yaml").write_text(absent_words(tmp_path / "nowhere.txt"))
    code, said = cluster("submit", tmp_path / "words.yaml", *to, *at)
    assert code == 0, said
    standing = wait_until(cluster, home, "submitted as .*: FAILED")
    assert "Job entrypoint command failed" in standing
    assert "its last lines:" in standing
    assert str(tmp_path / "nowhere.txt") in standing
    assert "none has begun it" in standing
    code, said = cluster("logs", "tiny", *at)
    assert (code, "vae-sweeps logs tiny --job" in said) == (2, True), said


def test_a_secret_does_not_travel(cluster: Running, tiny: Path, tmp_path: Path) -> None:
    """The job hears of its webhook from the home; nothing of the cluster's holds it."""
    home, secret = tmp_path / "home", "pw-of-the-webhook"
    changes = ("--set", f"notify.url=http://127.0.0.1:9/{secret}", "--set", "run_cap=1")
    code, said = cluster("submit", tiny, "--address", cluster.dashboard, "--home", home, *changes)
    assert code == 0, said
    wait_until(cluster, home, "submitted as .*: SUCCEEDED")
    kept = home / "jobs" / "tiny.yaml"
    assert not kept.exists(), "the job has read it"
    assert secret in (home / "trials" / "tiny" / "notify-url").read_text(), "the driver knew it"
    files = [path for path in Path(cluster.environment["RAY_TMPDIR"]).rglob("*") if path.is_file()]
    assert any(path.parent.name == "orchestration" for path in files), "what has travelled lies there"
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert secret not in cluster("logs", "tiny", "--job", "--home", home)[1]


def absent_words(file: Path) -> str:
    data = f"{{kind: text_file, train: {file}, valid: {file}, test: {file}}}"
    return TINY.replace("{kind: digits}", data).replace("{kind: mlp, hidden: [32]}", "{kind: lstm, hidden: 8}")


def wait_until(cluster: Running, home: Path, said: str, seconds: float = 300.0) -> str:
    """What ``status`` says as soon as it says that."""
    deadline = time.monotonic() + seconds
    while not re.search(said, standing := cluster("status", "tiny", "--home", home)[1]):
        assert time.monotonic() < deadline, standing + cluster("logs", "tiny", "--home", home, "--job")[1]
        time.sleep(1.0)
    return standing


def wait_for_line(cluster: Running, home: Path, line: str, seconds: float = 120.0) -> None:
    log, deadline = home / "trials" / "tiny" / "driver.log", time.monotonic() + seconds
    while not (log.exists() and line in log.read_text()):
        assert time.monotonic() < deadline, cluster("logs", "tiny", "--home", home, "--job")[1]
        time.sleep(0.2)
