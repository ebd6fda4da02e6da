"""The tracking server: away at the start, killed amid a sweep, away when the sweep ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from dashboards import load_curves, load_trials
from tests.conftest import TINY, comparable
from tests.faults.sweeps import command, heard, left_alone, start, wait_for_epochs
from tests.orchestration.tracking.test_tracking_outages import RealServer

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SWEEP = TINY.replace("epochs: 3", "epochs: 40")
ONE_TRIAL = SWEEP.replace("hidden: [32]", "hidden: [1200, 1200]").replace("epochs: 40", "epochs: 120").replace("cap: 4", "cap: 1")
"""A trial of some two minutes: an epoch takes about a second."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealServer]:
    (tmp_path / "server").mkdir()
    server = RealServer(tmp_path / "server")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, float]:
    """The table of the same sweep with the home's own record, and how long it took in s."""
    directory = tmp_path_factory.mktemp("undisturbed")
    (directory / "tiny.yaml").write_text(SWEEP)
    began_s = time.monotonic()
    code, output = command("run", directory / "tiny.yaml", "--home", directory / "home", "--debug")
    assert code == 0, output
    return comparable("tiny", directory / "home"), time.monotonic() - began_s


@pytest.fixture(scope="module")
def long_trial(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table of ``ONE_TRIAL`` with the home's own record."""
    return left_alone(tmp_path_factory.mktemp("long"), ONE_TRIAL)


def table(server: RealServer) -> pd.DataFrame:
    frame = load_trials("tiny", tracking_uri=server.url)
    times = ["duration_s", "run_id", "train/examples_per_s", "train/tokens_per_s"]
    return frame.drop(columns=[name for name in times if name in frame]).sort_values("trial", ignore_index=True)


def send(home: Path) -> None:
    """Any command sends what waits, for ten seconds at most; another goes on."""
    for _ in range(20):
        code, output = command("status", "tiny", "--home", home)
        assert code == 0, output
        if "still wait" not in output:
            return
    raise AssertionError(output)


def test_training_waits_for_no_server(
    tmp_path: Path, home: Path, server: RealServer, undisturbed: tuple[pd.DataFrame, float]
) -> None:
    """Absent at the start, there for a while, killed, and back only when all is over: nothing is missing or doubled."""
    expected, quiet_s = undisturbed
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    began_s = time.monotonic()
    process = start("run", tmp_path / "tiny.yaml", "--home", home, "--debug")
    wait_for_epochs(process, home, 30)
    server.start()
    wait_for_epochs(process, home, 100)
    server.kill()
    wait_for_epochs(process, home, 160)
    trained_s = time.monotonic() - began_s
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert "the next command sends them" in output, "the server is still away"
    assert trained_s < 3 * quiet_s + 15, "training waited for the server"  # which took its own start from the same cores
    server.start()
    send(home)
    pd.testing.assert_frame_equal(table(server), expected, check_exact=True)
    curves = load_curves("tiny", tracking_uri=server.url)
    assert not curves.duplicated(["trial", "metric", "epoch"]).any()
    assert (curves[curves["metric"] == "val/neg_elbo"].groupby("trial").size() == 40).all()
    assert not (home / "mlflow.db").exists()


def test_a_minute_without_the_server_amid_a_trial(
    tmp_path: Path, home: Path, server: RealServer, long_trial: pd.DataFrame
) -> None:
    """It comes back while the same trial trains on: training never paused, and no other command has to send anything."""
    (tmp_path / "tiny.yaml").write_text(ONE_TRIAL)
    server.start()
    process = start("run", tmp_path / "tiny.yaml", "--home", home, "--debug")
    wait_for_epochs(process, home, 5)
    server.kill()
    away_s = time.monotonic()
    last, last_s, pauses_s = 5, away_s, [0.0]
    while time.monotonic() - away_s < 60:
        time.sleep(0.1)
        if (now := sum(heard(home).values())) > last:
            pauses_s.append(time.monotonic() - last_s)
            last, last_s = now, time.monotonic()
    assert process.poll() is None, process.communicate()[0]
    assert 20 < last < 120, "the trial trained on, and is not over"
    assert max(pauses_s) < 10, "no epoch waited for the server, whose every request would take longer"
    server.start()
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    assert "the next command sends them" not in output
    pd.testing.assert_frame_equal(table(server), long_trial, check_exact=True)
    curves = load_curves("tiny", tracking_uri=server.url)
    assert not curves.duplicated(["trial", "metric", "epoch"]).any()
    assert sorted(curves[curves["metric"] == "val/neg_elbo"]["epoch"]) == list(range(1, 121))


def test_a_crash_while_the_server_is_away(
    tmp_path: Path, home: Path, server: RealServer, undisturbed: tuple[pd.DataFrame, float]
) -> None:
    """What the killed driver had not sent is sent by the next command, whichever it is."""
    expected, _ = undisturbed
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    process = start("run", tmp_path / "tiny.yaml", "--home", home, "--debug")
    wait_for_epochs(process, home, 60)
    process.kill()
    process.communicate()
    server.start()
    send(home)
    sent = load_trials("tiny", tracking_uri=server.url)
    assert set(sent[sent["trial"] == 0]["state"]) == {"COMPLETE"}, "sent by `status`"
    code, output = command("resume", "tiny", "--home", home, "--debug")
    assert code == 0, output
    pd.testing.assert_frame_equal(table(server), expected, check_exact=True)
    assert not load_curves("tiny", tracking_uri=server.url).duplicated(["trial", "metric", "epoch"]).any()
