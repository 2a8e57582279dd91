"""The public endpoints through gradio_client and plain HTTP, with the embedded model; everything else is private."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from web_support import served

from glpn.depth_file import read_depth
from glpn.web.samples import SAMPLES
from glpn.zoo import Zoo

PHOTO = SAMPLES[0].photo


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served("embedded", tmp_path_factory.mktemp("api")) as url:
        yield url


@pytest.fixture(scope="module")
def client(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = Client(address, verbose=False, download_files=tmp_path_factory.mktemp("downloads"))
    yield client
    client.close()


def test_estimate_gives_metres_in_files(client: Client) -> None:
    png, npy, info = client.predict(handle_file(PHOTO), api_name="/estimate")
    depth = np.load(npy)
    assert depth.dtype == np.float32
    assert info["variant"] == "rooms-b0"
    assert depth.shape == (info["size"]["height"], info["size"]["width"])
    assert 0 < depth.min() <= depth.max() <= 10
    np.testing.assert_allclose(read_depth(png), depth, atol=0.0005 + 1e-6)


def test_settings_have_names_and_defaults(client: Client) -> None:
    *_, info = client.predict(
        photo=handle_file(PHOTO), model="rooms-b0", resolution="fast", fov_deg=90.0, correct_scale=False,
        api_name="/estimate",
    )  # fmt: skip
    assert info["camera"]["source"] == "fov"
    assert info["camera"]["fov_deg"] == pytest.approx(90, abs=0.1)


def test_models_lists_the_zoo(client: Client) -> None:
    models = client.predict(api_name="/models")
    assert [model["id"] for model in models] == [spec.id for spec in Zoo.load()]
    assert {model["id"] for model in models if model["ready"]} >= {"rooms-b0", "nyu-b4", "kitti-b4"}


def test_an_error_is_one_sentence(client: Client, tmp_path: Path) -> None:
    with pytest.raises(AppError, match="can't be run"):
        client.predict(handle_file(PHOTO), "nyu-b1", api_name="/estimate")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(PHOTO.read_bytes()[:2000])
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(broken), api_name="/estimate")
    assert "Traceback" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_twenty_visitors_at_once_each_get_their_own(client: Client) -> None:
    angles = [50.0 + number for number in range(20)]
    jobs = [client.submit(handle_file(PHOTO), fov_deg=angle, api_name="/estimate") for angle in angles]
    found = [job.result(timeout=120)[2]["camera"]["fov_deg"] for job in jobs]
    assert found == pytest.approx(angles, abs=0.1)


def test_nothing_else_is_public(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)
    assert set(endpoints["named_endpoints"]) == {"/estimate", "/models"}
    assert not endpoints["unnamed_endpoints"]
    assert endpoints["named_endpoints"]["/estimate"]["description"].startswith("Estimate the depth")


def test_the_models_answer_plain_http(address: str) -> None:
    call = f"{address}gradio_api/call/models"
    request = urllib.request.Request(call, b'{"data": []}', {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{call}/{event}") as answer:
        text = answer.read().decode()
    assert text.startswith("event: complete")
    assert "kitti-b4" in text


def test_the_page_names_no_other_host(address: str) -> None:
    with urllib.request.urlopen(address) as answer:
        html = answer.read().decode()
    for foreign in ("fonts.googleapis.com", "cdn.jsdelivr.net", "cdnjs.cloudflare.com", "unpkg.com", "cdn.plot.ly"):
        assert foreign not in html
