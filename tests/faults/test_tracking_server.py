"""The tracking server: away at the start, killed amid a sweep, away when the sweep ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from dashboards import load_curves, load_trials
from tests.conftest import TINY, comparable
from tests.faults.sweeps import command, start, wait_for_epochs
from tests.orchestration.tracking.test_tracking_outages import RealServer

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SWEEP = TINY.replace("epochs: 3", "epochs: 40")


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
