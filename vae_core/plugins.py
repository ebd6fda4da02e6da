"""Members of a family from outside the package, named by the entry points of what is installed; free of torch.

A distribution says ``[project.entry-points."vae_sweeps.schedules"] mine = "my_package.mine:Staircase"``, and the class joins the
family's table as if it stood there. How to write one: docs/adding.md.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Field

from vae_core.configurable import Config

PREFIX = "vae_sweeps."
GROUPS = (
    "schedules",
    "softmaxes",
    "objectives",
    "procedures",
    "encoders",
    "decoders",
    "word_vectors",
    "latents",
    "priors",
    "data",
)
"""What may follow the prefix: the families that can be extended."""
_ALONE = "a module that an entry point names imports of vae_core only where its family's base is, and vae_core.configurable"


class PluginError(ValueError):
    """An entry point gives no member of its family; the message names the distribution, the group and the reason."""


def extended(table: Any, base: type[Config] | tuple[type[Config], ...], group: str) -> Any:
    """A family's table with the classes that entry points add to it, in order of distribution and name.

    Args:
        table: ``Annotated[A | B, ...]``, the members told apart by ``kind``.
        base: what each member is a subclass of.
        group: one of ``GROUPS``.

    Raises:
        PluginError: an entry point cannot be imported, is no such subclass, or has a ``kind`` that is none or is taken.
    """
    assert group in GROUPS, group
    union = get_args(table)[0]
    members = list(get_args(union) or (union,))
    taken = {_kind(member): "vae-sweeps" for member in members}
    bases = base if isinstance(base, tuple) else (base,)
    points = [point for point in _entry_points() if point.group == PREFIX + group]
    for point in points:
        member = _load(point)
        if early := _holders(table, {parent.__module__ for parent in bases}):
            raise PluginError(f"{_said(point)} imports {early[0]}, which needs the whole family; {_ALONE}")
        if not (isinstance(member, type) and issubclass(member, bases)):
            names = " or ".join(f"{parent.__module__}.{parent.__name__}" for parent in bases)
            raise PluginError(f"{_said(point)} is no subclass of {names}")
        kind = _kind(member)
        if kind is None:
            raise PluginError(f'{_said(point)} has no field that names it: kind: Literal["{point.name}"] = "{point.name}"')
        if kind in taken:
            raise PluginError(f"{_said(point)} has kind: {kind}, which is taken by {taken[kind]}; choose another")
        taken[kind] = _distribution(point)
        members.append(member)
    return Annotated[Union[tuple(members)], Field(discriminator="kind")] if points else table  # noqa: UP007  # made at run time


def installed() -> dict[str, str]:
    """The distributions that add to any family, by name, and their versions: a trial's record has them."""
    distributions = (point.dist for point in _entry_points())
    return {found.name: found.version for found in distributions if found is not None}


@functools.cache
def _entry_points() -> tuple[EntryPoint, ...]:
    """Those of every family: what is installed is looked through once.

    Raises:
        PluginError: one is for a family that there is not.
    """
    every = importlib.metadata.entry_points()
    found = [point for group in every.groups if group.startswith(PREFIX) for point in every.select(group=group)]
    for point in found:
        if point.group.removeprefix(PREFIX) not in GROUPS:
            raise PluginError(f"{_said(point)}: there is no such group, but {', '.join(PREFIX + group for group in GROUPS)}")
    return tuple(sorted(found, key=lambda point: (_distribution(point), point.name)))


def _load(point: EntryPoint) -> Any:
    module = sys.modules.get(point.module)
    if module is not None and getattr(module.__spec__, "_initializing", False):
        # Her module was imported first, and waits in its first lines for this one, which needs its class now. Imported afresh it
        # runs to its end, for what it wants of this package is there already; and as the import system takes a module from
        # sys.modules when its import ends, the fresh one is the one that everybody gets.
        del sys.modules[point.module]
    try:
        return point.load()
    except PluginError:
        raise
    except Exception as error:  # whatever the module of another does when it is imported
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        hint = f"; {_ALONE}" if isinstance(error, ImportError) and "partially initialized" in reason else ""
        raise PluginError(f"{_said(point)} cannot be imported: {reason}{hint}") from error


def _holders(table: Any, own: set[str]) -> list[str]:
    """Modules that took the table before it was whole, the family's own ones left out."""
    modules = [(name, module) for name, module in sys.modules.items() if name.startswith("vae_core.") and name not in own]
    return [name for name, module in modules if any(value is table for value in vars(module).values())]


def _kind(member: type[Config]) -> str | None:
    """The name by which the family tells a member: the one value of its field ``kind``, which is its default too."""
    field = member.model_fields.get("kind")
    if field is None or get_origin(field.annotation) is not Literal or get_args(field.annotation) != (field.default,):
        return None
    return str(field.default)


def _said(point: EntryPoint) -> str:
    return f"the entry point {point.name} = {point.value} in [{point.group}] of the distribution {_distribution(point)}"


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "(unnamed)"
