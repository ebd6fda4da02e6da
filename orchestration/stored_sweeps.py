"""The sweeps of a home: which there are, and what was asked of them."""

from __future__ import annotations

from dashboards.home import Home, sqlite_file
from orchestration.errors import LaunchError
from orchestration.hidden import public, whole
from orchestration.spec import SweepSpec, parse_sweep, spec_text
from orchestration.stored import stored_names, stored_text


def stored_sweep(name: str, where: Home) -> tuple[SweepSpec, str]:
    """A sweep of the home as it was started, and its text.

    Raises:
        LaunchError: there is no such sweep; with those that there are.
    """
    text = _stored_text(name, where)
    if text is None:
        known = ", ".join(_known(where)) or "none"
        raise LaunchError(f"there is no sweep {name!r} in {where.root}; there are: {known}")
    return whole(parse_sweep(text, origin=str(where.sweep_file(name))), where), text


def is_stored(name: str, where: Home) -> bool:
    """Whether the home knows a sweep of this name."""
    return _stored_text(name, where) is not None


def require_new_name(spec: SweepSpec, where: Home) -> None:
    """Raises ``LaunchError`` where the home, or the sweep's storage, has a sweep of this name."""
    name, url = spec.name, spec.search.storage or where.optuna_url
    stored = _stored_text(name, where)
    if stored is None and _is_there(url):
        stored = stored_text(url, name)
    if stored is None:
        return
    resume = where.command(f"resume {name}")
    if stored == spec_text(public(spec)):
        raise LaunchError(
            f"the sweep {name!r} is already in {where.root}: go on with it by `{resume}`, or "
            f"run it again under another name with --name"
        )
    raise LaunchError(
        f"the name {name!r} is used in {where.root} by a different sweep file, or by this one with other settings:"
        f" give it another with --name, or go on with the other by `{resume}`"
    )


def _known(where: Home) -> list[str]:
    return stored_names(where.optuna_url) if _is_there(where.optuna_url) else []


def _stored_text(name: str, where: Home) -> str | None:
    url = where.study_url(name)
    return stored_text(url, name) if _is_there(url) else None


def _is_there(url: str) -> bool:
    """Looking must not create a database."""
    file = sqlite_file(url)
    return file is None or file.exists()
