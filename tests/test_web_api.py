"""The public endpoints through gradio_client and plain HTTP, with the embedded model; everything else is private."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from web_support import served

from glpn.scene.depth_files import read_depth
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


def test_a_large_photo_is_returned_at_its_own_size(client: Client, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with Image.open(PHOTO) as photo:
        photo.resize((2000, 1500)).save(large)
    _, npy, info = client.predict(handle_file(large), api_name="/estimate")
    assert np.load(npy).shape == (1500, 2000)
    assert info["size"] == {"height": 1500, "width": 2000}


def test_settings_have_names_and_defaults(client: Client) -> None:
    *_, info = client.predict(
        photo=handle_file(PHOTO), model="rooms-b0", resolution="fast", fov_deg=90.0, correct_scale=False,
        api_name="/estimate",
    )  # fmt: skip
    assert info["camera"]["source"] == "fov"
    assert info["camera"]["fov_deg"] == pytest.approx(90, abs=0.1)


def test_a_known_length_scales_what_is_returned(client: Client) -> None:
    (_, plain, before), (_, scaled, after) = (
        client.predict(handle_file(PHOTO), scale=scale, api_name="/estimate") for scale in (None, 1.25)
    )
    np.testing.assert_allclose(np.load(scaled), 1.25 * np.load(plain), rtol=1e-5)
    assert (before["calibration"], after["calibration"]["factor"]) == (None, 1.25)
    assert before["uncertainty"]["relative"] > after["uncertainty"]["relative"] > 0
    with pytest.raises(AppError, match=r"Give a number from 0\.05 to 20"):
        client.predict(handle_file(PHOTO), scale=100, api_name="/estimate")


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
    assert set(endpoints["named_endpoints"]) == {"/estimate", "/depth", "/measure", "/models"}
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


# ------------------------------------------------------------------------------------------------- pictures and metres


def test_depth_is_a_picture_with_its_range(client: Client) -> None:
    picture, facts = client.predict(handle_file(PHOTO), api_name="/depth")
    with Image.open(picture) as image:
        assert image.format == "JPEG"
        assert image.width > image.height > 300  # the map, the scale next to it, and the line below
    assert 0 < facts["nearest"] < facts["middle"] < facts["farthest"] <= 10
    assert facts["uncertainty"]["relative"] == pytest.approx(0.35, abs=0.1)
    assert "±" in facts["summary"]
    assert facts["model"] == "rooms-b0"


def test_measure_gives_metres_with_their_uncertainty(client: Client) -> None:
    *_, info = client.predict(handle_file(PHOTO), api_name="/estimate")
    height, width = info["size"]["height"], info["size"]["width"]
    found = client.predict(handle_file(PHOTO), 10, 20, width - 10, height - 20, api_name="/measure")
    assert 0 < found["uncertainty_m"] < found["distance_m"] < 20
    corners = (10 / (width - 1), 20 / (height - 1), (width - 10) / (width - 1), (height - 20) / (height - 1))
    shares = client.predict(handle_file(PHOTO), *corners, relative=True, api_name="/measure")
    assert shares["distance_m"] == pytest.approx(found["distance_m"])
    assert [point["x"] for point in shares["points"]] == [10, width - 10]
    with pytest.raises(AppError, match="photo"):
        client.predict(handle_file(PHOTO), 10, 20, width + 10, 20, api_name="/measure")


def test_every_argument_is_described_and_the_example_is_a_photo(client: Client, address: str) -> None:
    for name, endpoint in client.view_api(return_format="dict", print_info=False)["named_endpoints"].items():
        assert endpoint["description"], name
        for argument in endpoint["parameters"]:
            assert argument["python_type"]["description"], (name, argument["parameter_name"])
            required = argument["parameter_name"] in ("photo", "x1", "y1", "x2", "y2")
            assert argument["parameter_has_default"] is not required
            if argument["parameter_name"] == "photo":
                assert argument["example_input"]["path"].endswith((".png", ".jpg"))
    with urllib.request.urlopen(f"{address}gradio_api/openapi.json") as answer:
        described = json.load(answer)
    assert "uncertainty" in described["info"]["description"]
    assert {"/gradio_api/call/v2/depth", "/gradio_api/call/v2/measure"} <= described["paths"].keys() or any(
        "depth" in path for path in described["paths"]
    )


# -------------------------------------------------------------------------------------------------------------- curl


def uploaded(address: str) -> str:
    boundary = "b0undary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + PHOTO.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}gradio_api/upload", body, kind)) as answer:
        return str(json.load(answer)[0])


def curled(address: str, endpoint: str, *values: Any) -> tuple[str, Any]:
    """Call `endpoint` as the documentation's curl lines do; return the last event and its data."""
    call = f"{address}gradio_api/call/{endpoint}"
    body = json.dumps({"data": values}).encode()
    with urllib.request.urlopen(urllib.request.Request(call, body, {"Content-Type": "application/json"})) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{call}/{event}") as answer:
        *_, last = answer.read().decode().strip().split("\n\n")
    kind, _, data = last.partition("\n")
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_values_left_out_have_their_defaults(address: str) -> None:
    path = uploaded(address)
    kind, (_, facts) = curled(address, "depth", {"path": path, "meta": {"_type": "gradio.FileData"}})
    assert (kind, facts["model"]) == ("complete", "rooms-b0")
    kind, (*_, info) = curled(address, "estimate", path)  # the path alone, as the upload gave it
    assert (kind, info["variant"]) == ("complete", "rooms-b0")


@pytest.mark.parametrize(
    ("endpoint", "values", "sentence"),
    [
        ("depth", [], "No photo was given"),
        ("depth", [None], "No photo was given"),
        ("depth", ["photo.jpg"], "not here any more"),
        ("depth", ["/etc/passwd"], "not here any more"),
        ("depth", [{"path": "/etc/passwd"}], "not here any more"),
        ("depth", ["http://127.0.0.1:9/a.jpg"], "can't be fetched"),
        ("depth", [17], "gradio_api/info"),
        ("measure", ["PATH", 1, 2, 3], "y2 must be numbers"),
        ("measure", ["PATH", 1, 2, "far", 4], "x2 must be numbers"),
        ("estimate", ["PATH", "rooms-b9"], "rooms-b9"),
        ("estimate", ["PATH", "rooms-b0", "huge"], "huge"),
        ("estimate", ["PATH", "rooms-b0", "fast", False, 400], "400"),
    ],
)
def test_what_is_wrong_with_a_call_is_a_sentence(address: str, endpoint: str, values: list[Any], sentence: str) -> None:
    kind, data = curled(address, endpoint, *(uploaded(address) if value == "PATH" else value for value in values))
    assert kind == "error"
    assert sentence in data["error"]
    assert "Traceback" not in data["error"]
