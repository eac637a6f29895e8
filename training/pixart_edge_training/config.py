"""Every number that shapes a model or a run, in one place, as typed dataclasses.

A preset fixes the shapes. Budgets are given in minutes of wall clock, since a machine's speed is not known beforehand,
or in steps where a run has to be repeatable.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .errors import TrainingError


@dataclass(frozen=True)
class VaeShape:
    """An f8 AutoencoderKL. Few norm groups: many groups on narrow, near-constant art normalise the colour away."""

    channels: int = 4  # RGB flattened on white, then alpha
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (16, 32, 64, 64)
    layers_per_block: int = 1
    norm_num_groups: int = 2
    sample_size: int = 128


@dataclass(frozen=True)
class TextShape:
    """A T5 v1.1 encoder."""

    d_model: int = 192
    num_layers: int = 2
    num_heads: int = 3
    d_kv: int = 64
    d_ff: int = 512
    max_length: int = 64


@dataclass(frozen=True)
class TransformerShape:
    """A PixArtTransformer2DModel without micro-conditions and without a learned sigma."""

    num_layers: int = 6
    num_attention_heads: int = 3
    attention_head_dim: int = 64
    sample_size: int = 16  # latent pixels
    patch_size: int = 2

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim


@dataclass(frozen=True)
class PreviewShape:
    """The decoder half of an AutoencoderTiny: residual blocks at 1/8, 1/4, 1/2 and the full size, all of one width."""

    width: int = 16
    blocks: tuple[int, ...] = (3, 2, 1, 0)


@dataclass(frozen=True)
class Preset:
    """The shapes that belong together. A checkpoint remembers the name of its preset."""

    name: str
    vae: VaeShape = field(default_factory=VaeShape)
    text: TextShape = field(default_factory=TextShape)
    transformer: TransformerShape = field(default_factory=TransformerShape)
    preview: PreviewShape = field(default_factory=PreviewShape)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


PRESETS = {
    "nano": Preset("nano"),
    # Small enough for a test on any machine, and still every layer kind of the real one.
    "tiny": Preset(
        "tiny",
        vae=VaeShape(block_out_channels=(8, 8, 16, 16), sample_size=64),
        text=TextShape(d_model=32, num_layers=1, num_heads=2, d_kv=16, d_ff=64, max_length=32),
        transformer=TransformerShape(num_layers=2, num_attention_heads=2, attention_head_dim=16, sample_size=8),
        preview=PreviewShape(width=8, blocks=(1, 1, 1, 0)),
    ),
}


def preset_named(name: str) -> Preset:
    """Raises TrainingError for a name that is not in the table."""
    if name not in PRESETS:
        raise TrainingError(f"no preset called {name!r}; there are: {', '.join(PRESETS)}", field="preset")
    return PRESETS[name]


@dataclass(frozen=True)
class VaeTraining:
    """Colour first: block means and chroma weigh more than detail, which small convolutions find by themselves."""

    seed: int = 11
    batch_size: int = 32  # crops
    crop: int = 64  # px; the last third sees whole pictures
    crops_per_picture: int = 4
    permuted_share: float = 0.6  # of the crops get their primaries swapped
    whole_batch_size: int = 8
    whole_from: float = 2 / 3  # share of the budget
    learning_rate: float = 2e-3
    muon_learning_rate: float = 0.01
    warm_up: int = 60  # steps
    decay_from: float = 0.6  # share of the budget
    decay_to: float = 0.03
    clip: float = 1.0
    ema: float = 0.995
    block_mean_weight: float = 1.5
    chroma_weight: float = 0.5
    haar_weight: float = 0.15
    alpha_weight: float = 1.0
    see_through: float = (
        0.25  # of the pictures have no backdrop; left alone they are a tenth, and alpha is never learned
    )
    decoder_see_through: float = 0.5
    decoder_noise: float = 0.12  # latents that a denoiser draws are not quite those of an encoder
    kl_weight: float = 1e-6
    logvar_bias: float = -6.0


@dataclass(frozen=True)
class TransformerTraining:
    """v-prediction with linear betas; transformer and text encoder learn together."""

    seed: int = 21
    batch_size: int = 64
    later_batch_size: int = 64
    later_from: float = 0.4  # share of the budget
    pool: int = 4096  # latents kept over all processes; batch / uses_per_latent of them are new each step
    first_fill: int = 384
    uses_per_latent: int = 16
    learning_rate: float = 8e-4
    text_learning_rate: float = 3e-4
    muon_learning_rate: float = 0.02
    muon_momentum: float = 0.95
    warm_up: int = 60  # steps
    decay_from: float = 0.6  # share of the budget
    decay_to: float = 0.03
    clip: float = 1.0
    ema: float = 0.9985
    caption_dropout: float = 0.1
    logit_normal_share: float = 0.75
    logit_normal_mean: float = 0.25
    logit_normal_std: float = 1.0


@dataclass(frozen=True)
class LcmTraining:
    """PixArt-delta: fixed guidance, an EMA target, 40 % of the draws at the times four steps visit."""

    seed: int = 31
    batch_size: int = 32
    ddim_points: int = 50  # equals original_inference_steps of the shipped scheduler
    guidance: float = 3.0  # 1 is no guidance
    visited: tuple[int, ...] = (999, 759, 499, 259)
    visited_share: float = 0.4
    learning_rate: float = 3e-4
    warm_up: int = 30
    decay_from: float = 0.6
    decay_to: float = 0.05
    clip: float = 1.0
    target_ema: float = 0.95
    ema: float = 0.99
    huber: float = 1e-2
    pool: int = 2048
    first_fill: int = 256
    uses_per_latent: int = 16
    blend: float = 0.4  # of the way from the teacher's weights to the student's, in what is shipped


@dataclass(frozen=True)
class PreviewTraining:
    """The decoder that shows a picture while it is being drawn."""

    seed: int = 51
    batch_size: int = 32
    first_cursor: int = 40_000_000
    noise: float = 0.15  # of the latents' deviation, at most
    learning_rate: float = 2e-3
    muon_learning_rate: float = 0.01
    warm_up: int = 50  # steps
    decay_from: float = 0.5
    decay_to: float = 0.03
    clip: float = 1.0
    ema: float = 0.995


@dataclass(frozen=True)
class EvaluatorTraining:
    """Networks that name what a picture shows; trained on real renders only, with their own seeds."""

    seed: int = 41
    held_out_share: float = 0.25  # of the renders show cells that no generator is trained on
    picture: int = 64  # px
    batch_size: int = 64
    learning_rate: float = 2e-3
    warm_up: int = 50
    decay_from: float = 0.4
    decay_to: float = 0.02


@dataclass(frozen=True)
class Drawing:
    """How freely things lie in the pictures a generator learns from, as a part of the scenes' own freedom."""

    spread: float = 0.0


@dataclass(frozen=True)
class Diffusion:
    """The noise schedule, shared by training, distillation and the shipped scheduler configuration."""

    num_train_timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
