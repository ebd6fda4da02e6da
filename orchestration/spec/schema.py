"""The JSON Schema of the sweep file, for editors: made from the same classes that check it."""

from __future__ import annotations

import json
from typing import Any

from orchestration.spec.config_tree import ConfigClass, kind_of, members
from orchestration.spec.parameters import Fixed, Range, Values, Variants
from orchestration.spec.sections import SweepSpec
from vae_core.config import TrialConfig

Schema = dict[str, Any]
_LEAF: Schema = {"anyOf": [{"$ref": f"#/$defs/{form.__name__}"} for form in (Fixed, Values, Range)]}


def json_schema() -> Schema:
    """The schema of a whole sweep file (draft 2020-12).

    ``trial`` is the tree of ``TrialConfig`` with nothing required, since parameters may bring the rest; ``parameters`` knows
    every dotted name, and below ``choices`` the members of the family and their fields.
    """
    schema = SweepSpec.model_json_schema()
    definitions = schema.pop("$defs")
    del definitions["Choices"]
    trial = json.loads(json.dumps(TrialConfig.model_json_schema()).replace("#/$defs/", "#/$defs/trial."))
    trial = _partial(trial)
    definitions |= {f"trial.{name}": definition for name, definition in trial.pop("$defs").items()}
    definitions["trial"] = trial
    _add_parameters(definitions, TrialConfig)
    properties = schema["properties"]
    properties["trial"] = {"$ref": "#/$defs/trial", "description": properties["trial"]["description"]}
    description = properties["parameters"]["description"]
    properties["parameters"] = {"$ref": f"#/$defs/{_name(TrialConfig)}", "minProperties": 1, "description": description}
    schema["required"].remove("run_cap")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "A sweep file of vae-sweeps",
        "if": {"properties": {"method": {"const": "grid"}}, "required": ["method"]},
        "else": {"required": ["run_cap"]},
        "$defs": definitions,
    }


def _partial(node: Any) -> Any:
    """A schema that takes part of a config: nothing required, and a member of a family before its kind is said."""
    if isinstance(node, list):
        return [_partial(item) for item in node]
    if not isinstance(node, dict):
        return node
    partial = {key: _partial(value) for key, value in node.items() if not _is_keyword(key, value)}
    if "oneOf" in partial:
        partial["anyOf"] = partial.pop("oneOf")
    return partial


def _is_keyword(key: str, value: Any) -> bool:
    """Whether this demands a key or a kind; a property that happens to be called so has a mapping for its schema."""
    return (key == "required" and isinstance(value, list)) or (key == "discriminator" and "propertyName" in value)


def _add_parameters(definitions: Schema, member: ConfigClass) -> None:
    """Defines the parameters below one config class, by their dotted names, and those of the families below it."""
    if _name(member) in definitions:
        return
    properties: Schema = {}
    variants = {"$ref": f"#/$defs/{Variants.__name__}"}  # under a name of their own
    definitions[_name(member)] = {"type": "object", "properties": properties, "additionalProperties": variants}
    _add_fields(definitions, properties, member, "")


def _add_fields(definitions: Schema, properties: Schema, member: ConfigClass, prefix: str) -> None:
    for name, field in member.model_fields.items():
        full = f"{prefix}{name}"
        family = members(field.annotation)
        described = {"description": field.description} if field.description else {}
        if not family:
            properties.setdefault(full, {**described, **_LEAF})
            continue
        options = {kind: option for option in family if (kind := kind_of(option)) is not None}
        for option in options.values():
            _add_parameters(definitions, option)
        if options:
            optional = field.default is None
            properties[full] = {**described, **({"anyOf": [_choice(options), *_LEAF["anyOf"]]} if optional else _choice(options))}
        for option in family:
            _add_fields(definitions, properties, option, f"{full}.")


def _choice(options: dict[str, ConfigClass]) -> Schema:
    choices = {
        "type": "object",
        "properties": {kind: {"$ref": f"#/$defs/{_name(option)}"} for kind, option in options.items()},
        "minProperties": 1,
        "additionalProperties": False,
    }
    return {"type": "object", "properties": {"choices": choices}, "required": ["choices"], "additionalProperties": False}


def _name(member: ConfigClass) -> str:
    """A class from outside has its module before its name, which one of ours may have too."""
    module = "" if member.__module__.startswith(("vae_core.", "orchestration.")) else f"{member.__module__}."
    return f"parameters.{module}{member.__name__}"
