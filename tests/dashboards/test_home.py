from __future__ import annotations

from pathlib import Path

import pytest

from dashboards import HomeError, resolve_home


def test_default_is_in_the_working_directory_and_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = resolve_home()
    assert home.root == tmp_path / "vae-sweeps-home"
    assert home.tracking_uri == f"sqlite:///{tmp_path}/vae-sweeps-home/mlflow.db"
    assert home.optuna_url == f"sqlite:///{tmp_path}/vae-sweeps-home/optuna.db"
    assert home.artifact_root == tmp_path / "vae-sweeps-home/artifacts"
    assert home.trial_dir("s", 7) == tmp_path / "vae-sweeps-home/trials/s/0007"
    assert home.sweep_file("s").parent == home.trial_dir("s", 7).parent
    assert list(tmp_path.iterdir()) == []


def test_what_is_named_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAE_SWEEPS_HOME", str(tmp_path / "env"))
    assert resolve_home().root == tmp_path / "env"
    assert resolve_home(tmp_path / "named").root == tmp_path / "named"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    home = resolve_home(tmp_path / "named")
    assert (home.root, home.tracking_uri) == (tmp_path / "named", "http://server:5000")
    assert resolve_home(tracking_uri="http://other:1").tracking_uri == "http://other:1"


def test_empty_variables_count_as_unset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAE_SWEEPS_HOME", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert resolve_home().tracking_uri == f"sqlite:///{tmp_path}/vae-sweeps-home/mlflow.db"


def test_tilde_is_the_users_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_home("~/sweeps").root == tmp_path / "sweeps"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "a\0b"])
def test_a_name_cannot_leave_the_home(name: str, tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="cannot name a sweep"):
        resolve_home(tmp_path).trial_dir(name, 0)


@pytest.mark.parametrize("mark", ["?", "%"])
def test_a_path_that_no_sqlite_url_can_hold_is_refused(mark: str, tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="another directory"):
        resolve_home(tmp_path / f"a{mark}20b")


@pytest.mark.parametrize("name", ["a b", "a#b", "é", "a&b=c", "a+b", "a;b", "a@b", "a:b"])
def test_other_paths_come_through_the_url_unchanged(name: str, tmp_path: Path) -> None:
    from sqlalchemy import make_url

    home = resolve_home(tmp_path / name)
    assert make_url(home.tracking_uri).database == str(tmp_path / name / "mlflow.db")
