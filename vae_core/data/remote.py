"""Data files that are named by an address: fetched once a machine, and read from there."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vae_core.data.errors import DataError

TIMEOUT_S = 60.0
"""Without a byte from the server."""
_SCHEMES = ("http", "https")


def is_address(name: str) -> bool:
    """Whether a name is that of something on the web, and not of a file."""
    return urlsplit(name).scheme in _SCHEMES if "://" in name else False


def check_address(name: str) -> str:
    """The name of a file, or an address that can be fetched.

    Raises:
        ValueError: it is an address of another kind, or has a password in it.
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
    return name


def fetched(field: str, address: str) -> Path:
    """Where a copy of it lies on this machine; it is fetched where none does, whole or not at all.

    Args:
        field: where the user gave it, such as ``data.train``.
        address: see ``check_address``.

    Raises:
        DataError: it cannot be fetched, or not whole.
    """
    import http.client
    import shutil
    import tempfile
    import urllib.request

    directory = cache() / hashlib.sha256(address.encode()).hexdigest()[:16]
    path = directory / (Path(unquote(urlsplit(address).path)).name or "data")
    if path.exists():
        return path
    directory.mkdir(parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=directory, prefix=".part-")  # others may fetch it too
    try:
        with os.fdopen(number, "wb") as file, urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
            shutil.copyfileobj(answer, file)
            promised, got = answer.headers.get("Content-Length"), file.tell()
        if promised is not None and got != int(promised):
            raise DataError(f"{field}: {address}: {got} bytes of {promised} came; try again")
        Path(temporary).replace(path)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{field}: {address} cannot be fetched: {error}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def cache() -> Path:
    """Where copies are kept: ``vae-sweeps`` in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vae-sweeps" / "data"
