"""Databases and servers that will never let the sweep in: said at once, and what was done so far can be gone on with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest

from tests.conftest import TINY
from tests.faults.postgres import Postgres
from tests.faults.sweeps import assert_same, command, left_alone, start

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]

SWEEP = TINY.replace("epochs: 3", "epochs: 20").replace("run_cap: 4", "run_cap: 2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return left_alone(tmp_path_factory.mktemp("undisturbed"), SWEEP)


@pytest.mark.parametrize(
    ("user", "database", "why"),
    [
        ("sweeps", "nowhere", 'database "nowhere" does not exist'),
        ("nobody-here", "postgres", 'role "nobody-here" does not exist'),
        ("guest", "postgres", "permission denied for schema public"),
    ],
)
def test_a_study_that_cannot_be_kept_is_told_at_the_start(
    home: Path, tiny: Path, postgres: Postgres, user: str, database: str, why: str
) -> None:
    postgres.say("CREATE ROLE guest LOGIN")
    url = f"postgresql+psycopg://{user}@127.0.0.1:{postgres.port}/{database}"
    began_s = time.monotonic()
    code, output = command("run", tiny, "--home", home, "--debug", "--set", f"search.storage={url}")
    assert code == 2, output
    assert why in output
    assert "Traceback" not in output
    assert time.monotonic() - began_s < 30


def test_a_study_that_shuts_its_door_amid_a_sweep_ends_it_resumably(
    home: Path, tmp_path: Path, undisturbed: pd.DataFrame, postgres: Postgres
) -> None:
    postgres.say("CREATE ROLE guest LOGIN", "GRANT ALL ON SCHEMA public TO guest")
    (tmp_path / "tiny.yaml").write_text(SWEEP)
    url = postgres.url.replace("sweeps@", "guest@")
    process = start("run", tmp_path / "tiny.yaml", "--home", home, "--debug", "--set", f"search.storage={url}")
    deadline = time.monotonic() + 120
    while not (home / "trials" / "tiny" / "0000" / "state.previous.pt").exists():
        assert time.monotonic() < deadline, "no second epoch within two minutes"
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    postgres.say("ALTER ROLE guest NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "refuses: " in output
    assert 'role "guest" is not permitted to log in' in output
    assert "vae-sweeps resume tiny" in output
    assert "Traceback" not in output
    postgres.say("ALTER ROLE guest LOGIN")
    code, output = command("resume", "tiny", "--home", home, "--debug")
    assert code == 0, output
    assert_same(home, undisturbed)


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers whatever it is asked so; its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"You are not authenticated.")

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://me:secret@127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_lets_nobody_in_is_told_at_the_start(home: Path, tiny: Path, status: int) -> None:
    with answering(status) as url:
        code, output = command("run", tiny, "--home", home, "--debug", "--set", f"tracking.uri={url}")
    assert code == 2, output
    assert f"cannot keep the record in {url.replace('secret', '***')}: " in output
    assert str(status) in output
    assert "secret" not in output
    assert "Traceback" not in output
    assert not (home / "optuna.db").exists(), "nothing was begun"
