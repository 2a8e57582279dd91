"""OpenVINO's engine against the plain network, and which engine runs when."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from parity import TOLERANCE_M, network

from glpn.configuration import ENCODERS
from glpn.errors import ConfigError
from glpn.model import engine
from glpn.model.border import RimFree
from glpn.model.engine import CPUEngine

openvino = pytest.importorskip("openvino", reason="the extra openvino is not installed")
from glpn.model.openvino_graph import CompiledGLPN  # noqa: E402 - after the check for its package

PIXELS = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_equals_the_plain_network(encoder):
    model = network(encoder)
    x = torch.rand(2, 3, 96, 224)
    with torch.no_grad():
        plain = model(x).predicted_depth
    depth = CompiledGLPN(model, (96, 224))(x)
    assert depth.shape == plain.shape
    assert depth.dtype == torch.float32
    assert plain.std() > 0.3
    assert (depth - plain).abs().max() < TOLERANCE_M


@pytest.mark.parametrize("size", [(32, 32), (32, 320), (352, 64), (160, 96)])
def test_borders_are_as_exact_as_the_middle(size):
    model, x = network(), torch.rand(1, 3, *size)
    with torch.no_grad():
        plain = model(x).predicted_depth
    difference = (CompiledGLPN(model, size)(x) - plain).abs()[0]
    frame = (difference[:4], difference[-4:], difference[:, :4], difference[:, -4:])
    assert all(side.max() < TOLERANCE_M for side in (*frame, difference[4:-4, 4:-4]))


@pytest.mark.parametrize("index", [0, 1, 2, 3, -2])
def test_head_may_sit_on_any_decoder_stage(index):
    model = network(head_in_index=index)
    with torch.no_grad():
        plain = model(PIXELS).predicted_depth
    depth = CompiledGLPN(model, (64, 96))(PIXELS)
    assert depth.shape == plain.shape
    assert (depth - plain).abs().max() < TOLERANCE_M


@pytest.mark.parametrize("index", [0, 2, -1])
def test_continues_maps_beyond_the_border_where_asked(index):
    model = network(head_in_index=index)
    with torch.no_grad():
        plain = RimFree(model)(PIXELS)
    depth = CompiledGLPN(model, (64, 96), rim_free=True)(PIXELS)
    assert depth.shape == plain.shape
    assert (depth - plain).abs().max() < TOLERANCE_M


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_other_activations(activation):
    model = network(hidden_act=activation)
    with torch.no_grad():
        plain = model(PIXELS).predicted_depth
    assert (CompiledGLPN(model, (64, 96))(PIXELS) - plain).abs().max() < TOLERANCE_M


def test_threads_may_share_it():
    compiled = CompiledGLPN(network(), (64, 96))
    photos = torch.rand(8, 1, 3, 64, 96)
    expected = [compiled(x) for x in photos]
    with ThreadPoolExecutor(4) as pool:
        for depth, own in zip(pool.map(compiled, photos), expected, strict=True):
            assert torch.equal(depth, own)


def test_bfloat16_stays_close():
    model = network()
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(ConfigError, match="has no bfloat16"):
            CompiledGLPN(model, (64, 96), precision="bfloat16")
        return
    difference = (
        CompiledGLPN(model, (64, 96), precision="bfloat16")(PIXELS) - CompiledGLPN(model, (64, 96))(PIXELS)
    ).abs()
    assert 0 < difference.mean() < 0.1


def test_openvino_runs_every_photo_where_it_is_asked_for():
    model = network()
    run = CPUEngine(model, engine="openvino")
    depth, name = run(PIXELS)
    assert name == "openvino"
    torch.testing.assert_close(depth, CPUEngine(model, engine="pytorch")(PIXELS)[0], rtol=0, atol=TOLERANCE_M)


def test_auto_takes_openvino_once_a_size_repeats(monkeypatch):
    monkeypatch.setattr(engine, "_is_faster", lambda *_: True)
    run = CPUEngine(network())
    names = [run(PIXELS)[1] for _ in range(2)]
    run.settle()
    assert [*names, run(PIXELS)[1]] == ["pytorch", "pytorch", "openvino"]
    assert run(torch.rand(1, 3, 32, 32))[1] == "pytorch"


def test_auto_stays_with_pytorch_where_that_is_as_fast(monkeypatch):
    monkeypatch.setattr(engine, "_is_faster", lambda *_: False)
    run = CPUEngine(network())
    for _ in range(2):
        run(PIXELS)
    run.settle()
    assert run(PIXELS)[1] == "pytorch"


def test_auto_stays_with_pytorch_where_openvino_fails(monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr("glpn.model.openvino_graph.build_graph", fail)
    run = CPUEngine(network())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            run(PIXELS)
        run.settle()
        assert run(PIXELS)[1] == "pytorch"
    assert "can't compile" in caplog.text


def test_keeps_the_sizes_that_were_used_last():
    run = CPUEngine(network(), engine="openvino")
    sizes = [(32, 32), (32, 64), (32, 32), (64, 32)]
    for size in sizes:
        run(torch.rand(1, 3, *size))
    assert list(run._compiled) == sizes[-2:]


def test_the_faster_one_is_measured(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(engine.time, "perf_counter", lambda: float(next(clock)))

    def slow(x):
        next(clock)
        return x

    def quick(x):
        return x

    assert engine._is_faster(quick, slow, (32, 32))
    assert not engine._is_faster(slow, quick, (32, 32))
    assert not engine._is_faster(quick, lambda x: x, (32, 32))


def test_refuses_an_engine_it_can_not_run(monkeypatch):
    with pytest.raises(ConfigError, match="Unknown engine 'tvm'"):
        CPUEngine(network(), engine="tvm")
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="Install glpn"):
        CPUEngine(network(), engine="openvino")
    run = CPUEngine(network())
    assert [run(PIXELS)[1] for _ in range(3)] == ["pytorch"] * 3
