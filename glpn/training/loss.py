"""Losses on depth maps: SILog by batch (the paper's) and by image, and gradient matching."""

import torch
import torch.nn.functional as F
from torch import Tensor

from glpn.evaluation.metrics import MIN_DEPTH_M
from glpn.model.modeling import silog_loss

__all__ = ["gradient_matching", "image_silog", "pool_depth", "silog_loss"]


def log_difference(depth: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return ln(depth) - ln(target), 0 where `weight` is 0; all (B, H, W), depths in metres, in float32."""
    depth, target = depth.float().clamp_min(MIN_DEPTH_M), target.float().clamp_min(MIN_DEPTH_M)
    return (depth.log() - target.log()) * (weight > 0)


def image_silog(difference: Tensor, weight: Tensor, *, lambd: float) -> Tensor:
    """SILog of each image on its own, averaged; `difference` and `weight` are (B, H, W).

    With the paper's batch-wide mean, images of different scale pull against each other, and a network that starts from
    nothing stays at the mean of all rooms for long. λ = 1 forgives a wrong scale entirely, λ = 0 not at all.
    """
    count = weight.sum((1, 2)).clamp_min(1)
    mean = (weight * difference).sum((1, 2)) / count
    mean_square = (weight * difference.square()).sum((1, 2)) / count
    return ((mean_square - lambd * mean.square()).clamp_min(0) + 1e-4).sqrt().mean()


def gradient_matching(difference: Tensor, weight: Tensor, *, steps: tuple[int, ...] = (1, 2, 4)) -> Tensor:
    """Mean absolute difference of neighbouring log-depth errors, `steps` pixels apart: edges where the truth has them.

    The multi-scale gradient term of MegaDepth (Li & Snavely 2018). Images count alike.
    """
    count = weight.sum((1, 2)).clamp_min(1)
    total = difference.new_zeros(())
    for step in steps:
        across = (difference[:, :, step:] - difference[:, :, :-step]).abs() * weight[:, :, step:] * weight[:, :, :-step]
        down = (difference[:, step:] - difference[:, :-step]).abs() * weight[:, step:] * weight[:, :-step]
        total = total + ((across.sum((1, 2)) + down.sum((1, 2))) / count).mean()
    return total / len(steps)


def pool_depth(depth_m: Tensor, known: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Shrink depth (B, H, W) by averaging its logarithm over known pixels; returns it and where most were known."""
    if factor == 1:
        return depth_m, known
    share = F.avg_pool2d(known[:, None], factor)[:, 0]
    log_depth = depth_m.clamp_min(MIN_DEPTH_M).log() * known
    pooled = F.avg_pool2d(log_depth[:, None], factor)[:, 0] / share.clamp_min(1e-3)
    return pooled.exp(), (share > 0.6).to(torch.float32)
