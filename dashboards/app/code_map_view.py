"""The latent space on a trial's page: its examples in the plane, and what the one that was clicked on decodes to."""

from __future__ import annotations

import io
import shlex
import zipfile
from typing import Any, get_args

import numpy as np
import streamlit as st

from dashboards.analyses.code_map import PROJECTIONS, CodeMap, Projection, project, read_code_map, widest
from dashboards.app import reading
from dashboards.app.decoding import DecodingError, decode
from dashboards.app.exhibits import enlarged
from dashboards.app.shown import small, words
from dashboards.figures import code_map
from dashboards.reports import lines_of

_DIALS = 6
"""Parts of a code that can be turned, those that vary most."""
_REACH = 3.0


@st.cache_data(max_entries=8, show_spinner=False)
def _read(held: bytes) -> CodeMap:
    return read_code_map(io.BytesIO(held))


@st.cache_data(max_entries=16, show_spinner="Projecting the codes …")
def _projected(means: Any, projection: Projection) -> Any:
    return project(means, projection)


def code_map_of(run_id: str) -> CodeMap | None:
    """The codes that a trial keeps, if it does."""
    held = reading.artifacts_of(run_id, "latent").get("codes.npz")
    try:
        return None if held is None else _read(held)
    except (ValueError, KeyError, IndexError, OSError, EOFError, zipfile.BadZipFile) as error:
        small(f"This trial's latent/codes.npz cannot be read, so there is no latent space: {error}")
        return None


@st.fragment
def latent_space(held: CodeMap, sweep: str, number: int, run_id: str) -> None:
    """The plane at the left, the example at the right."""
    st.subheader("Latent space")
    small("Each point is a validation example at its posterior's mean. Click on one to see it and what its code decodes to.")
    names = list(get_args(Projection))
    projection = st.segmented_control(
        "Projection",
        names,
        default=names[0],
        key="projection",
        bind="query-params",
        required=True,
    )
    small(f"By {PROJECTIONS[projection or names[0]]}.")
    points = _projected(held.means, projection or "pca")
    plane, example = st.columns([3, 2], gap="medium")
    place = _asked(len(held.index))
    with plane:
        figure = code_map.plane(points, held.index, held.labels, held.rate, _axes(held, projection or "pca"), place)
        clicked = st.plotly_chart(
            figure,
            theme=None,
            key=f"plane {run_id} {projection}",
            on_select="rerun",
            selection_mode="points",
            config={"displaylogo": False},
        )
    chosen = _clicked(clicked)
    if chosen is not None and chosen != place and chosen != st.session_state.get(last := f"plane last {run_id}"):
        st.session_state[last] = chosen
        st.query_params["example"] = str(chosen)
        st.rerun(scope="fragment")
    with example:
        if place is None:
            small("No example is chosen.")
        else:
            _example(held, place, sweep, number, run_id)


def _axes(held: CodeMap, projection: Projection) -> tuple[str, str]:
    if projection == "widest" and held.means.shape[1] > 1:
        first, second = widest(held.means, 2)
        return f"z[{first}]", f"z[{second}]"
    name = {"pca": "principal component", "widest": "z", "tsne": "t-SNE"}[projection]
    return f"{name} 1", f"{name} 2"


def _clicked(event: Any) -> int | None:
    points = event["selection"]["points"]
    return int(points[0]["customdata"][0]) if points and points[0].get("customdata") else None


def _asked(count: int) -> int | None:
    """The example that the address names, if there is one."""
    asked = st.query_params.get("example", "")
    return int(asked) if asked.isdecimal() and int(asked) < count else None


def _example(held: CodeMap, place: int, sweep: str, number: int, run_id: str) -> None:
    label = f", label {held.labels[place]}" if held.labels else ""
    small(f"Example {held.index[place]} of validation{label}: rate {held.rate[place]:.2f} nats")
    if held.is_text:
        st.code(
            f"input   {lines_of(str(held.inputs[place]))}\noutput  {lines_of(str(held.outputs[place]))}",
            language=None,
            wrap_lines=True,
        )
    else:
        left, right = st.columns(2, gap="medium")
        left.image(enlarged(held.inputs[place]), caption="input", width="stretch")
        right.image(enlarged(held.outputs[place]), caption="output", width="stretch")
    with st.expander("Decode another code", expanded=False):
        _dials(held, place, sweep, number, run_id)


def _dials(held: CodeMap, place: int, sweep: str, number: int, run_id: str) -> None:
    """The code of the example with some of its parts turned, decoded by the trial's own model."""
    code = np.array(held.codes[place], dtype="float64")
    small("The parts of the code that vary most; the others stay as this example has them. Decoded by the model itself.")
    with st.form(f"dials {place}", border=False):
        for part in widest(held.means, _DIALS):
            reach = max(_REACH, float(np.ceil(np.abs(held.codes[:, part]).max())))
            code[part] = st.slider(
                words(f"z[{part}]"), -reach, reach, float(np.clip(code[part], -reach, reach)), key=f"dial {place} {part}"
            )
        pressed = st.form_submit_button("Decode")
    label = held.labels[place] if held.labels and reading.record_of(run_id).knows_labels else None
    option = "" if label is None else f" --label {shlex.quote(label)}"
    small(f"The same: vae-sweeps generate {sweep}/{number} --codes FILE{option}")
    if not pressed:
        return
    with st.spinner("Decoding …"):
        try:
            found = decode(sweep, number, [[float(value) for value in code]], is_text=held.is_text, label=label)
        except DecodingError as error:
            st.error(words(error))
            return
    if isinstance(found, str):
        st.code(lines_of(found), language=None, wrap_lines=True)
    else:
        st.image(enlarged(found), width=192)
