"""Losses against float64 NumPy versions, their limits, and what they forgive."""

import numpy as np
import pytest
import torch

from glpn.training.loss import gradient_matching, image_silog, log_difference, pool_depth, silog_loss


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    target = rng.uniform(0.5, 9, (3, 16, 20)).astype(np.float32)
    target[rng.random(target.shape) < 0.2] = 0
    depth = rng.uniform(0.5, 9, target.shape).astype(np.float32)
    return depth, target


@pytest.mark.parametrize("lambd", [0.0, 0.5, 0.85, 1.0])
def test_silog_is_the_papers(maps, lambd):
    depth, target = maps
    known = target > 0
    d = np.log(target[known].astype(np.float64)) - np.log(depth[known].astype(np.float64))
    expected = np.sqrt(np.mean(d**2) - lambd * np.mean(d) ** 2)
    ours = silog_loss(torch.from_numpy(depth), torch.from_numpy(target), lambd)
    assert ours.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("lambd", [0.0, 0.85, 1.0])
def test_image_silog_is_the_mean_over_images(maps, lambd):
    depth, target = maps
    expected = []
    for own, truth in zip(depth, target, strict=True):
        d = np.log(own[truth > 0].astype(np.float64)) - np.log(truth[truth > 0].astype(np.float64))
        expected.append(np.sqrt(np.mean(d**2) - lambd * np.mean(d) ** 2 + 1e-4))
    weight = torch.from_numpy((target > 0).astype(np.float32))
    difference = log_difference(torch.from_numpy(depth), torch.from_numpy(target), weight)
    assert image_silog(difference, weight, lambd=lambd).item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_lambda_decides_what_a_wrong_scale_costs(maps):
    target = torch.from_numpy(maps[1])
    weight = (target > 0).float()
    doubled = log_difference(2 * target, target, weight)
    assert image_silog(doubled, weight, lambd=1).item() == pytest.approx(0.01, abs=2e-3)  # the root of its 1e-4
    assert image_silog(doubled, weight, lambd=0).item() == pytest.approx(np.log(2), abs=1e-3)


def test_gradient_matching_ignores_scale_and_sees_edges():
    target = torch.ones(1, 8, 8)
    weight = torch.ones_like(target)
    assert gradient_matching(log_difference(3 * target, target, weight), weight).item() == pytest.approx(0, abs=1e-6)
    edged = target.clone()
    edged[:, :, 4:] = 2
    # One column of differences per step and row: steps 1, 2 and 4 cross the edge 1, 2 and 4 times in 8 rows of 64.
    expected = np.log(2) * 8 * (1 + 2 + 4) / 64 / 3
    assert gradient_matching(log_difference(edged, target, weight), weight).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_pixels_change_nothing(maps):
    depth, target = map(torch.from_numpy, maps)
    weight = (target > 0).float()
    wild = torch.where(target > 0, depth, torch.full_like(depth, 1e-9)).requires_grad_()
    loss = image_silog(log_difference(wild, target, weight), weight, lambd=0.85)
    tame = image_silog(log_difference(depth, target, weight), weight, lambd=0.85)
    assert loss.item() == pytest.approx(tame.item(), rel=1e-6)
    loss.backward()
    assert torch.all(wild.grad[target == 0] == 0)


def test_pooling_averages_the_logarithm_of_what_is_known():
    depth = torch.tensor([[[1.0, 4.0], [0.0, 2.0]]])
    pooled, known = pool_depth(depth, (depth > 0).float(), 2)
    assert pooled.item() == pytest.approx(2.0, rel=1e-5)
    assert known.item() == 1
    assert pool_depth(depth, torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), 2)[1].item() == 0
