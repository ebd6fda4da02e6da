"""Passwords and webhooks: in two or three files that only the home's owner can read, and nowhere else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dashboards import load_sweeps
from dashboards.home import resolve_home
from orchestration import run_sweep
from orchestration.hidden import public, remember, whole
from orchestration.launch import resume_sweep
from orchestration.spec import SweepFileError, load_sweep, parse_sweep, spec_text
from orchestration.stored_sweeps import stored_sweep
from orchestration.tracking.sweep_record import tracking_uri_of

SECRETS = {
    "search.storage": "postgresql://me:pw-study@host/db",
    "tracking.uri": "https://me:pw-record@host/",
    "notify.url": "https://hooks.chat/services/T1/pw-hook",
}


def changes(**others: str) -> list[str]:
    return [f"{path}={url}" for path, url in {**SECRETS, **others}.items()]


def test_what_everybody_may_read_holds_no_secret_and_comes_back_whole(tiny: Path, home: Path) -> None:
    spec = load_sweep(tiny, changes())
    text = spec_text(public(spec))
    assert "pw-" not in text
    assert "postgresql://me:***@host/db" in text
    where = resolve_home(home, spec.tracking.uri)
    where.sweep_dir("tiny").mkdir(parents=True)
    remember(spec, where)
    assert whole(parse_sweep(text), where) == spec
    holding = [file for file in where.sweep_dir("tiny").iterdir() if "pw-" in file.read_text()]
    assert len(holding) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in holding} == {0o600}


def test_a_sweep_leaves_its_secrets_nowhere_else(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home's copy, the study, the record with its artifacts, the spool and the log; also after a resume."""
    hook = "http://127.0.0.1:9/services/pw-hook"
    storage = f"sqlite:///{home / 'other.db'}?password=pw-study"  # SQLite asks for none and takes it
    home.mkdir()
    spec = load_sweep(tiny, ["run_cap=1", f"notify.url={hook}", f"search.storage={storage}"])
    run_sweep(spec, home=home, debug=True)
    resume_sweep("tiny", home=home, run_cap=2, debug=True)
    holding = {file.name for file in home.rglob("*") if file.is_file() and b"pw-" in file.read_bytes()}
    assert holding == {"notify-url", "storage-url"}
    again, text = stored_sweep("tiny", resolve_home(home))
    assert "pw-" not in text
    assert again.notify is not None
    assert (again.notify.url, again.search.storage) == (hook, storage)


@pytest.mark.parametrize(
    "change",
    [
        "search.storage=postgres://me:pw-study@host/db",
        "search={storage: 'postgres://me:pw study@host/db'}",
        "tracking={uri: 'ftp://me:pw-record@host'}",
        "tracking={adress: 'https://me:pw-record@host'}",
        "tracking.uri={'https://me:pw-record@host': 1}",
        "search=postgresql://me:pw-study@host/db",
    ],
)
def test_a_fault_shows_no_password(tiny: Path, change: str) -> None:
    with pytest.raises(SweepFileError) as told:
        load_sweep(tiny, [change])
    assert "pw" not in str(told.value)


def test_a_fault_of_the_file_shows_no_password(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("search: {seed: 1}", "search: {seed: 1, storage: 'postgres://me:pw@host/db'}"))
    with pytest.raises(SweepFileError, match=r"postgres://me:\*\*\*@host/db"):
        load_sweep(tiny)


def test_a_relative_database_is_the_same_from_everywhere(
    tiny: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the rule for data files: the current directory's, unless it lies only beside the sweep file."""
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    changes = ["run_cap=1", "search.storage=sqlite:///study.db", "tracking.uri=sqlite:///record.db"]
    run_sweep(tiny, overrides=changes, home=home, debug=True)
    logs = ("-wal", "-shm")  # of databases that are open
    made = sorted(path.name for path in (tmp_path / "here").iterdir() if not path.name.endswith(logs))
    assert made == [".record.db.making", "record.db", "study.db"]
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = resume_sweep("tiny", home=home, run_cap=2, debug=True)
    assert len(result.trials) == 2
    assert load_sweeps(tracking_uri=f"sqlite:///{tmp_path / 'here' / 'record.db'}")["trials"].tolist() == [2]
    assert list((tmp_path / "elsewhere").iterdir()) == []

    (tmp_path / "beside.db").touch()
    spec = load_sweep(tiny, ["search.storage=sqlite:///beside.db"])
    assert spec.search.storage == f"sqlite:///{tmp_path / 'beside.db'}"


def test_the_environment_names_a_database_of_the_current_directory(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    assert resolve_home(home).tracking_uri == f"sqlite:///{tmp_path / 'mine.db'}"


def test_a_sweep_of_the_homes_own_record_stays_in_it(tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says when it is gone on with."""
    run_sweep(tiny, overrides=["run_cap=1"], home=home, debug=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'stray.db'}")
    where = resolve_home(home)
    assert tracking_uri_of("tiny", where) == where.own_tracking_uri
    resume_sweep("tiny", home=home, run_cap=2, debug=True)
    assert not (home / "stray.db").exists()
