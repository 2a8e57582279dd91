"""The fast form against the plain network: every encoder, odd shapes, batches, borders, threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from parity import TOLERANCE_M, network
from torch import Tensor, nn

from glpn.configuration import ENCODERS
from glpn.errors import ConfigError
from glpn.model import fast
from glpn.model.border import FUSION_MARGIN, RimFree, cut, extend
from glpn.model.fast import UpsampledConvolution, attend, make_fast
from glpn.model.modeling import GLPNForDepthEstimation, upsample


@torch.no_grad()
def both(model: GLPNForDepthEstimation, x: Tensor) -> tuple[Tensor, Tensor]:
    plain = model(x).predicted_depth
    assert plain is not None
    return plain, make_fast(model)(x)


@pytest.mark.parametrize("by_onednn", [False, True])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_equals_the_plain_network(encoder: str, by_onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "onednn_attends_faster", lambda: by_onednn)
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


@pytest.mark.parametrize("index", [1, 2, 3])
@pytest.mark.parametrize("size", [(32, 32), (64, 224)])
def test_rim_free_depth_is_the_plain_networks_on_extended_maps(index: int, size: tuple[int, int]) -> None:
    model, x = network(head_in_index=index), torch.rand(2, 3, *size)
    with torch.no_grad():
        plain, expected = model(x).predicted_depth, RimFree(model)(x)
    assert expected.shape == plain.shape
    assert (make_fast(model, rim_free=True)(x) - expected).abs().max() < TOLERANCE_M
    assert (expected - plain)[:, 0].abs().max() > 100 * TOLERANCE_M  # the rim is another


def test_the_extension_reaches_no_further_than_it_has_to() -> None:
    """On a map that is the same everywhere the continued map is the map: every pixel then is the middle's."""
    model = network()
    fusion, width = model.decoder.stages[2].fusion, 64
    local, below = torch.ones(1, width, 8, 8), torch.full((1, width, 8, 8), 0.5)
    with torch.no_grad():
        wide = fusion(extend(local, FUSION_MARGIN), extend(below, FUSION_MARGIN))
        inside = cut(wide, FUSION_MARGIN)
    torch.testing.assert_close(inside, inside[:, :, 4:5, 4:5].expand_as(inside))
    assert not torch.allclose(wide[:, :, 0, 0], wide[:, :, 8, 8])  # what is cut off is what padding has spoiled


@pytest.mark.parametrize(("queries", "keys"), [(1, 1), (300, 7), (5000, 300)])
def test_attention_by_onednn_is_attention(queries: int, keys: int) -> None:
    query, key, value = (torch.randn(2, 3, count, 32) for count in (queries, keys, keys))
    expected = F.scaled_dot_product_attention(query, key, value)
    torch.testing.assert_close(attend(query, key, value), expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_other_activations(activation: str) -> None:
    plain, quick = both(network(hidden_act=activation), torch.rand(1, 3, 64, 64))
    assert (quick - plain).abs().max() < TOLERANCE_M


def test_bfloat16_says_so_and_stays_close() -> None:
    model, x = network(), torch.rand(2, 3, 64, 96)
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        with pytest.raises(ConfigError, match="has no bfloat16"):
            make_fast(model, precision="bfloat16")
        return
    exact, rough = make_fast(model), make_fast(model, precision="bfloat16")
    assert (exact.precision, rough.precision) == ("float32", "bfloat16")
    difference = (rough(x) - exact(x)).abs()
    assert 0 < difference.mean() < 0.1


def test_refuses_a_precision_it_can_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="Unknown precision 'float8'"):
        make_fast(network(), precision="float8")
    monkeypatch.setattr(fast, "has_fused_layers", lambda: False)
    with pytest.raises(ConfigError, match="needs oneDNN"):
        make_fast(network(), precision="bfloat16")


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
import glpn.model.fast, glpn.model.device, glpn.model.modeling
assert settings() == before, (before, settings())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
