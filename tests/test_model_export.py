"""Exported files in the programs that they are for: ONNX Runtime for Python and in Chromium, and OpenVINO."""

import functools
import http.server
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from parity import TINY

from glpn.commands import main
from glpn.configuration import GLPNConfig
from glpn.errors import ConfigError, ExportError
from glpn.model import export as exporting
from glpn.model.export import ExportSettings, PhotoToDepth, example, export, resize
from glpn.model.modeling import GLPNForDepthEstimation

SIZE = (64, 96)
WEB = Path(__file__).parent / "onnx_web" / "node_modules" / "onnxruntime-web" / "dist"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return GLPNForDepthEstimation(GLPNConfig(**TINY)).eval()


def run_onnx(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def test_any_batch_and_size_in_onnx_runtime(tmp_path, model):
    (made,) = export(model, tmp_path, "tiny", ExportSettings(size=SIZE, dynamic=True))
    assert made.path == tmp_path / "tiny_any-size_float32.onnx"
    assert made.difference < 1e-4
    assert sorted(path.name for path in tmp_path.iterdir()) == [made.path.name]
    for shape in ((1, 3, 32, 32), (3, 3, 96, 64)):
        x = torch.rand(shape, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            expected = model(x).predicted_depth.numpy()
        np.testing.assert_allclose(run_onnx(made.path, x.numpy()), expected, atol=1e-4)
    properties = {entry.key: entry.value for entry in onnx.load(made.path).metadata_props}
    assert properties["unit"] == "metre"
    assert properties["max_depth_m"] == "10"


def test_a_photo_goes_in_and_metres_come_out(tmp_path, model):
    settings = ExportSettings(size=SIZE, photo=True)
    first, second = export(model, tmp_path, "tiny", settings, ["onnx", "openvino"])
    photo = example(settings, model.config, (111, 77), seed=3)
    with torch.inference_mode():
        expected = PhotoToDepth(model, SIZE)(photo).numpy()
    assert expected.shape == (111, 77)
    np.testing.assert_allclose(run_onnx(first.path, photo.numpy()), expected, atol=1e-4)
    compiled = openvino.Core().compile_model(second.path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(photo.numpy())[0], expected, atol=1e-3)


@pytest.mark.parametrize("new", [(20, 30), (64, 90), (33, 120)])
def test_resizing_is_that_of_pytorch(new):
    x = torch.rand(3, 50, 77, generator=torch.Generator().manual_seed(2))
    expected = torch.nn.functional.interpolate(x[None], size=new, mode="bilinear", antialias=True)[0]
    torch.testing.assert_close(resize(x, *new), expected, atol=1e-5, rtol=0)


def test_half_precision_halves_the_file_and_keeps_float32_at_the_ends(tmp_path, model):
    (whole,) = export(model, tmp_path, "tiny", ExportSettings(size=SIZE))
    (half,) = export(model, tmp_path, "tiny", ExportSettings(size=SIZE, precision="float16"))

    def weight_bytes(path):
        return sum(len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer)

    assert weight_bytes(half.path) < 0.6 * weight_bytes(whole.path)
    x = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(1)).numpy()
    assert run_onnx(half.path, x).dtype == np.float32
    np.testing.assert_allclose(run_onnx(half.path, x), run_onnx(whole.path, x), atol=0.2)


def test_a_file_that_differs_is_not_kept(tmp_path, model, monkeypatch):
    monkeypatch.setattr(exporting, "_run_onnx", lambda path: lambda x: run_onnx(path, x) + 0.1)
    with pytest.raises(ExportError, match=r"differs from PyTorch by 0\.1 m"):
        export(model, tmp_path, "tiny", ExportSettings(size=SIZE))
    assert not list(tmp_path.iterdir())


def test_what_can_not_be_exported_is_refused(tmp_path, model, monkeypatch):
    with pytest.raises(ConfigError, match="multiples of 32"):
        export(model, tmp_path, "tiny", ExportSettings(size=(65, 96)))
    with pytest.raises(ConfigError, match="Known: onnx, openvino"):
        export(model, tmp_path, "tiny", ExportSettings(size=SIZE), ["tflite"])
    with pytest.raises(ConfigError, match="Leave out dynamic"):
        ExportSettings(dynamic=True, photo=True)
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ExportError, match=r"pip install 'glpn\[export\]'"):
        export(model, tmp_path, "tiny", ExportSettings(size=SIZE))


def test_the_command_writes_the_file_and_its_card(tmp_path, model, capsys):
    model.save_pretrained(tmp_path / "tiny")
    assert main(["export", str(tmp_path / "tiny"), "--out", str(tmp_path / "out"), "--size", "64x96"]) == 0
    (file,) = (tmp_path / "out").glob("*.onnx")
    assert f"{file}: largest difference from PyTorch" in capsys.readouterr().out
    card = file.with_name(file.name + ".md").read_text()
    assert file.name in card
    assert "pixel_values: float32 (1, 3, 64, 96), RGB in 0…1" in card
    assert main(["export", str(tmp_path / "tiny"), "--size", "64"]) == 1
    assert "Give height x width" in capsys.readouterr().err


PAGE = """<!doctype html><script type="module">
import * as ort from "/ort.wasm.min.mjs";
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = "/";
const photo = await (await fetch("/photo.json")).json();
const session = await ort.InferenceSession.create("/model.onnx");
const input = new ort.Tensor("uint8", Uint8Array.from(photo.values), photo.shape);
const output = (await session.run({photo: input})).depth_m;
window.result = {shape: Array.from(output.dims), values: Array.from(output.data)};
</script>"""


@pytest.mark.browser
@pytest.mark.skipif(not WEB.is_dir(), reason="`npm ci` in tests/onnx_web installs onnxruntime-web")
def test_a_browser_runs_the_file_and_gets_the_same_metres(tmp_path, model):
    from playwright.sync_api import sync_playwright

    settings = ExportSettings(size=SIZE, photo=True)
    (made,) = export(model, tmp_path, "tiny", settings)
    photo = example(settings, model.config, (50, 70), seed=5).numpy()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        shutil.copy(WEB / name, tmp_path / name)
    made.path.rename(tmp_path / "model.onnx")
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "photo.json").write_text(json.dumps({"shape": photo.shape, "values": photo.flatten().tolist()}))
    handler = functools.partial(QuietHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{server.server_address[1]}/")
            page.wait_for_function("window.result")
            result = page.evaluate("window.result")
            browser.close()
        server.shutdown()
    assert result["shape"] == [50, 70]
    with torch.inference_mode():
        expected = PhotoToDepth(model, SIZE)(torch.from_numpy(photo)).numpy()
    np.testing.assert_allclose(np.reshape(result["values"], (50, 70)), expected, atol=1e-4)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def log_message(self, *_):
        pass
