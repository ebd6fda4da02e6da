"""pydantic's verdict on a plain tree, said in the words of the sweep file."""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from orchestration.spec.config_tree import chosen, classes_at, dotted_names, field_names, kind_of, kinds
from orchestration.spec.faults import Path, listed, nearest_name
from vae_core.configurable import Config, Misfits

C = TypeVar("C", bound=Config)

MISFIT = "misfit"


class Problem(NamedTuple):
    """One fault of a plain tree, at the path of its value."""

    path: Path
    message: str
    nearest: str | None = None
    kind: str = ""
    """pydantic's name of it; ``MISFIT`` where parts, each right in itself, do not go together."""


def validate(root: type[C], tree: Any) -> tuple[C | None, list[Problem]]:
    """The config, or everything that is wrong with the tree."""
    try:
        return root.model_validate_json(json.dumps(tree)), []
    except ValidationError as error:
        return None, _merged(problem for details in error.errors() for problem in _problems(root, tree, details))


def _problems(root: type[Config], tree: Any, details: ErrorDetails) -> Iterator[Problem]:
    kind, context = details["type"], details.get("ctx", {})
    path = _data_path(tree, details["loc"], keep_last=kind == "missing")
    if kind == "extra_forbidden":
        yield _unknown_key(root, tree, path)
    elif kind == "missing":
        yield Problem(path, "missing, and required", kind=kind)
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        key = str(context["discriminator"]).strip("'")
        allowed = kinds(classes_at(root, tree, path), key) or re.findall(r"'([^']*)'", str(context.get("expected_tags", "")))
        written = str(context.get("tag", ""))
        verb = "must be one of" if written else "missing; one of"
        yield Problem((*path, key), f"{verb}: {', '.join(allowed)}", nearest_name(written, allowed) if written else None, kind)
    elif kind == "literal_error":
        allowed = re.findall(r"'([^']*)'", str(context["expected"]))
        nearest = nearest_name(str(details["input"]), allowed)
        yield Problem(path, f"must be {context['expected']}", nearest, kind)
    elif kind in ("value_error", "assertion_error"):
        error = context.get("error")
        message = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        for sentence in error.sentences if isinstance(error, Misfits) else (message,):
            yield Problem(path, sentence, kind=MISFIT)
    elif kind in ("too_short", "too_long"):
        few = kind == "too_short"
        limit = context["min_length" if few else "max_length"]
        if few and len(functools.reduce(operator.getitem, path, tree)) >= limit:
            return  # members that are wrong were not counted, and are told of themselves
        yield Problem(path, f"must hold at {'least' if few else 'most'} {limit}, and holds {context['actual_length']}", kind=kind)
    else:
        message = details["msg"].replace("Input should be", "must be").replace("an object", "a mapping (key: value)")
        yield Problem(path, message[:1].lower() + message[1:], kind=kind)


def _unknown_key(root: type[Config], tree: Any, path: Path) -> Problem:
    *above, name = path
    name = str(name)
    node = tree
    for part in above:
        node = node[part]
    family = classes_at(root, tree, tuple(above))
    allowed = field_names(chosen(family, node))
    elsewhere = [kind_of(member) for member in family if name in member.model_fields]
    owners = ", ".join(kind for kind in elsewhere if kind)
    if owners and isinstance(node, dict) and "kind" in node:
        return Problem(path, f"no field of kind {node['kind']}, but of: {owners}", kind="extra_forbidden")
    if name in allowed:  # of another form than the other keys show
        return Problem(path, "does not go with the other keys here", kind="extra_forbidden")
    nearest = nearest_name(name, allowed)
    if nearest is None:  # perhaps a right name in the wrong place, of which there may be several: the least deep
        places = [full for full in dotted_names(root) if full.rpartition(".")[2] == name]
        nearest = min(places, key=lambda full: full.count("."), default=None)
    return Problem(path, f"unknown key; known here: {listed(allowed)}" if allowed else "unknown key", nearest, "extra_forbidden")


def _data_path(tree: Any, location: tuple[int | str, ...], *, keep_last: bool) -> Path:
    """pydantic's location without the branches of unions, which are no keys of the tree."""
    path: list[str | int] = []
    node = tree
    for index, part in enumerate(location):
        inside = part in node if isinstance(node, dict) else isinstance(node, list) and isinstance(part, int) and part < len(node)
        if inside:
            node = node[part]
            path.append(part)
        elif keep_last and index == len(location) - 1:
            path.append(part)
    return tuple(path)


def _merged(problems: Iterator[Problem]) -> list[Problem]:
    """One problem where the branches of a union each refuse the same value."""
    merged: dict[Path, list[Problem]] = {}
    for problem in problems:
        merged.setdefault(problem.path, []).append(problem)
    result = []
    for same in merged.values():
        if all(problem.message.startswith("must be") for problem in same):
            messages = dict.fromkeys(problem.message.removeprefix("must be ") for problem in same)
            result.append(same[0]._replace(message="must be " + " or ".join(messages)))
        else:
            result += same
    return result
