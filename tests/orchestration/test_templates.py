"""The starter sweeps."""

from __future__ import annotations

import pytest

from orchestration.spec import parse_sweep
from orchestration.templates import TEMPLATES, template_text


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_commented_sweep_that_loads(name: str) -> None:
    text = template_text(name)
    spec = parse_sweep(text, f"{name}.yaml", data_files=True)
    assert spec.question.endswith("?")
    assert name in spec.name
    assert sum("#" in line for line in text.splitlines()) >= 15


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_shows_in_comments_is_right_too(name: str) -> None:
    """The commented parameters of the text template, put in."""
    text = template_text(name)
    shown = "\n".join(line.replace("  # model.", "  model.", 1) for line in text.splitlines())
    if name == "text":
        assert shown != text
        shown = shown.replace("    latent: {kind: gaussian, size: 16}\n", "")
        assert {"model.latent.size", "model.softmax"} <= set(parse_sweep(shown).parameters)
    else:
        npz = text.replace("kind: digits  ", "kind: npz").replace("# path:", "path:").replace("# train:", "train:")
        assert parse_sweep(npz).trial["data"]["kind"] == "npz"


def test_an_unknown_template_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match="no template 'audio'; there are: text, image"):
        template_text("audio")


def test_a_template_takes_the_name_of_its_file() -> None:
    assert parse_sweep(template_text("text", name="mine")).name == "mine"
    assert parse_sweep(template_text("text", name="no name")).name == "my-text-sweep"
