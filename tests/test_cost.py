"""The counted cost of a training against what PyTorch counts and keeps."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from glpn.configuration import GLPNConfig
from glpn.model.modeling import GLPNForDepthEstimation
from glpn.training.cost import GPU_BYTES, MIXED_BYTES, RATE, cost_of, plan_training

SIZE = (96, 128)


def kept_bytes(network: GLPNForDepthEstimation, images: torch.Tensor, *, mixed: bool) -> int:
    """Bytes that autograd saves, each storage once, the parameters themselves apart."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    saved: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    keeping = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with keeping, torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        network(images)
    return sum(saved.values())


@pytest.mark.parametrize("encoder", ["b0", "b2"])
def test_products_and_kept_values_are_those_of_the_network(encoder):
    config = GLPNConfig.from_encoder(encoder, drop_path_rate=0.0)
    network = GLPNForDepthEstimation(config).train()
    images = torch.rand(1, 3, *SIZE).to(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as counter:
        network(images)
    cost = cost_of(config, SIZE)
    assert cost.products == pytest.approx(counter.get_total_flops() / 2, rel=0.02)
    assert 4 * cost.kept_values() == pytest.approx(kept_bytes(network, images, mixed=False), rel=0.07)
    network.gradient_checkpointing_enable()
    again = kept_bytes(network, images, mixed=False)
    assert 4 * cost.kept_values(checkpointing=True) == pytest.approx(again, rel=0.15)


def test_mixed_precision_keeps_what_is_said():
    config = GLPNConfig.from_encoder("b0", drop_path_rate=0.0)
    network = GLPNForDepthEstimation(config).train()
    images = torch.rand(1, 3, 224, 288).to(memory_format=torch.channels_last)
    kept = kept_bytes(network, images, mixed=True)
    assert MIXED_BYTES * cost_of(config, (224, 288)).kept_values() == pytest.approx(kept, rel=0.1)


def test_the_products_of_the_published_size():
    """The encoders, the decoder and the head at 480 × 640, as counted elsewhere: 64.4, 2.4 and 11.5 G for b4."""
    assert cost_of(GLPNConfig.from_encoder("b4"), (480, 640)).products == pytest.approx(78.3e9, rel=0.005)


@pytest.mark.parametrize("gigabytes", [4, 8, 12, 24, 80])
def test_a_plan_keeps_the_images_of_a_step_and_fits(gigabytes):
    config = GLPNConfig.from_encoder("b5")
    plan = plan_training(config, 81_821_223, (448, 576), images=1200, per_step=12, gpu_bytes=gigabytes * 1e9)
    assert plan.batch_size * plan.accumulate == 12
    assert plan.memory_bytes <= gigabytes * 1e9
    assert plan.checkpointing == (gigabytes == 4)
    roomy = plan_training(config, 81_821_223, (448, 576), images=1200, per_step=12, gpu_bytes=1e12)
    assert (roomy.batch_size, roomy.checkpointing) == (12, False)
    assert plan.products == (4 / 3 if plan.checkpointing else 1) * roomy.products
    assert plan.hours(RATE / 2) == 2 * plan.hours()


def test_a_teacher_costs_its_forward_pass():
    small, large = GLPNConfig.from_encoder("b0"), GLPNConfig.from_encoder("b4")
    options = {"images": 10, "per_step": 2, "gpu_bytes": GPU_BYTES}
    alone = plan_training(small, 3_664_839, (64, 96), **options)
    taught = plan_training(small, 3_664_839, (64, 96), teacher=(large, 61_220_903), **options)
    assert taught.products - alone.products == 10 * cost_of(large, (64, 96)).products
    assert taught.memory_bytes > alone.memory_bytes
