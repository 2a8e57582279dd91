"""Networks to compare: ours and transformers' with the same weights, and one whose weights are lively."""

import torch
import transformers
from torch import Tensor, nn

from glpn.configuration import GLPNConfig
from glpn.model.modeling import GLPNForDepthEstimation

TOLERANCE_M = 1e-4  # of depths up to 10 m
TINY = {"depths": (1, 1, 1, 1), "hidden_sizes": (8, 16, 20, 32)}


def as_theirs(config: GLPNConfig) -> transformers.GLPNConfig:
    return transformers.GLPNConfig(**{k: v for k, v in config.to_dict().items() if k != "model_type"})


def pair(config: GLPNConfig, seed: int = 0) -> tuple[transformers.GLPNForDepthEstimation, GLPNForDepthEstimation]:
    """Return transformers' network with random weights and lived-in BatchNorm statistics, and ours with the same."""
    torch.manual_seed(seed)
    theirs = transformers.GLPNForDepthEstimation(as_theirs(config)).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    ours = GLPNForDepthEstimation(config).eval()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


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
