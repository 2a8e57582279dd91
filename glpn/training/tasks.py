"""What is trained, and on what loss: a task is a module whose `forward` turns a batch into a loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn.model.modeling import DecoderStage, GLPNForDepthEstimation, upsample

from .loss import gradient_matching, image_silog, log_difference, pool_depth, silog_loss
from .teacher import ConvolutionalTeacher, Ensemble, start_at_typical_depth

NEAR_M = 0.1  # targets nearer than this, or within 0.1 % of the maximum, are no measurement
STEPS = (1, 2, 4)  # pixels between which gradients are matched
HALO = 2  # pixels of the last stage at a window's border that two upsamplings and two convolutions can't get right


@dataclass(frozen=True)
class LossWeights:
    """λ of the image-wise SILog, the weight of gradient matching next to it, and the steps (pixels) of the latter."""

    lambd: float = 0.85
    gradient: float = 0.5
    steps: tuple[int, ...] = STEPS


class Task(nn.Module, ABC):
    """Everything that has parameters to train; `network` is the part that is kept."""

    network: nn.Module
    max_depth_m: float

    @abstractmethod
    def forward(self, images: Tensor, depth_m: Tensor) -> Tensor:
        """Return the loss (scalar) of images (B, 3, H, W) and true depth (B, H, W), 0 = unknown."""

    def predict(self, images: Tensor) -> Tensor:
        """Return depth (B, H, W) in metres."""
        return predict_depth(self.network, images)

    def known(self, depth_m: Tensor) -> Tensor:
        return ((depth_m > NEAR_M) & (depth_m < 0.999 * self.max_depth_m)).to(torch.float32)


def predict_depth(network: nn.Module, images: Tensor) -> Tensor:
    """Depth (B, H, W) in metres of a GLPN or a teacher."""
    if isinstance(network, GLPNForDepthEstimation):
        return cast(Tensor, network(images).predicted_depth)
    return cast(Tensor, network(images))


class PaperTask(Task):
    """The paper's: SILog over the batch with λ = 0.5 (section 3.5; λ and the square root as in the authors' code)."""

    def __init__(self, network: GLPNForDepthEstimation, *, lambd: float = 0.5) -> None:
        super().__init__()
        self.network, self.max_depth_m, self.lambd = network, network.config.max_depth, lambd

    def forward(self, images: Tensor, depth_m: Tensor) -> Tensor:
        return silog_loss(self.predict(images).float().clamp_min(1e-3), depth_m, self.lambd)


class TeacherTask(Task):
    """Train the convolutional teacher at all its scales."""

    def __init__(
        self,
        network: ConvolutionalTeacher,
        *,
        lambd: float = 0.85,
        gradient: float = 0.5,
        gradient_steps: Sequence[int] = STEPS,
    ) -> None:
        super().__init__()
        self.network, self.max_depth_m = network, network.config.max_depth_m
        self.weights = LossWeights(lambd, gradient, tuple(gradient_steps))

    def forward(self, images: Tensor, depth_m: Tensor) -> Tensor:
        teacher = cast(ConvolutionalTeacher, self.network)
        depths = teacher.depths(teacher.features(images))
        return torch.stack([depth_loss(d, depth_m, self.known(depth_m), self.weights) for d in depths]).mean()


@dataclass(frozen=True, eq=False)
class Target:
    """Depth to match (B, H, W), where it is known (B, H, W, 0 or 1), its share of the loss, and what counts in it."""

    depth_m: Tensor
    known: Tensor
    weight: float
    loss: LossWeights


@dataclass(frozen=True, kw_only=True)
class DeepOptions:
    """What a `DeepTask` counts how much; the names are those of a recipe's stage.

    teacher_weight   the teacher's share of the depth loss, 0 to 1
    feature_weight   of the loss of the encoder's features
    head_share       of the images whose full-resolution head is trained
    lambd            of the scale-invariant loss against ground truth; `teacher_lambd` against the teacher's depth
    gradient         weight of the depth's gradient, taken over `gradient_steps` pixels
    """

    teacher_weight: float = 0.5
    feature_weight: float = 0.5
    head_share: float = 0.5
    lambd: float = 0.85
    teacher_lambd: float = 0.85
    gradient: float = 0.5
    gradient_steps: Sequence[int] = STEPS


class DeepTask(Task):
    """GLPN from scratch: a depth head on every decoder stage, and the real head on a window of some images.

    Auxiliary heads (dropped afterwards) bring the loss to the encoder by a short way; being 1 × 1 convolutions, they
    commute with the upsampling after them and run before it. The full-resolution head costs more than everything else,
    and learns from little: it sees a random quarter of `head_share` of the images, exact inside the window. With a
    `teacher`, its depth is a second target and its features one for the encoder's stages (through 1 × 1 projections, on
    normalised channels); `teacher_weight` is its share of the depth loss, 0 to 1, and `teacher_lambd` = 1 takes over
    the shape of its depth and leaves the scale to the truth.
    """

    def __init__(
        self,
        network: GLPNForDepthEstimation,
        *,
        teacher: nn.Module | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.network, self.max_depth_m = network, network.config.max_depth
        self.options = own = DeepOptions(**options)
        self.weights = LossWeights(own.lambd, own.gradient, tuple(own.gradient_steps))
        width = network.config.decoder_hidden_size
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in network.config.hidden_sizes)
        for head in self.heads:
            start_at_typical_depth(cast(nn.Conv2d, head))
        # In a list, so that its weights are neither trained nor saved with the task's.
        self._teacher = [teacher.eval().requires_grad_(False)] if teacher is not None else []
        if isinstance(teacher, ConvolutionalTeacher | Ensemble):
            widths = teacher.channels
            self.projections = nn.ModuleList(
                nn.Conv2d(own, other, 1) for own, other in zip(network.config.hidden_sizes, widths, strict=True)
            )
            self.norms = nn.ModuleList(nn.BatchNorm2d(other, affine=False) for other in widths)

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        for teacher in self._teacher:  # moves with the task to its device and memory format
            teacher._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def forward(self, images: Tensor, depth_m: Tensor) -> Tensor:
        network = cast(GLPNForDepthEstimation, self.network)
        maps, _ = network.glpn.encoder(images)
        truth = Target(depth_m, self.known(depth_m), 1.0, self.weights)
        targets = [truth]
        loss = images.new_zeros(())
        if self._teacher:
            taught, feature_loss = self._learn_from_teacher(images, maps)
            loss = loss + self.options.feature_weight * feature_loss
            lenient = replace(self.weights, lambd=self.options.teacher_lambd)
            own, share = Target(taught, torch.ones_like(taught), 1.0, lenient), self.options.teacher_weight
            targets = [replace(truth, weight=1 - share), replace(own, weight=share)]
            targets = [target for target in targets if target.weight > 0]

        x = None
        for features, stage, head in zip(reversed(maps), network.decoder.stages, self.heads, strict=True):
            x = cast(DecoderStage, stage).fuse(features, None if x is None else upsample(x))
            depth = upsample(head(x)).float().sigmoid()[:, 0] * self.max_depth_m
            for target in targets:
                part = depth_loss(depth, target.depth_m, target.known, target.loss)
                loss = loss + 0.4 * target.weight * part
        assert x is not None
        return loss + self._head_loss(x, targets)

    def teach(self, images: Tensor) -> Tensor:
        """Return the teacher's depth (B, H, W) in metres."""
        return predict_depth(self._teacher[0], images)

    def _learn_from_teacher(self, images: Tensor, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the teacher's depth (B, H, W) and the distance of its features from the projected maps."""
        teacher, feature_loss = self._teacher[0], images.new_zeros(())
        with torch.no_grad():
            if isinstance(teacher, Ensemble):
                depth, features = teacher(images)
            elif isinstance(teacher, ConvolutionalTeacher):
                features = teacher.features(images)
                depth = F.interpolate(teacher.depths(features)[-1][:, None], size=images.shape[2:], mode="bilinear")[
                    :, 0
                ]
            else:
                return predict_depth(teacher, images).float(), feature_loss
        for own, project, wanted, norm in zip(maps, self.projections, features, self.norms, strict=True):
            wanted = wanted.float()
            if wanted.shape[2:] != own.shape[2:]:
                wanted = F.interpolate(wanted, size=own.shape[2:], mode="bilinear")
            feature_loss = feature_loss + F.mse_loss(project(own).float(), norm(wanted))
        return depth.clamp(NEAR_M, 0.998 * self.max_depth_m), feature_loss

    def _head_loss(self, x: Tensor, targets: list[Target]) -> Tensor:
        """The loss of the real head on a window, a quarter of the area, of every n-th image of the batch.

        `x` (B, C, h, w) is the last stage's map, at a quarter of the image's height and width.
        """
        network = cast(GLPNForDepthEstimation, self.network)
        every = slice(None, None, round(1 / self.options.head_share))
        height, width = x.shape[2:]
        tall, wide = height // 2 + HALO, width // 2 + HALO
        top, left = window_start(height, tall), window_start(width, wide)
        window = x[every, :, top : top + tall, left : left + wide].contiguous(memory_format=torch.channels_last)
        depth = network.head(upsample(upsample(window))).float()
        rows, columns = slice(4 * top, 4 * (top + tall)), slice(4 * left, 4 * (left + wide))
        exact = torch.zeros_like(depth)
        exact[
            :,
            4 * HALO if top > 0 else 0 : -4 * HALO if top + tall < height else None,
            4 * HALO if left > 0 else 0 : -4 * HALO if left + wide < width else None,
        ] = 1
        loss = x.new_zeros(())
        for target in targets:
            known = exact * target.known[every, rows, columns]
            # A window tells less about the room's scale than the whole picture: penalize scale less there.
            lenient = replace(target.loss, lambd=(1 + target.loss.lambd) / 2)
            part = depth_loss(depth, target.depth_m[every, rows, columns], known, lenient)
            loss = loss + target.weight * part
        return loss


def window_start(length: int, window: int) -> int:
    """Draw where a window of a map begins so that rows at the border are seen as often as those in the middle.

    Drawn evenly, the outermost rows would be in one window of `length - window`; here starts beyond the border count
    for the border.
    """
    free = length - window
    drawn = int(torch.randint(-(free // 2), free + free // 2 + 1, ()).item())
    return min(max(drawn, 0), free)


def depth_loss(depth: Tensor, target: Tensor, known: Tensor, weights: LossWeights) -> Tensor:
    """Image-wise SILog plus gradient matching; the target is pooled if the prediction is smaller."""
    target, known = pool_depth(target, known, target.shape[1] // depth.shape[1])
    difference = log_difference(depth, target, known)
    matching = gradient_matching(difference, known, steps=weights.steps)
    return image_silog(difference, known, lambd=weights.lambd) + weights.gradient * matching
