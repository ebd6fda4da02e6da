"""Commented sweep files to start from; they lie beside this file and travel with the package."""

from __future__ import annotations

from importlib.resources import files

TEMPLATES = ("text", "image")


def template_text(name: str) -> str:
    """The starter sweep of that name.

    Raises:
        ValueError: there is none; lists those there are.
    """
    if name not in TEMPLATES:
        raise ValueError(f"no template {name!r}; there are: {', '.join(TEMPLATES)}")
    return files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
