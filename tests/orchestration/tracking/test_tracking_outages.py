"""What is said while the server is away, or by a process that is killed, is in MLflow afterwards, once."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestration.tracking import delivery as delivery_module
from orchestration.tracking.records import Records
from orchestration.tracking.spool import SpoolReader, pending_lines, rejected_path
from orchestration.tracking.tracker import replay_spool
from tests.orchestration.tracking.recording import (
    DEAD_SERVER,
    assert_whole,
    client,
    opened,
    runs,
    spool_of,
    start,
    train,
    until,
    uri_of,
)


def test_a_lost_answer_doubles_no_run(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store makes the run, but the word of it does not arrive."""
    from mlflow import MlflowClient

    real = MlflowClient.create_run
    lost: list[Any] = []

    def create_run(self: MlflowClient, *args: Any, **kwargs: Any) -> Any:
        run = real(self, *args, **kwargs)
        if len(lost) < 2:
            lost.append(run)
            raise ConnectionResetError("the answer was lost")
        return run

    monkeypatch.setattr(MlflowClient, "create_run", create_run)
    tracker = opened(store, "lost")
    start(tracker)
    train(tracker, 0, range(1, 3))
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert len(lost) == 2
    assert_whole(store, "lost", trials=1, epochs=2)


def test_an_absent_server_keeps_nobody_waiting_and_nothing_is_lost(store: Path) -> None:
    before = threading.active_count()
    tracker = opened(store, "away", DEAD_SERVER)
    started = time.monotonic()
    for number in range(3):
        start(tracker, number)
        train(tracker, number, range(1, 6))
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)
    tracker.closed("FINISHED", 1.0)
    assert time.monotonic() - started < 1.0
    until(lambda: tracker.trouble is not None)
    assert "MLflow does not take records" in (tracker.trouble or "")
    started = time.monotonic()
    assert tracker.close(timeout=1.0) == 23
    assert time.monotonic() - started < 5.0
    assert threading.active_count() == before
    assert pending_lines(spool_of(store, "away")) == 23

    assert replay_spool(DEAD_SERVER, store / "artifacts", spool_of(store, "away"), timeout=0.5) == 23
    assert replay_spool(uri_of(store), store / "artifacts", spool_of(store, "away")) == 0
    assert_whole(store, "away", trials=3, epochs=5)
    assert spool_of(store, "away").read_bytes() == b""


def test_a_damaged_line_is_put_aside_and_the_others_are_sent(store: Path) -> None:
    tracker = opened(store, "damaged", DEAD_SERVER)
    start(tracker)
    train(tracker, 0, range(1, 4))
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close(timeout=0.1) == 6
    spool = spool_of(store, "damaged")
    damaged = ["{torn", "[1, 2]", '{"op": "epoch"}', '{"op": "epoch", "sweep": "damaged", "trial": [0], "seed": 3}', "[" * 99_999]
    first, *others = spool.read_text().splitlines()
    spool.write_text("\n".join([first, *damaged, *others]) + "\n")
    spool.with_suffix(".sent").unlink()
    assert replay_spool(uri_of(store), store / "artifacts", spool) == 0
    assert_whole(store, "damaged", trials=1, epochs=3)
    assert [json.loads(line)["entry"] for line in rejected_path(spool).read_text().splitlines()] == damaged


def test_a_disk_that_cannot_sync_is_waited_for(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failed = Records.settle, 0

    def settle(self: Records) -> None:
        nonlocal failed
        failed += 1
        if failed < 3:
            raise OSError(errno.EIO, "Input/output error")
        real(self)

    monkeypatch.setattr(Records, "settle", settle)
    tracker = opened(store, "sync")
    until(lambda: tracker.trouble is not None)
    assert tracker.pending == 1, "not sent before it is on the disk"
    start(tracker)
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert_whole(store, "sync", trials=1, epochs=0)


def test_what_ends_the_sender_does_not_end_the_sweep(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SpoolReader, "read", lambda self: 1 / 0)
        tracker = opened(store, "dead")
        until(lambda: tracker.trouble is not None)
        start(tracker)
        train(tracker, 0, range(1, 3))
        tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
        assert tracker.close() == 5
    assert "nothing is sent to MLflow any more: ZeroDivisionError" in capsys.readouterr().err
    assert replay_spool(uri_of(store), store / "artifacts", spool_of(store, "dead")) == 0
    assert_whole(store, "dead", trials=1, epochs=2)


def test_little_time_at_once_is_enough_in_the_end(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow server: what one command has sent the next does not send again, nor refuse again."""
    away = opened(store, "slow", DEAD_SERVER)
    for number in range(6):
        start(away, number)
        train(away, number, range(1, 3))
        gone = store / "gone"
        gone.mkdir(exist_ok=True)
        away.trial_ended(number, "COMPLETE", "", gone, 1.0)
    gone.rmdir()
    assert away.close(timeout=0.1) == 31
    real = Records.write

    def write(self: Records, entries: Any) -> None:
        clock.append(clock[-1] + 1)
        real(self, entries)

    clock = [0.0]
    monkeypatch.setattr(Records, "write", write)
    monkeypatch.setattr(delivery_module, "time", SimpleNamespace(monotonic=lambda: clock[-1], sleep=time.sleep))
    left = [31]
    while left[-1]:
        left.append(replay_spool(uri_of(store), store / "artifacts", spool_of(store, "slow"), timeout=4))
        assert left[-1] < left[-2]
    assert len(left) > 3, "once was not enough"
    assert_whole(store, "slow", trials=6, epochs=2)
    assert len(rejected_path(spool_of(store, "slow")).read_text().splitlines()) == 6


def _sweep_until_killed(store: Path, name: str, trials: int, epochs: int) -> None:
    tracker = opened(store, name)
    for number in range(trials):
        start(tracker, number)
        train(tracker, number, range(1, epochs + 1))
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)
    tracker.closed("FINISHED", 1.0)
    total = tracker.pending
    while tracker.pending > total // 2:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("offset_lost", [False, True])
def test_a_killed_process_loses_and_doubles_nothing(store: Path, offset_lost: bool) -> None:
    name = f"killed-{offset_lost}"
    child = multiprocessing.get_context("spawn").Process(target=_sweep_until_killed, args=(store, name, 30, 8))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    spool = spool_of(store, name)
    assert 0 < pending_lines(spool) <= 30 * 10
    if offset_lost:
        spool.with_suffix(".sent").unlink()
    with spool.open("a") as file:
        file.write('{"op": "epoch", "sweep": "killed", "torn')
    assert replay_spool(uri_of(store), store / "artifacts", spool) == 0
    assert_whole(store, name, trials=30, epochs=8)
    assert not rejected_path(spool).exists()


def test_an_open_tracker_sends_first_what_an_earlier_process_left(store: Path) -> None:
    away = opened(store, "leftover", DEAD_SERVER)
    start(away)
    train(away, 0, range(1, 3))
    assert away.close(timeout=0.2) > 0
    tracker = opened(store, "leftover")
    start(tracker)
    train(tracker, 0, range(1, 5))
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    assert_whole(store, "leftover", trials=1, epochs=4)


def test_there_is_nothing_to_replay_where_no_spool_is(tmp_path: Path) -> None:
    assert replay_spool(DEAD_SERVER, tmp_path, tmp_path / "none" / "spool.jsonl") == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_hundred_trials_do_not_keep_the_caller(store: Path) -> None:
    tracker = opened(store, "hundred")
    until(lambda: tracker.pending == 0)
    started, longest = time.monotonic(), 0.0
    for number in range(100):
        before = time.monotonic()
        start(tracker, number)
        train(tracker, number, range(1, 21))
        tracker.trial_ended(number, "COMPLETE", "", None, 1.0)
        longest = max(longest, (time.monotonic() - before) / 22)
    assert longest < 0.05  # a call; what it costs is a line in a file and its share of the interpreter
    assert tracker.close(timeout=120.0) == 0
    assert time.monotonic() - started < 120.0  # 15 s on an idle disk; a search for each trial would take longer than this
    assert len(runs(store, "hundred")) == 100


class RealServer:
    """``mlflow server`` on a port of its own, started and killed at will."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        import sys
        import urllib.request

        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self._directory}/server.db"]
        command += ["--artifacts-destination", str(self._directory / "served")]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=1):
                    return True
            except OSError:
                return False

        until(answers, 90)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.mark.slow
def test_a_server_that_is_away_at_the_start_and_dies_in_the_middle(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / "samples.txt").write_text("a sample")
    server = RealServer(tmp_path)
    tracker = opened(tmp_path, "faults", server.url)
    try:
        start(tracker, 0)
        train(tracker, 0, range(1, 4))
        until(lambda: tracker.trouble is not None)
        server.start()
        until(lambda: tracker.pending == 0, 60)
        assert tracker.trouble is None
        for number in (1, 2):
            start(tracker, number)
        killer = threading.Timer(0.3, server.kill)
        killer.start()
        for epoch in range(1, 41):
            for number in (1, 2):
                train(tracker, number, range(epoch, epoch + 1))
            time.sleep(0.02)
        killer.join()
        until(lambda: tracker.trouble is not None)
        train(tracker, 0, range(4, 41))
        server.start()
        for number in range(3):
            tracker.trial_ended(number, "COMPLETE", "", artifacts, 1.0)
        tracker.closed("FINISHED", 1.0)
        assert tracker.close(timeout=90) == 0
        assert tracker.rejected == 0
        assert_whole(tmp_path, "faults", trials=3, epochs=40, uri=server.url)
        (run, *_) = runs(tmp_path, "faults", uri=server.url)
        files = {item.path for item in client(tmp_path, server.url).list_artifacts(run.info.run_id)}
        assert files == {"config.yaml", "samples.txt"}
    finally:
        server.kill()


def test_a_store_that_lets_nobody_in_is_told_at_once_and_its_records_wait(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Forbidding(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(403)
            self.end_headers()
            self.wfile.write(b"Permission denied")

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Forbidding) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tracker = opened(store, "forbidden", f"http://me:secret@127.0.0.1:{server.server_port}")
        start(tracker)
        train(tracker, 0, range(1, 4))
        tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
        until(lambda: tracker.trouble is not None)
        waiting = tracker.close(timeout=1.0)
        server.shutdown()
    said = capsys.readouterr().err
    assert said.count("MLflow refuses records: ") == 1
    assert "403" in said
    assert "training goes on, and they wait" in said
    assert "secret" not in said + (tracker.trouble or "")
    assert waiting == 6
    assert tracker.rejected == 0
    assert replay_spool(uri_of(store), store / "artifacts", spool_of(store, "forbidden")) == 0
    assert_whole(store, "forbidden", trials=1, epochs=3)


def test_the_end_of_a_trial_is_on_the_disk_before_the_study_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    real = os.fdatasync

    def fdatasync(descriptor: int) -> None:
        real(descriptor)
        held.append(spool_of(store, "synced").read_text().count('"op": "ended"'))

    tracker = opened(store, "synced", DEAD_SERVER)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    start(tracker)
    train(tracker, 0, range(1, 4))
    assert held == [], "epochs are said again after a crash"
    tracker.trial_ended(0, "COMPLETE", "", None, 1.0)
    assert held == [1]
    tracker.closed("FINISHED", 1.0)
    assert held == [1, 1]
    tracker.close(timeout=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("made", [0, 100_000])
def test_a_process_that_is_killed_while_it_makes_the_tables_leaves_no_broken_database(tmp_path: Path, made: int) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_sweep_until_killed, args=(tmp_path, "making", 1, 1))
    child.start()
    until(lambda: any(draft.stat().st_size >= made for draft in tmp_path.glob(".mlflow.db.draft")), 120)
    child.kill()
    child.join(60)
    assert not (tmp_path / "mlflow.db").exists(), "it was killed amid the making"
    assert replay_spool(uri_of(tmp_path), tmp_path / "artifacts", spool_of(tmp_path, "making")) == 0
    assert_whole(tmp_path, "making", trials=1, epochs=1)
    assert not list(tmp_path.glob(".mlflow.db.draft*"))
