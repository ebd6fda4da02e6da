"""Reading a file that a user named, with messages that say what to do where it cannot be read."""

from __future__ import annotations

import codecs
import difflib
from pathlib import Path

from vae_core.data.errors import DataError
from vae_core.data.remote import fetched, is_address

_WIDE = ("utf-16", "utf-32")
"""Encodings in which a NUL byte is nothing odd."""


def existing_file(field: str, name: str) -> Path:
    """The path of a file that is there; of an address, that of its copy.

    Args:
        field: where the user gave it, such as ``data.train``.
        name: as given; ``~`` is the home, and a relative one starts at the working directory.

    Raises:
        DataError: nothing is there, or no file is.
    """
    if is_address(name):
        return fetched(field, name)
    path = Path(name).expanduser()
    if path.is_dir():
        raise DataError(f"{field}: {name} is a directory: name a file in it{_listed(path)}")
    if not path.exists():
        base = "" if path.is_absolute() else f" (looked from {Path.cwd()})"
        raise DataError(f"{field}: {name}: there is no such file{base}{_nearest(path)}")
    return path


def read_text(field: str, name: str, encoding: str) -> str:
    """The whole file, lines ended by ``\\n`` and without a byte order mark.

    Raises:
        DataError: the file is missing, empty, blank, binary, unreadable, or not in this encoding; with line and byte.
    """
    path = existing_file(field, name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{field}: {name} cannot be read: {error.strerror}") from error
    if not content:
        raise DataError(f"{field}: {name} is empty (0 bytes): give a file with text")
    nul = -1 if codecs.lookup(encoding).name.startswith(_WIDE) else content.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{field}: {name} is no text: byte {nul} is NUL; give a plain text file, unpacked,"
            " or say data.encoding: utf-16 if that is what it is"
        )
    text = _decoded(field, name, content, encoding).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text or text.isspace():
        raise DataError(f"{field}: {name} holds only blank lines: give a file with text")
    return text


def _decoded(field: str, name: str, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line_start = content.rfind(b"\n", 0, error.start) + 1
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{field}: {name}, line {line}, byte {error.start - line_start + 1} of it (byte {error.start} of the file):"
            f" 0x{content[error.start]:02x} is not {encoding} ({error.reason}); say data.encoding, such as latin-1 or cp1252,"
            " or convert the file"
        ) from error


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f"; nor is there a directory {path.parent}"
    near = difflib.get_close_matches(path.name, sorted(entry.name for entry in path.parent.iterdir()), n=1)
    return f"; did you mean {path.with_name(near[0])}?" if near else ""


def _listed(directory: Path) -> str:
    names = sorted(entry.name for entry in directory.iterdir() if entry.is_file())[:5]
    return f", such as {', '.join(names)}" if names else ""
