"""Webhooks: told by a real server what it was sent; one that fails, hangs or is not there changes nothing of the sweep."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from orchestration import load_sweep, run_sweep
from orchestration import notify as notify_module
from orchestration.spec import SweepFileError
from tests.conftest import comparable


@contextmanager
def webhook(answer: int, location: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers every story so; its address, and the stories."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer)
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def do_GET(self) -> None:
            told.append({"event": "redirected"})

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", told
        finally:
            server.shutdown()


def test_new_bests_and_the_end_are_told_in_order(tiny: Path, home: Path) -> None:
    with webhook(200) as (url, told):
        result = run_sweep(tiny, home=home, debug=True, overrides=[f"notify={{url: '{url}', on: [finished, failed, new_best]}}"])
    assert result.best is not None
    *news, last = told
    values = [story["best"]["value"] for story in news]
    assert {story["event"] for story in news} == {"new_best"}
    assert values == sorted(values, reverse=True)
    assert last["event"] == "finished"
    assert last["trials"] == 4
    assert last["ended_by"] == "run_cap"
    assert last["best"] == {"trial": result.best.number, "value": result.best.value, "parameters": result.best.assignment}


def test_a_failed_sweep_is_told_as_such(tiny: Path, home: Path) -> None:
    with webhook(204) as (url, told):
        changes = [f"notify.url={url}", "parameters.optimizer.lr={value: 1e+30}"]
        result = run_sweep(tiny, home=home, debug=True, overrides=changes)
    assert result.state == "FAILED"
    assert [(story["event"], story["best"]) for story in told] == [("failed", None)]


@pytest.mark.parametrize("kind", ["error", "redirect", "absent", "hangs"])
def test_its_failure_harms_nothing(
    tiny: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_module, "LAST_S", 1.0)
    with (
        webhook(302 if kind == "redirect" else 500, "/elsewhere" if kind == "redirect" else "") as (url, told),
        socket.socket() as deaf,
    ):
        deaf.bind(("127.0.0.1", 0))
        if kind == "hangs":
            deaf.listen()  # takes the connection, and says nothing ever
        if kind in ("absent", "hangs"):
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        began_s = time.monotonic()
        changes = [f"notify={{url: '{url}', on: [finished, failed, new_best]}}"]
        result = run_sweep(tiny, home=tmp_path / "told", debug=True, overrides=changes)
    assert result.state == "FINISHED"
    assert time.monotonic() - began_s < 60
    assert capsys.readouterr().err.count("the webhook of notify.url was not told") == 1
    assert "redirected" not in [story["event"] for story in told]
    run_sweep(tiny, home=tmp_path / "untold", debug=True)
    pd.testing.assert_frame_equal(
        comparable("tiny", tmp_path / "told"), comparable("tiny", tmp_path / "untold"), check_exact=True
    )


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "http://", "https://host:port/", "http://[::1", "//host/x", "http://a b/", "no"]
)
def test_only_the_web_is_told(tiny: Path, url: str) -> None:
    with pytest.raises(SweepFileError, match=r"notify\.url.*must be a web address"):
        load_sweep(tiny, [f"notify.url='{url}'"])
