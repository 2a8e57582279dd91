"""The network against transformers, stage by stage: same weights, same input, same numbers."""

from functools import cache

import pytest
import torch
import transformers
from parity import TINY, pair

from glpn.configuration import ENCODERS, GLPNConfig
from glpn.model.modeling import GLPNForDepthEstimation, GLPNModel


@cache
def preset_pair(encoder: str) -> tuple[transformers.GLPNForDepthEstimation, GLPNForDepthEstimation]:
    return pair(GLPNConfig.from_encoder(encoder))


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> None:
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=0)


SIZES = [(encoder, size) for encoder in ENCODERS for size in ((64, 64), (96, 160))]


@pytest.mark.parametrize(("encoder", "size"), [*SIZES, ("b0", (480, 640)), ("b4", (480, 640))])
def test_every_stage_agrees_with_transformers(encoder, size):
    theirs, ours = preset_pair(encoder)
    photo = torch.rand(1, 3, *size)
    # Attentions at full size would take gigabytes and say nothing that the smaller sizes don't.
    attentions = size != (480, 640)
    with torch.no_grad():
        expected = theirs(photo, output_hidden_states=True, output_attentions=attentions)
        explicit = ours(photo, output_hidden_states=True, output_attentions=attentions)
        fused = ours(photo, output_hidden_states=True)
    tolerance = 1e-5 * ours.config.max_depth
    for output in (explicit, fused):
        for mine, reference in zip(output.hidden_states, expected.hidden_states, strict=True):
            assert_close(mine, reference, tolerance)
        assert_close(output.predicted_depth, expected.predicted_depth, tolerance)
    if attentions:
        for mine, reference in zip(explicit.attentions, expected.attentions, strict=True):
            assert_close(mine, reference, tolerance)


def test_a_batch_agrees_with_its_singles():
    _, ours = preset_pair("b0")
    photos = torch.rand(3, 3, 64, 96)
    with torch.no_grad():
        together = ours(photos).predicted_depth
        alone = torch.cat([ours(photo[None]).predicted_depth for photo in photos])
    assert_close(together, alone, 1e-5)


def test_loss_and_gradients_agree_with_transformers():
    theirs, ours = pair(GLPNConfig.from_encoder("b0", drop_path_rate=0.0))
    photo = torch.rand(2, 3, 64, 96)
    labels = torch.rand(2, 64, 96) * 10
    labels[:, :20] = 0  # not measured
    losses = [network.train()(photo, labels=labels).loss for network in (theirs, ours)]
    for loss in losses:
        loss.backward()
    assert_close(losses[1], losses[0], 1e-6)
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        scale = max(1.0, gradients[name].abs().max().item())
        assert_close(parameter.grad / scale, gradients[name] / scale, 1e-5)


@pytest.mark.parametrize("return_dict", [True, False])
@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("labelled", [True, False])
def test_outputs_have_the_form_of_transformers(return_dict, hidden, labelled):
    theirs, ours = pair(GLPNConfig(**TINY))
    photo = torch.rand(1, 3, 64, 64)
    asked = {"output_hidden_states": hidden, "output_attentions": hidden, "return_dict": return_dict}
    asked |= {"labels": torch.rand(1, 64, 64) + 1} if labelled else {}
    with torch.no_grad():
        expected, output = theirs(photo, **asked), ours(photo, **asked)
        encoded, output_encoded = (n(photo, return_dict=return_dict) for n in (theirs.glpn, ours.glpn))
    if return_dict:
        assert list(output) == list(expected) == list(output.keys())
        assert output["predicted_depth"] is output.predicted_depth
        expected, output = expected.to_tuple(), output.to_tuple()
    assert len(output) == len(expected)
    for mine, reference in zip(output, expected, strict=True):
        if isinstance(reference, torch.Tensor):
            assert_close(mine, reference, 1e-5)
        else:
            assert [m.shape for m in mine] == [r.shape for r in reference]
    assert_close(output_encoded[0], encoded[0], 1e-5)


def test_drop_path_drops_whole_samples_in_training_alone():
    torch.manual_seed(0)
    network = GLPNModel(GLPNConfig(**TINY, drop_path_rate=0.5))
    photo = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        network.eval()
        assert torch.equal(network(photo)[0], network(photo)[0])
        network.train()
        assert len({network(photo)[0].sum().item() for _ in range(20)}) > 1
    rates = [block.drop_path.p for blocks in network.encoder.block for block in blocks]
    assert rates == pytest.approx([0, 1 / 6, 1 / 3, 0.5])
    dropped = network.encoder.block[3][0].drop_path(torch.ones(4000, 2, 3))
    assert set(dropped.flatten().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[:, :1, :1]).all()
    assert dropped.mean().item() == pytest.approx(1, abs=0.1)


def test_initialisation_is_that_of_mit():
    torch.manual_seed(0)
    network = GLPNForDepthEstimation(GLPNConfig())
    for module in network.modules():
        if isinstance(module, torch.nn.Linear) and module.weight.numel() > 10_000:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert module.bias.abs().max() == 0
        if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 10_000:
            fan_out = module.weight.shape[0] * module.weight[0, 0].numel() / module.groups
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_attention_dropout_and_activation_are_read_from_the_config():
    torch.manual_seed(0)
    config = GLPNConfig(**TINY, attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.5, hidden_act="relu")
    theirs, ours = pair(config)
    photo = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert_close(ours(photo).predicted_depth, theirs(photo).predicted_depth, 1e-5)
        ours.train()
        assert not torch.equal(ours(photo).predicted_depth, ours(photo).predicted_depth)


def test_a_decoded_scale_other_than_the_last_can_be_the_heads_input():
    theirs, ours = pair(GLPNConfig(**TINY, head_in_index=1))
    photo = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert_close(ours(photo).predicted_depth, theirs(photo).predicted_depth, 1e-5)
