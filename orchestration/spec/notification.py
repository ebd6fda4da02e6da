"""``notify``: who is told how a sweep goes."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from vae_core.configurable import Config

Event = Literal["finished", "failed", "new_best"]


def _web(url: str) -> str:
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        right = False
    if not right or any(char.isspace() or not char.isprintable() for char in url):
        raise ValueError("must be a web address: http://HOST/... or https://HOST/...")
    return url


class Notify(Config):
    """A webhook: JSON by POST. Whatever becomes of it, the sweep goes on."""

    url: Annotated[str, AfterValidator(_web)]
    """http:// or https://. What stands behind its host is kept where only the home's owner can read it."""
    on: Annotated[tuple[Event, ...], Field(min_length=1)] = ("finished", "failed")
    """What is told: the sweep has finished, has failed, has a new best trial."""
