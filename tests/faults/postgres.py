"""A real PostgreSQL server for tests, and a wire to it that can be cut at the worst moment."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Postgres:
    """A PostgreSQL server of the test's own, on a free port, run by an unprivileged user (it refuses to be root's)."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._binaries, self._data, self._log = binaries, directory / "data", directory / "log"
        directory.mkdir()
        self._user = None
        self.locales = directory / "locales"
        """Beside those of the machine."""
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)
            self._user = nobody.pw_uid
        self._call("initdb", "-D", self._data, "-U", "sweeps", "--auth=trust", "--no-sync", "-E", "UTF8")
        self.url = f"postgresql+psycopg://sweeps@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self._call("pg_ctl", "start", "-w", "-D", self._data, "-l", self._log, "-o", options)

    def stop(self, mode: str = "fast") -> None:
        self._call("pg_ctl", "stop", "-D", self._data, "-m", mode)

    def close(self) -> None:
        """Also of one that is stopped."""
        command = [self._binaries / "pg_ctl", "stop", "-D", self._data, "-m", "immediate"]
        subprocess.run(command, user=self._user, cwd="/", capture_output=True)

    def say(self, *statements: str) -> None:
        """What its superuser does."""
        import sqlalchemy

        engine = sqlalchemy.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sqlalchemy.text(statement))

    def require_password(self, role: str) -> None:
        """From now on whoever comes as this role has to give its password."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self.say("SELECT pg_reload_conf()")

    def speak(self, language: str) -> None:
        """From now on its messages are in this language, such as ``de_DE``; skips the test where they are not installed."""
        self.locales.mkdir()
        place = self.locales / f"{language}.UTF-8"
        done = subprocess.run(["localedef", "-i", language, "-f", "UTF-8", place], capture_output=True)
        translated = next(Path("/usr/share/locale").glob(f"{language.partition('_')[0]}/LC_MESSAGES/postgres-*.mo"), None)
        if done.returncode != 0 or translated is None:
            pytest.skip(f"PostgreSQL's messages in {language} are not installed here")
        self.stop()
        self.start()
        self.say(f"ALTER SYSTEM SET lc_messages = '{language}.UTF-8'", "SELECT pg_reload_conf()")

    def _call(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            user=self._user,
            cwd="/",
            env={**os.environ, "LOCPATH": str(self.locales)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Skips the test where PostgreSQL is not installed."""
    binaries = next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    found = shutil.which("initdb")
    binaries = Path(found).parent if found else binaries
    if binaries is None:
        pytest.skip("PostgreSQL's initdb is not installed here")
    pytest.importorskip("psycopg", reason="the extra 'postgres' is not installed")
    scratch = Path("/tmp") / f"vae-sweeps-postgres-{os.getpid()}"  # pytest's own directory is closed to other users
    server = Postgres(binaries, scratch)
    server.start()
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(scratch, ignore_errors=True)


class Wire:
    """A way to a server on this machine that loses answers: a transaction is committed, and whoever asked for it never hears.

    Args:
        port: the server's.
        share: of the commits whose answer is lost.
        seed: of the draw which.
    """

    def __init__(self, port: int, share: float, seed: int) -> None:
        self._server = port
        self.share = share
        self._draw = random.Random(seed)
        self.cuts = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """PostgreSQL's protocol is one question, one answer: whoever has spoken waits."""
        server = socket.create_connection(("127.0.0.1", self._server))
        lost = threading.Event()

        def answers() -> None:
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    if lost.is_set():  # it has been carried out, or it would not be answered
                        break
                    client.sendall(data)
            _hang_up(client, server)

        threading.Thread(target=answers, daemon=True).start()
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT" in data and self._draw.random() < self.share:
                    self.cuts += 1
                    lost.set()
                server.sendall(data)
        _hang_up(client, server)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
