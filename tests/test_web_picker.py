"""The picker shows every variant and offers only what can be run."""

import re

import pytest

from glpn.web.parts.picker import OTHER, offers, picker_html
from glpn.zoo import Zoo


@pytest.fixture(scope="module")
def zoo():
    return Zoo.load()


def buttons(html: str, attribute: str) -> list[str]:
    return re.findall(rf'{attribute}="([^"]+)"', html)


@pytest.mark.parametrize("reachable", [None, True])
def test_every_variant_is_shown_and_only_ready_ones_can_be_chosen(zoo, reachable):
    html = picker_html(offers(zoo, lambda spec: bool(spec.folder), reachable=reachable), "rooms-b0", other=True)
    assert sorted(buttons(html, "data-model")) == sorted([*(spec.id for spec in zoo.ready), OTHER])
    assert sorted(buttons(html, "data-missing")) == sorted(spec.id for spec in zoo if not spec.ready)
    assert html.count('aria-pressed="true"') == 1
    assert "needs training" in html


def test_without_the_hub_only_what_is_here_can_be_chosen(zoo):
    html = picker_html(offers(zoo, lambda spec: bool(spec.folder), reachable=False), "rooms-b0", other=False)
    assert buttons(html, "data-model") == [spec.id for spec in zoo if spec.folder]
    assert "Hub not reachable" in html
    assert len(buttons(html, "data-missing")) == len(list(zoo)) - len(buttons(html, "data-model"))


def test_what_is_already_here_needs_no_hub(zoo):
    html = picker_html(offers(zoo, lambda spec: spec.id != "kitti-b4", reachable=False), "nyu-b4", other=False)
    assert "nyu-b4" in buttons(html, "data-model")
    assert "kitti-b4" in buttons(html, "data-missing")
