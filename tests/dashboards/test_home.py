from __future__ import annotations

import re
from pathlib import Path

import pytest

from dashboards import HomeError, resolve_home
from dashboards.home import check_tracking_uri, without_password


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


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///relative.db",
        "sqlite:////absolute/a b.db",
        "sqlite+pysqlite:///a.db?timeout=5",
        "postgresql://u:p@h:5432/db",
        "postgresql+psycopg2:///db?host=/var/run",
        "postgresql://u:p#w/x@h/db",
        "mysql+pymysql://h/db",
        "mssql+pyodbc://dsn",
        "http://h",
        "http://127.0.0.1:5000/",
        "https://u:p@h:443/mlflow",
        "http://[::1]:5000",
    ],
)
def test_databases_and_servers_can_keep_records(uri: str) -> None:
    check_tracking_uri(uri)
    absolute = re.sub(r"^(sqlite[+\w]*:///)(?!/)", rf"\1{Path.cwd()}/", uri)
    assert resolve_home(tracking_uri=uri).tracking_uri == absolute


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "no records can be kept at '': wanted is sqlite:///FILE"),
        ("./mlruns", "no records can be kept at './mlruns': wanted is sqlite:///FILE"),
        ("databricks", "wanted is sqlite:///FILE, postgresql://"),
        ("databricks://profile", "wanted is sqlite:///FILE, postgresql://"),
        ("file:///tmp/mlruns", "no records can be kept at 'file:///tmp/mlruns'"),
        ("postgres://h/db", r"did you mean postgresql\?"),
        ("sqllite:///a.db", r"did you mean sqlite\?"),
        ("htp://h", r"did you mean http\?"),
        ("HTTP://h", "no records can be kept at"),
        (" http://h", "no records can be kept at"),
        ("server:5000", "no records can be kept at 'server:5000'"),
        ("http:/h", "no records can be kept at 'http:/h'"),
        ("http://", "does not say which server: wanted is http://HOST"),
        ("http:///path", "does not say which server"),
        ("https://:5000", "does not say which server: wanted is https://HOST"),
        ("http://h:port", "does not say which server"),
        ("http://h:99999", "does not say which server"),
        ("http://[::1", "does not say which server"),
        ("http+unix://h", "names no driver that there is by 'http[+]unix'"),
        ("mysql+://h/db", "names no driver that there is by 'mysql[+]'"),
        ("sqlite://a.db", "names no file: wanted is sqlite:///FILE, with three slashes"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///?mode=memory", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_what_cannot_keep_records_is_refused(uri: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HomeError, match=message):
        check_tracking_uri(uri)
    if not uri:
        return  # counts as unset
    with pytest.raises(HomeError, match=f"^[^M].*{message}|^{message}"):
        resolve_home(tracking_uri=uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(HomeError, match=f"^MLFLOW_TRACKING_URI in the environment: .*{message}"):
        resolve_home()
    assert resolve_home(tracking_uri="http://h").tracking_uri == "http://h"


@pytest.mark.parametrize(
    "uri",
    ["postgres://u:secret@h/db", "http+x://u:secret@h", "https://u:secret@:1", "postgres://h/db?user=u&password=secret"],
)
def test_a_refusal_shows_no_password(uri: str) -> None:
    with pytest.raises(HomeError, match=r"\*\*\*") as caught:
        check_tracking_uri(uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://u:secret@h:5432/db", "postgresql://u:***@h:5432/db"),
        ("postgresql://:secret@h/db", "postgresql://:***@h/db"),
        ("https://u:s/e?c#r:e@t@h/x", "https://u:***@h/x"),
        ("postgresql://u@h:5432/db", "postgresql://u@h:5432/db"),
        ("postgresql://h/db?user=u&password=secret", "postgresql://h/db?user=u&password=***"),
        ("postgresql://h/db?password=secret&user=u", "postgresql://h/db?password=***&user=u"),
        ("postgresql://h:5432/db?user=u&password=sec@ret", "postgresql://h:5432/db?user=u&password=***"),
        (
            "postgresql://u:secret@h/db?sslpassword=secret&sslmode=require",
            "postgresql://u:***@h/db?sslpassword=***&sslmode=require",
        ),
        ("mysql://h/db?p%61sswd=secret", "mysql://h/db?p%61sswd=***"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Dsecret", "mssql+pyodbc:///?odbc_connect=***"),
        ("http://h:5000/a:b", "http://h:5000/a:b"),
        ("sqlite:////home/a b/mlflow.db", "sqlite:////home/a b/mlflow.db"),
        ("sqlite:////home/a:b@c/mlflow.db", "sqlite:////home/a:b@c/mlflow.db"),
        ("no address at all", "no address at all"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_password(uri: str, shown: str) -> None:
    assert without_password(uri) == shown
    assert without_password(shown) == shown
