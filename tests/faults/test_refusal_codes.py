"""What a real PostgreSQL says when it lets nobody in is known by its codes, in whatever language it says it."""

from __future__ import annotations

import contextlib
import time

import pytest
import sqlalchemy

from orchestration.refusals import refusal
from tests.faults.postgres import Postgres

pytestmark = pytest.mark.slow


def error_of(url: str, statement: str = "SELECT 1") -> Exception:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(statement))
    except sqlalchemy.exc.DBAPIError as error:
        return error
    raise AssertionError("it was let in")


def test_a_refusal_is_known_by_its_code(postgres: Postgres) -> None:
    """Where none of its words is English."""
    postgres.speak("de_DE")
    postgres.say("CREATE ROLE guest LOGIN PASSWORD 'right'", "CREATE ROLE locked NOLOGIN")
    postgres.require_password("guest")
    guest = postgres.url.replace("sweeps@", "guest:right@")
    for url, statement, says in (
        (postgres.url.replace("sweeps@", "nobody-here@"), "", "existiert nicht"),
        (postgres.url.replace("/postgres", "/nowhere"), "", "existiert nicht"),
        (postgres.url.replace("sweeps@", "locked@"), "", "keine Berechtigung zum Einloggen"),
        (postgres.url.replace("sweeps@", "guest:wrong@"), "", "Passwort-Authentifizierung"),
        (guest, "CREATE TABLE public.t ()", "keine Berechtigung"),
    ):
        told = refusal(error_of(url, statement))
        assert told is not None, url
        assert says in told


def test_what_passes_is_no_refusal(postgres: Postgres) -> None:
    """Too many others are connected; and nobody is there."""
    postgres.speak("de_DE")
    postgres.say("CREATE ROLE guest LOGIN CONNECTION LIMIT 1")
    guest = postgres.url.replace("sweeps@", "guest@")
    engine = sqlalchemy.create_engine(guest)
    with contextlib.closing(engine.connect()):
        assert refusal(error_of(guest)) is None
    engine.dispose()
    postgres.stop()
    began_s = time.monotonic()
    assert refusal(error_of(guest)) is None
    assert time.monotonic() - began_s < 5.0
