"""Data files that are named by an address: fetched once a machine, and read from there."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from vae_core.data.errors import DataError

TIMEOUT_S = 60.0
"""Without a byte from the server."""
PAUSES_S = (1.0, 3.0, 9.0)
"""Before a server is asked again that is away."""
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be another in a moment."""
_SCHEMES = ("http", "https")
_SECRET = re.compile(r"pass|pwd|secret|token|signature|credential|auth|access_?key|api_?key|^(?:sig|key)$", re.IGNORECASE)
"""Settings behind the ``?`` that are or hold a password."""


def is_address(name: str) -> bool:
    """Whether a name is that of something on the web, and not of a file."""
    return urlsplit(name).scheme in _SCHEMES if "://" in name else False


def check_address(name: str) -> str:
    """The name of a file, or an address that can be fetched.

    Raises:
        ValueError: it is an address of another kind, or has a password or a key in it.
    """
    if "://" not in name:
        return name
    try:
        parts = urlsplit(name)
    except ValueError as error:
        raise ValueError(f"is no address: {error}") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("an address begins with http:// or https:// and a host; anything else is a file's path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an address stands in every record: no user name and no password in it")
    secret = next((key for key, _ in parse_qsl(parts.query, keep_blank_values=True) if _SECRET.search(key)), None)
    if secret is not None:
        raise ValueError(f"an address stands in every record: nothing secret in it, such as its {secret}=; name a file instead")
    return name


def fetched(field: str, address: str) -> Path:
    """Where a copy of it lies on this machine; it is fetched where none does, whole or not at all.

    A server that is briefly away is asked again.

    Args:
        field: where the user gave it, such as ``data.train``.
        address: see ``check_address``.

    Raises:
        DataError: it cannot be fetched, or not whole.
    """
    import http.client

    for pause_s in (*PAUSES_S, None):
        try:
            path = cache() / hashlib.sha256(address.encode()).hexdigest()[:16] / _file_name(address)
            if not path.is_file():
                _fetch(address, path)
            return path
        except (OSError, ValueError, RuntimeError, http.client.HTTPException) as error:
            if pause_s is None or not _passes(error):
                raise DataError(f"{field}: {address} cannot be fetched: {error}") from error
            time.sleep(pause_s)
    raise AssertionError("the last attempt returns or raises")


def _fetch(address: str, path: Path) -> None:
    import http.client
    import shutil
    import tempfile
    import urllib.request

    path.parent.mkdir(parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")  # others may fetch it too
    try:
        with os.fdopen(number, "wb") as file, urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
            shutil.copyfileobj(answer, file)
            promised, got = answer.headers.get("Content-Length"), file.tell()
        if promised is not None and got != int(promised):
            raise http.client.HTTPException(f"{got} bytes of {promised} came")
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _passes(error: Exception) -> bool:
    """Whether the same may succeed in a moment: the server is overloaded or restarts, or the way to it is cut."""
    import http.client
    import socket
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        return error.code in _AGAIN
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, socket.gaierror):
        return cause.errno == socket.EAI_AGAIN
    return isinstance(cause, (ConnectionError, TimeoutError, http.client.HTTPException))


def _file_name(address: str) -> str:
    """Of the address only the end that says what is in the file: the rest can be too long, or lead astray."""
    suffix = Path(unquote(urlsplit(address).path)).suffix
    return f"data{suffix}" if re.fullmatch(r"\.\w{1,10}", suffix, re.ASCII) else "data"


def cache() -> Path:
    """Where copies are kept: ``vae-sweeps`` in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vae-sweeps" / "data"
