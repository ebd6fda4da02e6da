"""The tree of a config class, walked by its annotations: which names exist where, whatever families there are.

A *family* is a union of configs told apart by ``kind``; which fields exist below it depends on the kind that is chosen.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from orchestration.spec.faults import Path
from vae_core.configurable import Config

ConfigClass = type[Config]


def members(annotation: Any) -> tuple[ConfigClass, ...]:
    """The config classes that an annotation allows: none for a plain value, several for a family."""
    return tuple(part for part in _alternatives(annotation) if isinstance(part, type) and issubclass(part, Config))


def kind_of(member: ConfigClass, key: str = "kind") -> str | None:
    """The name by which a family tells this member; None outside families."""
    field = member.model_fields.get(key)
    if field is None:
        return None
    return str(get_args(field.annotation)[0])


def kinds(classes: Sequence[ConfigClass], key: str = "kind") -> list[str]:
    """The names of a family's members."""
    return [kind for kind in (kind_of(member, key) for member in classes) if kind is not None]


def chosen(classes: Sequence[ConfigClass], node: Any) -> tuple[ConfigClass, ...]:
    """Those that the ``kind`` written in ``node`` leaves: all where it says none, or none of theirs."""
    kind = node.get("kind") if isinstance(node, dict) else None
    return tuple(member for member in classes if kind is not None and kind_of(member) == kind) or tuple(classes)


def classes_at(root: ConfigClass, tree: Any, path: Path) -> tuple[ConfigClass, ...]:
    """The classes that the config at ``path`` of a plain ``tree`` may be of; empty where there is none."""
    annotations: list[Any] = [root]
    for part in path:
        inner = [field.annotation for member in _chosen_at(annotations, tree) if (field := member.model_fields.get(str(part)))]
        inner += [get_args(alternative)[1] for alternative in _all(annotations) if get_origin(alternative) is dict]
        annotations = inner
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tuple(dict.fromkeys(member for annotation in annotations for member in members(annotation)))


def field_members(member: ConfigClass, name: str) -> tuple[ConfigClass, ...]:
    """The config classes that one field of a config takes."""
    field = member.model_fields.get(name)
    return () if field is None else members(field.annotation)


def field_names(classes: Sequence[ConfigClass]) -> list[str]:
    """The fields of any of them, each once."""
    return list(dict.fromkeys(field.alias or name for member in classes for name, field in member.model_fields.items()))


def dotted_names(root: ConfigClass, prefix: str = "") -> Iterator[str]:
    """Every dotted name below ``root``, of whatever kind; some more than once, where members share it."""
    for name in root.model_fields:
        yield f"{prefix}{name}"
        for member in field_members(root, name):
            yield from dotted_names(member, f"{prefix}{name}.")


def with_default_kinds(classes: Sequence[ConfigClass], tree: dict[str, Any]) -> dict[str, Any]:
    """Writes the default's kind where a tree sets a field of a family without saying which member: Adam for ``optimizer.lr``."""
    completed = dict(tree)
    for name, node in tree.items():
        fields = [member.model_fields[name] for member in chosen(classes, tree) if name in member.model_fields]
        if not isinstance(node, dict) or not fields:
            continue
        family = members(fields[0].annotation)
        default = fields[0].default
        if len(family) > 1 and "kind" not in node and isinstance(default, Config):
            node = {"kind": kind_of(type(default)), **node}
        completed[name] = with_default_kinds(family, node)
    return completed


def _chosen_at(annotations: Sequence[Any], node: Any) -> tuple[ConfigClass, ...]:
    return chosen([member for annotation in annotations for member in members(annotation)], node)


def _all(annotations: Sequence[Any]) -> Iterator[Any]:
    for annotation in annotations:
        yield from _alternatives(annotation)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The parts of a union, however deep, without what annotates them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for argument in get_args(annotation):
            yield from _alternatives(argument)
    else:
        yield annotation
