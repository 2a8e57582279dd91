"""The fast form against the plain network: every encoder, odd shapes, batches, borders, threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn import fast
from glpn.configuration import ENCODERS, GLPNConfig
from glpn.errors import ConfigError
from glpn.fast import UpsampledConvolution, make_fast
from glpn.modeling import GLPNForDepthEstimation, upsample

TOLERANCE_M = 1e-4  # of depths up to 10 m


def network(encoder: str = "b0", **overrides: object) -> GLPNForDepthEstimation:
    """A network with weights as lively as trained ones: no bias is 0, no BatchNorm is the identity."""
    torch.manual_seed(7)
    model = GLPNForDepthEstimation(GLPNConfig.from_encoder(encoder, **overrides)).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.5)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.bias, std=0.05)
        elif isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, std=0.1)
    for module in model.decoder.modules():  # a gain of 1 per layer: MiT's initialisation makes fusion a hard switch
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    with torch.no_grad():  # logits of a standard deviation of 1: depths spread over the range, none saturates
        logits: list[Tensor] = []
        handle = model.head.head.register_forward_hook(lambda *call: logits.append(call[2]))
        model(torch.rand(1, 3, 64, 96))
        handle.remove()
        model.head.head[2].weight /= logits[0].std()
        model.head.head[2].bias -= logits[0].mean() / logits[0].std()
    return model


@torch.no_grad()
def both(model: GLPNForDepthEstimation, x: Tensor) -> tuple[Tensor, Tensor]:
    plain = model(x).predicted_depth
    assert plain is not None
    return plain, make_fast(model)(x)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_equals_the_plain_network(encoder: str) -> None:
    model = network(encoder)
    quick = make_fast(model)
    for shape in ((1, 3, 96, 224), (3, 3, 64, 32)):
        x = torch.rand(shape)
        with torch.no_grad():
            plain, depth = model(x).predicted_depth, quick(x)
        assert depth.shape == plain.shape == (shape[0], *shape[2:])
        assert depth.dtype == torch.float32
        assert plain.std() > 0.3
        assert (depth - plain).abs().max() < TOLERANCE_M


@pytest.mark.parametrize("size", [(32, 32), (32, 320), (352, 64), (160, 96), (384, 512)])
def test_borders_are_as_exact_as_the_middle(size: tuple[int, int]) -> None:
    plain, quick = both(network(), torch.rand(1, 3, *size))
    difference = (quick - plain).abs()[0]
    frame = (difference[:4], difference[-4:], difference[:, :4], difference[:, -4:])
    assert all(side.max() < TOLERANCE_M for side in (*frame, difference[4:-4, 4:-4]))


def test_a_photo_in_a_batch_is_the_photo_alone() -> None:
    quick, x = make_fast(network()), torch.rand(3, 3, 64, 96)
    torch.testing.assert_close(quick(x), torch.cat([quick(one[None]) for one in x]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("index", [0, 1, 2, 3, -2])
def test_head_may_sit_on_any_decoder_stage(index: int) -> None:
    plain, quick = both(network(head_in_index=index), torch.rand(1, 3, 64, 96))
    assert quick.shape == plain.shape
    assert (quick - plain).abs().max() < TOLERANCE_M


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_other_activations(activation: str) -> None:
    plain, quick = both(network(hidden_act=activation), torch.rand(1, 3, 64, 64))
    assert (quick - plain).abs().max() < TOLERANCE_M


@pytest.mark.parametrize(("precision", "tolerance_m"), [("bfloat16", 0.1), ("int8", 0.2)])
def test_lower_precision_says_so_and_stays_close(precision: str, tolerance_m: float) -> None:
    model, x = network(), torch.rand(2, 3, 64, 96)
    if precision == "bfloat16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        with pytest.raises(ConfigError, match="has no bfloat16"):
            make_fast(model, precision=precision)
        return
    exact, rough = make_fast(model), make_fast(model, precision=precision)
    assert (exact.precision, rough.precision) == ("float32", precision)
    difference = (rough(x) - exact(x)).abs()
    assert 0 < difference.mean() < tolerance_m


def test_refuses_a_precision_it_can_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Unknown precision 'float8'"):
        make_fast(network(), precision="float8")
    monkeypatch.setattr(fast, "has_fused_layers", lambda: False)
    with pytest.raises(ConfigError, match="needs oneDNN"):
        make_fast(network(), precision="int8")


def test_without_fused_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "has_fused_layers", lambda: False)
    plain, quick = both(network(), torch.rand(2, 3, 64, 96))
    assert (quick - plain).abs().max() < TOLERANCE_M


@pytest.mark.parametrize("upsamplings", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (6, 4), (8, 12), (10, 7), (20, 16)])
def test_upsampled_convolution_is_upsampling_and_convolution(upsamplings: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, *size, dtype=torch.float32).contiguous(memory_format=torch.channels_last)
    layer = nn.Conv2d(6, 5, 3, padding=1)
    expected = x
    for _ in range(upsamplings):
        expected = upsample(expected)
    with torch.no_grad():
        expected = layer(expected)
        result = UpsampledConvolution(layer.weight.detach(), layer.bias.detach(), upsamplings)(x)
    torch.testing.assert_close(result, expected, rtol=0, atol=2e-6)


def test_batch_norm_folds_into_its_convolution() -> None:
    fusion = network().decoder.stages[1].fusion
    layer, norm, _ = fusion.convolutional_layer1
    x = torch.randn(1, 128, 7, 9)
    with torch.no_grad():
        torch.testing.assert_close(
            F.conv2d(x, *fast.fold(layer, norm), padding=1), norm(layer(x)), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("threads", [2, 3])
def test_any_number_of_threads_gives_the_same_numbers(threads: int) -> None:
    model, x = network(), torch.rand(2, 3, 96, 64)
    alone, before = make_fast(model), torch.get_num_threads()
    expected = alone(x)
    torch.set_num_threads(threads)
    try:
        result = make_fast(model)(x)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_same_input_same_output_from_several_threads() -> None:
    quick, x = make_fast(network()), torch.rand(1, 3, 96, 128)
    expected = quick(x)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(quick, [x] * 8):
            assert torch.equal(result, expected)


def test_input_is_left_alone_and_result_carries_no_gradient() -> None:
    quick, x = make_fast(network()), torch.rand(1, 3, 64, 64)
    copy = x.clone()
    assert not quick(x).requires_grad
    assert torch.equal(x, copy)


def test_shares_the_weights_of_the_encoder() -> None:
    model = network()
    plain, quick = model.glpn.encoder.block[2][0], make_fast(model).stages[2][1][0]
    for ours, theirs in ((quick.dense1, plain.mlp.dense1), (quick.reduce, plain.attention.self.sr)):
        assert ours.weight.data_ptr() == theirs.weight.data_ptr()


def test_import_changes_no_setting_of_torch() -> None:
    code = """
import torch
def settings():
    b = torch.backends
    return (torch.get_num_threads(), torch.get_num_interop_threads(), torch.is_grad_enabled(),
            torch.get_default_dtype(), torch.get_float32_matmul_precision(), b.mkldnn.enabled, b.mkldnn.deterministic,
            torch.are_deterministic_algorithms_enabled(), torch.is_inference_mode_enabled())
before = settings()
import glpn.fast, glpn.compute, glpn.modeling
assert settings() == before, (before, settings())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
