"""Commented sweep files to start from; they lie beside this file and travel with the package."""

from __future__ import annotations

import re
from importlib.resources import files

from orchestration.spec.sections import NAME

TEMPLATES = ("text", "image")


def template_text(template: str, name: str = "") -> str:
    """The starter sweep of that kind, called ``name`` where that can name a sweep, else as the template is.

    Raises:
        ValueError: there is none; lists those there are.
    """
    if template not in TEMPLATES:
        raise ValueError(f"no template {template!r}; there are: {', '.join(TEMPLATES)}")
    text = files(__package__).joinpath(f"{template}.yaml").read_text(encoding="utf-8")
    if not re.fullmatch(NAME, name):
        return text
    return re.sub(r"^name: \S+", f"name: {name}", text, count=1, flags=re.MULTILINE)
