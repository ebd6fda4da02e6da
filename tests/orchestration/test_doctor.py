"""The doctor finds what is wrong, says what to do, and touches nothing."""

from __future__ import annotations

import importlib.metadata
import shutil
import sqlite3
from pathlib import Path

import pytest

from dashboards.home import Home, resolve_home
from orchestration import doctor
from orchestration.doctor import CHECKS, Finding, examine, findings_table
from orchestration.tracking.spool import SPOOL_FILE, Spool
from orchestration.tracking.tracker import SweepHeader, Tracker


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a study and a sweep whose driver vanished: one trial is still called RUNNING."""
    import optuna

    home = resolve_home(tmp_path_factory.mktemp("home"))
    header = SweepHeader("demo", "Why?", "val/neg_elbo", "minimize", "tpe", 3, [], "name: demo\n")
    tracker = Tracker(home.tracking_uri, home.artifact_root, home.sweep_dir("demo") / SPOOL_FILE, header)
    tracker.open()
    tracker.trial_started(0, {}, "f", 0, {})
    tracker.trial_started(1, {}, "f", 0, {})
    tracker.trial_ended(1, "COMPLETE", "", None, 1.0)
    assert tracker.close() == 0
    optuna.create_study(study_name="demo", storage=home.optuna_url)
    return home.root


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Home:
    """A copy at another place, free to be broken."""
    shutil.copytree(written, tmp_path / "home")
    return resolve_home(tmp_path / "home")


def found(home: Home, name: str) -> Finding:
    (finding,) = [finding for check in CHECKS for finding in doctor._guarded(check, home) if finding.name == name]
    return finding


def test_all_is_looked_at_and_nothing_is_made(tmp_path: Path) -> None:
    findings = examine(tmp_path / "none")
    names = [finding.name for finding in findings]
    wanted = {"python", "packages", "processor", "memory", "torch", "ray", "shared memory", "home", "mlflow store"}
    assert wanted | {"optuna storage", "unsent records"} <= set(names)
    assert len(names) == len(set(names))
    assert not [finding for finding in findings if finding.level == "fail" and finding.name != "packages"]
    assert list(tmp_path.iterdir()) == []


def test_a_used_home_stands_well_where_it_was_made(written: Path) -> None:
    findings = {finding.name: finding for finding in examine(written)}
    assert findings["mlflow store"].level == "ok"
    assert findings["optuna storage"].text.endswith("answers, 1 studies")
    assert findings["unsent records"] == Finding("unsent records", "ok", "none")
    assert "artifacts" not in findings


def test_a_moved_home_is_noticed(home: Home, written: Path) -> None:
    finding = found(home, "artifacts")
    assert finding.level == "warn"
    assert str(written / "artifacts") in finding.text


def test_trials_that_nothing_runs_are_stale(home: Home) -> None:
    finding = found(home, "stale trials")
    assert finding.level == "warn"
    assert "1 of demo" in finding.text
    assert "vae-sweeps resume demo" in finding.text


def test_trials_whose_driver_lives_are_not(home: Home) -> None:
    spool = Spool(home.sweep_dir("demo") / SPOOL_FILE)
    assert found(home, "stale trials").level == "ok"
    spool.close()


def test_records_that_wait_are_counted(home: Home) -> None:
    path = home.sweep_dir("demo") / SPOOL_FILE
    spool = Spool(path)
    for n in range(3):
        spool.append({"n": n})
    assert found(home, "unsent records").level == "ok"  # a living driver is about to send them
    spool.close()
    assert found(home, "unsent records").text.startswith("3 of demo")
    path.with_suffix(".rejected.jsonl").write_text("{}\n")
    assert "reasons in" in found(home, "refused records").text


def test_another_schema_is_a_failure_with_its_cure(home: Home) -> None:
    with sqlite3.connect(home.root / "mlflow.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'old'")
    finding = found(home, "mlflow store")
    assert finding.level == "fail"
    assert "schema old" in finding.text
    assert "mlflow db upgrade" in finding.text
    with sqlite3.connect(home.root / "optuna.db") as database:
        database.execute("UPDATE alembic_version SET version_num = 'v3.0.0.a'")
    finding = found(home, "optuna storage")
    assert (finding.level, "optuna storage upgrade" in finding.text) == ("fail", True)


def test_a_broken_database_is_a_finding_and_no_crash(home: Home) -> None:
    (home.root / "mlflow.db").write_bytes(b"no database" * 1000)
    finding = found(home, "mlflow store")
    assert finding.level == "fail"
    assert "not a database" in finding.text


def test_a_server_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    finding = found(resolve_home(tmp_path), "mlflow store")
    assert finding.level == "fail"
    assert "http://127.0.0.1:9 does not answer" in finding.text
    assert "start it" in finding.text


def test_packages_are_held_against_what_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["pytest>=1", "numpy<0.1", "no-such-package>=1", "absent; extra == 'dev'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: wanted)
    finding = found(resolve_home(tmp_path), "packages")
    assert finding.level == "fail"
    assert "does not satisfy <0.1" in finding.text
    assert "no-such-package is missing" in finding.text
    assert "absent" not in finding.text
    assert "pytest" not in finding.text


@pytest.mark.parametrize(("threads", "level"), [("1", "ok"), ("8", "warn")])
def test_many_threads_a_trial_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str, level: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert found(resolve_home(tmp_path), "processor").level == level


@pytest.mark.parametrize(("free", "level"), [(100 << 20, "fail"), (2 << 30, "warn"), (50 << 30, "ok")])
def test_disk_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    usage = type(shutil.disk_usage(tmp_path))(100 << 30, (100 << 30) - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert found(resolve_home(tmp_path), "home").level == level


def test_the_table_shows_every_finding() -> None:
    from io import StringIO

    from rich.console import Console

    out = StringIO()
    Console(file=out, width=120).print(findings_table([Finding("a [b]", "ok", "x"), Finding("c", "fail", "[red]y")]))
    assert "a [b]" in out.getvalue()
    assert "[red]y" in out.getvalue()
