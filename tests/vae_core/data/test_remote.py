"""Data by address: fetched once a machine from a real server, whole or not at all, and the same data as those of the file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from orchestration.cluster import look
from orchestration.spec.load import load_sweep
from tests.conftest import TINY
from vae_core.data import remote
from vae_core.data.config import Npz
from vae_core.data.errors import DataError
from vae_core.data.remote import cache
from vae_core.data.text_config import Csv, Parquet, TextFile

TEXT = "".join(f"the cat number {number} sat there\n" for number in range(40))


class Server:
    """Serves a directory and counts what was asked for."""

    def __init__(self, directory: Path) -> None:
        asked: list[str] = []

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                if len(asked) <= server.away:
                    self.send_error(503)
                    return
                if self.path.startswith("/torn/"):  # ends before all that was promised has come
                    self.send_response(200)
                    self.send_header("Content-Length", "5000")
                    self.end_headers()
                    self.wfile.write(b"the cat sat\n")
                else:
                    super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.asked = asked
        self.away = 0
        """How often it says that it is overloaded."""
        server = self
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory)))
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(remote, "PAUSES_S", (0.01, 0.01, 0.01))
    (tmp_path / "train.txt").write_text(TEXT)
    (tmp_path / "rows.csv").write_text("text\n" + TEXT)
    np.savez(tmp_path / "images.npz", x_train=np.eye(30, 16, dtype=bool).reshape(30, 4, 4), x_test=np.ones((5, 4, 4), bool))
    server = Server(tmp_path)
    yield server
    server.close()


def test_they_are_the_data_of_the_file_and_fetched_once(server: Server, tmp_path: Path) -> None:
    there, here = (TextFile(train=f"{base}/train.txt") for base in (server.address, tmp_path))
    assert there.load().fingerprint == here.load().fingerprint == there.load().fingerprint
    assert server.asked == ["/train.txt"]
    assert there.load().name.endswith("train.txt")
    csv, npz = Csv(train=f"{server.address}/rows.csv"), Npz(path=f"{server.address}/images.npz", pixels="static")
    assert csv.load().fingerprint == Csv(train=str(tmp_path / "rows.csv")).load().fingerprint
    assert npz.load().fingerprint == Npz(path=str(tmp_path / "images.npz"), pixels="static").load().fingerprint
    server.close()
    assert there.load().fingerprint == here.load().fingerprint


@pytest.mark.parametrize(
    ("path", "message"),
    [("none.txt", "data.train: http://.*none.txt cannot be fetched: HTTP Error 404"), ("torn/a.txt", "12 bytes of 5000 came")],
)
def test_what_does_not_come_whole_is_told_and_leaves_nothing(path: str, message: str, server: Server) -> None:
    for _ in range(2):
        with pytest.raises(DataError, match=message):
            TextFile(train=f"{server.address}/{path}").load()
    assert [file for file in cache().rglob("*") if file.is_file()] == []


def test_a_server_that_is_briefly_away_is_asked_again(server: Server) -> None:
    server.away = 3
    assert TextFile(train=f"{server.address}/train.txt").load().name.endswith("train.txt")
    assert server.asked == ["/train.txt"] * 4
    with pytest.raises(DataError, match="404"):
        TextFile(train=f"{server.address}/none.txt").load()
    assert server.asked[4:] == ["/none.txt"], "that would be answered the same"


@pytest.mark.parametrize("path", ["..", "a/..", "x" * 300 + ".txt", "a.b%2Fc"])
def test_no_name_leads_out_of_the_cache(path: str, server: Server) -> None:
    with suppress(DataError):  # nor is it a crash; of a directory this server sends a list
        TextFile(train=f"{server.address}/{path}").load()
    assert {file.name for file in cache().rglob("*") if file.is_file()} <= {"data"}


def test_a_cache_that_cannot_be_is_told(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"data\.train: http://.* cannot be fetched: .*Not a directory"):
        TextFile(train=f"{server.address}/train.txt").load()


def test_nobody_there_is_told(server: Server) -> None:
    server.close()
    with pytest.raises(DataError, match=r"data\.train: http://.* cannot be fetched: .*refused"):
        TextFile(train=f"{server.address}/train.txt").load()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("file:///etc/passwd", "begins with http:// or https://"),
        ("s3://bucket/train.txt", "begins with http:// or https://"),
        ("http:///train.txt", "and a host"),
        ("https://me:secret@host/train.txt", "no user name and no password"),
        ("http://[::1/a", "is no address"),
        ("https://host/train.txt?token=abc", "nothing secret in it, such as its token="),
        ("https://b.s3.example/t.csv?X-Amz-Date=1&X-Amz-Signature=abc", "such as its X-Amz-Signature="),
        ("https://host/t.csv?sv=1&sig=abc", "such as its sig="),
    ],
)
def test_what_is_no_address_to_fetch_is_refused(address: str, message: str) -> None:
    for config in (TextFile, Parquet):
        with pytest.raises(ValidationError, match=message):
            config(train=address)


def test_a_sweep_names_an_address_and_checking_it_fetches_nothing(server: Server, tmp_path: Path) -> None:
    address = f"{server.address}/train.txt"
    assert "data: {kind: digits}" in TINY
    text = TINY.replace("data: {kind: digits}", f"data: {{kind: text_file, train: '{address}'}}")
    text = text.replace("kind: mlp", "kind: lstm").replace("hidden: [32]", "hidden: 32")
    (tmp_path / "sweep.yaml").write_text(text)
    assert load_sweep(tmp_path / "sweep.yaml").trial["data"]["train"] == address
    assert server.asked == []


def test_a_machine_fetches_them_itself_and_says_which_they_are(server: Server, tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    there, here, none = f"{server.address}/train.txt", str(tmp_path / "train.txt"), f"{server.address}/none.txt"
    sight = look(str(tmp_path), "mark", [there, here, none])
    assert sight.files[there] == sight.files[here] != ""
    assert sight.files[none] == ""
