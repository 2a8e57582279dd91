"""Links carry the page's choices; what a link may not say is left out and told."""

from dataclasses import fields
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn.bounds import EDGE_CUT, FOV_DEG, RANGE_M, RESOLUTIONS, SCALE, Bounds
from glpn.errors import ConfigError
from glpn.scene.figures import COLOR_MAPS
from glpn.scene.look import DETAILS, STYLES, TEXTURES
from glpn.web.choices import CAMERAS, NEAR, PAGES, RANGE_CHOICES, TABS, Choices

MODELS = ("rooms-b0", "nyu-b4", "kitti-b2")
SAMPLES = ("office", "coffee")
RESERVED = {"page", "view", "deep_link", "__theme", "__sign"}  # Gradio's own

CHOICES = st.builds(
    Choices,
    model=st.sampled_from(MODELS),
    sample=st.sampled_from(("", *SAMPLES)),
    at=st.sampled_from(PAGES),
    tab=st.sampled_from(tuple(TABS)),
    colors=st.sampled_from(list(COLOR_MAPS)),
    range=st.sampled_from(RANGE_CHOICES),
    low=st.sampled_from((0.0, 0.25, 3.0)),
    high=st.sampled_from((3.5, 10.0, 80.0)),
    near=st.sampled_from(NEAR),
    style=st.sampled_from(STYLES),
    texture=st.sampled_from(TEXTURES),
    detail=st.sampled_from(list(DETAILS)),
    cut=st.sampled_from((0.005, 0.05, 0.3)),
    res=st.sampled_from(RESOLUTIONS),
    flip=st.booleans(),
    camera=st.sampled_from(CAMERAS),
    fov=st.sampled_from((5.0, 63.0, 90.5)),
    correct=st.booleans(),
    scale=st.sampled_from((0.05, 1.0, 1.234, 20.0)),
    cpu=st.booleans(),
)


def parse(query: dict[str, str]) -> tuple[Choices, tuple[str, ...]]:
    return Choices.parse(query, models=MODELS, samples=SAMPLES)


@given(CHOICES)
def test_a_link_brings_every_choice_back(choices: Choices) -> None:
    assert parse(dict(parse_qsl(choices.query()))) == (choices, ())


@given(st.dictionaries(st.sampled_from([field.name for field in fields(Choices)] + ["else"]), st.text(max_size=80)))
def test_any_link_gives_choices_that_are_known(query: dict[str, str]) -> None:
    choices, notes = parse(query)
    assert parse(dict(parse_qsl(choices.query()))) == (choices, ())
    assert choices.low < choices.high
    assert not any(value in note for note in notes for value in query.values() if len(value) > 12)


@pytest.mark.parametrize(
    "query",
    [
        {"model": "<script>alert(1)</script>"},
        {"model": "../../etc/passwd"},
        {"fov": "nan"},
        {"fov": "1e999"},
        {"flip": "yes"},
        {"tab": "9" * 10_000},
        {"low": "5", "high": "2"},
        {"cut": "0.5"},  # beyond the slider's end, which would refuse every later event of the page
    ],
)
def test_hostile_values_are_ignored_with_a_note_that_does_not_repeat_them(query: dict[str, str]) -> None:
    choices, notes = parse(query)
    assert choices == Choices()
    [note] = notes
    assert not any(value in note for value in query.values() if len(value) > 1)


@pytest.mark.parametrize(("bounds", "name"), [(FOV_DEG, "fov"), (EDGE_CUT, "cut"), (RANGE_M, "high"), (SCALE, "scale")])
def test_links_have_the_bounds_of_the_table(bounds: Bounds, name: str) -> None:
    assert getattr(parse({name: f"{bounds.most:g}"})[0], name) == bounds.most
    for value in (bounds.least - 0.001, bounds.most + 0.001):
        with pytest.raises(ConfigError, match=f"{bounds.name}.*from {bounds.least:g} to {bounds.most:g}"):
            bounds.check(value)
        assert parse({name: f"{value:.7g}"})[0] == Choices()


def test_no_parameter_is_one_of_gradios() -> None:
    assert not RESERVED & {field.name for field in fields(Choices)}


def test_a_link_names_model_and_sample_and_else_only_what_was_changed() -> None:
    assert Choices(sample="coffee", colors="magma").query() == "model=rooms-b0&sample=coffee&colors=magma"
