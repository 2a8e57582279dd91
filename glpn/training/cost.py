"""What a training costs before it is begun: products, memory and hours, from the network's shape alone.

Products and kept values are counted; hours rest on RATE, which is assumed. `glpn zoo train --dry-run` measures the rate
of the machine it runs on.
"""

from dataclasses import dataclass

from glpn.configuration import GLPNConfig

GPU = "RTX 3060 with 12 GB"  # the consumer GPU that estimates are for
GPU_BYTES = 12e9
# Multiply-adds per second that it is assumed to reach: half of its float32 peak (3584 cores, 1.78 GHz, one a cycle).
RATE = 0.5 * 3584 * 1.78e9
ADAM_BYTES = 16  # per parameter: weight, gradient and two moments in float32
HALF_BYTES = 2  # per parameter: autocast's copy of the weights
# Bytes per kept value: 4 in float32. Under bfloat16 autocast, norms and sums stay float32: 0.56 of that for b0 at
# 224 × 288, where the weights' copies count least (tests/test_cost.py measures it).
FLOAT32_BYTES, MIXED_BYTES = 4.0, 2.3
WORKSPACE_BYTES = 1e9  # set aside for CUDA's context and cuDNN
FILLED = 0.9  # share of a GPU's memory that a plan may fill, for the gaps between the allocator's blocks


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    products         multiply-adds of the forward pass
    kept             values kept for the backward pass, those inside the encoder's blocks apart
    kept_in_blocks   those inside the blocks
    block_inputs     what is kept of the blocks instead with gradient checkpointing
    """

    products: int
    kept: int
    kept_in_blocks: int
    block_inputs: int

    def training_products(self, *, checkpointing: bool = False) -> int:
        """Multiply-adds of forward and backward, the latter being two forwards; checkpointing adds one."""
        return (4 if checkpointing else 3) * self.products

    def kept_values(self, *, checkpointing: bool = False) -> int:
        """Values kept for the backward pass."""
        return self.kept + (self.block_inputs if checkpointing else self.kept_in_blocks)


def cost_of(config: GLPNConfig, size: tuple[int, int]) -> Cost:
    """Count what a picture of `size` (height, width) costs the network."""
    (height, width), channels, wide = size, config.num_channels, config.decoder_hidden_size
    products = 9 * height * width * (wide * wide + wide)  # the head
    kept = height * width * (2 * wide + 2)
    inside = inputs = 0
    for stage, own in enumerate(config.hidden_sizes):
        patch, stride, depth = config.patch_sizes[stage], config.strides[stage], config.depths[stage]
        kept += height * width * channels
        height, width = ((side + 2 * (patch // 2) - patch) // stride + 1 for side in (height, width))
        tokens, ratio, hidden = height * width, config.sr_ratios[stage], int(own * config.mlp_ratios[stage])
        fewer = (height // ratio) * (width // ratio)
        attention = 2 * own * (tokens * own + fewer * own + tokens * fewer)
        shrinking = fewer * (own * ratio) ** 2 if ratio > 1 else 0
        products += tokens * own * channels * patch**2
        products += depth * (attention + shrinking + tokens * hidden * (2 * own + 9))
        inside += depth * (tokens * (7 * own + 3 * hidden) + (4 if ratio > 1 else 2) * fewer * own)
        inputs += depth * tokens * own
        kept += 2 * tokens * own
        if own != wide:  # the decoder's 1 × 1 convolution
            products += tokens * own * wide
            kept += tokens * own
        if stage < len(config.hidden_sizes) - 1:  # and its fusion
            products += 9 * tokens * (2 * wide * wide + wide * wide // 2 + wide)
            kept += tokens * (8 * wide + 2)
        channels = own
    return Cost(products, kept, inside, inputs)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a training's steps fit into memory, and what they cost: `batch_size` × `accumulate` images a step."""

    batch_size: int
    accumulate: int
    checkpointing: bool
    memory_bytes: float
    products: int

    def hours(self, rate: float = RATE) -> float:
        """Hours at `rate` multiply-adds per second."""
        return self.products / rate / 3600


def plan_training(
    config: GLPNConfig,
    parameters: int,
    size: tuple[int, int],
    *,
    images: int,
    per_step: int,
    teacher: tuple[GLPNConfig, int] | None = None,
    gpu_bytes: float = GPU_BYTES,
) -> Plan:
    """Plan the training on `images` pictures of `size` in mixed precision, `per_step` of them a step.

    The batch is the largest share of `per_step` that fits into `gpu_bytes`; where not even two images fit, gradient
    checkpointing makes room. `teacher` is a network and its parameters that sees every image too.
    """
    cost = cost_of(config, size)
    fixed = WORKSPACE_BYTES + parameters * (ADAM_BYTES + HALF_BYTES)
    extra = 0
    if teacher:
        fixed += teacher[1] * (4 + HALF_BYTES)
        extra = cost_of(teacher[0], size).products
    batches = [batch for batch in range(per_step, 0, -1) if per_step % batch == 0]
    choices = [(batch, again) for again in (False, True) for batch in batches if batch > 1 or again]
    plans = [
        Plan(
            batch_size=batch,
            accumulate=per_step // batch,
            checkpointing=again,
            memory_bytes=fixed + batch * MIXED_BYTES * cost.kept_values(checkpointing=again),
            products=images * (cost.training_products(checkpointing=again) + extra),
        )
        for batch, again in choices
    ]
    return next((plan for plan in plans if plan.memory_bytes <= FILLED * gpu_bytes), plans[-1])
