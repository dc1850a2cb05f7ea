"""What a training step of the factorized codec costs beside one of compressai's own model.

compressai's `FactorizedPrior` takes three channels at stride 16. Here its transforms are replaced by the layers that
fpnkit gives one level, P2 with 64 channels: three strided 5 x 5 convolutions with GDN between them, made by
compressai's own functions, N = M = 64. Both start from the same weights and see the same batches and the same noise.
compressai's side is trained as its example does: `RateDistortionLoss`, two Adams, clipping at 1.0. fpnkit's side is
`codec_step`: beyond that it standardizes and crops, sums bits and errors, and checks that they are finite before
weights change. Crops are of 128 and 256 pixels of the image, a quarter of that on P2.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from compressai.layers import GDN
from compressai.losses import RateDistortionLoss
from compressai.models import FactorizedPrior
from compressai.models.utils import conv, deconv
from compressai.optimizers import net_aux_optimizer
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from fpnkit.codecs.base import Codec
from fpnkit.codecs.build import build_codec
from fpnkit.codecs.factorized import LevelCodec
from fpnkit.config.schema import CodecTraining, FactorizedCodec
from fpnkit.distortions import MseDistortion
from fpnkit.pyramid import LevelSpec, Pyramid, PyramidSpec
from fpnkit.training.losses import Batch, Objective
from fpnkit.training.optim import CodecOptimizers
from fpnkit.training.step import codec_step
from tests.support.in_turns import in_turns

CHANNELS, STEPS, LAMBDA, LR, AUX_LR, CLIP = 64, 20, 2.5e-4, 1e-4, 1e-3, 1.0
SPEC = PyramidSpec((LevelSpec("p2", CHANNELS, 4),))


@pytest.mark.benchmark
@pytest.mark.parametrize("crop", [128, 256])
def test_step_against_compressai(crop: int) -> None:
    torch.manual_seed(0)
    levels = list(torch.randn(STEPS, 4, CHANNELS, crop // 4, crop // 4))
    codec = build_codec(FactorizedCodec(channels=CHANNELS, latent_channels=CHANNELS), SPEC)
    weights = {name: value.clone() for name, value in codec.state_dict().items()}

    def ours() -> Callable[[], list[float]]:
        own = build_codec(FactorizedCodec(channels=CHANNELS, latent_channels=CHANNELS), SPEC)
        own.load_state_dict(weights)
        torch.manual_seed(1)
        return partial(fpnkit_steps, own, levels)

    def compressai() -> Callable[[], list[float]]:
        own = build_codec(FactorizedCodec(channels=CHANNELS, latent_channels=CHANNELS), SPEC)
        own.load_state_dict(weights)
        level = own.levels["p2"]
        assert isinstance(level, LevelCodec)
        model = OneLevelPrior(level)
        torch.manual_seed(1)
        return partial(compressai_steps, model, levels)

    found = in_turns(ours, compressai, repetitions=9)
    title = f"a step on P2, {CHANNELS} channels, batch 4, crops of {crop} pixels, {torch.get_num_threads()} threads"
    print(found.table(title, ("fpnkit's codec_step", "compressai's FactorizedPrior"), STEPS, "step"))
    for ours_timed, compressai_timed in found.pairs:
        assert len(ours_timed.result) == STEPS
        assert ours_timed.result == pytest.approx(compressai_timed.result, rel=1e-3)


class OneLevelPrior(FactorizedPrior):
    """compressai's model with the layers, and the weights, of one level of fpnkit's."""

    def __init__(self, level: LevelCodec) -> None:
        n = m = CHANNELS
        super().__init__(n, m)
        self.g_a = nn.Sequential(conv(n, n), GDN(n), conv(n, n), GDN(n), conv(n, m))
        inverse = partial(GDN, inverse=True)
        self.g_s = nn.Sequential(deconv(m, n), inverse(n), deconv(n, n), inverse(n), deconv(n, n))
        self.g_a.load_state_dict(level.analysis.state_dict())
        self.g_s.load_state_dict(level.synthesis.state_dict())
        self.entropy_bottleneck.load_state_dict(level.bottleneck.state_dict())


def fpnkit_steps(codec: Codec, levels: list[Tensor]) -> list[float]:
    goal = Objective(LAMBDA, MseDistortion(255.0**2, {"p2": 1.0}))
    optimizers = CodecOptimizers.of(codec, CodecTraining(epochs=1, lr=LR, aux_lr=AUX_LR))
    # compressai counts the cells of its input as pixels.
    batches = [Batch(Pyramid({"p2": level}), level[:, 0].numel()) for level in levels]
    return [codec_step(codec, batch, goal, optimizers, clip=CLIP, amp=False).loss for batch in batches]


def compressai_steps(model: OneLevelPrior, levels: list[Tensor]) -> list[float]:
    criterion = RateDistortionLoss(lmbda=LAMBDA)
    optimizers = net_aux_optimizer(model, {"net": {"type": "Adam", "lr": LR}, "aux": {"type": "Adam", "lr": AUX_LR}})
    losses = []
    model.train()
    for level in levels:
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        found = criterion(model(level), level)
        found["loss"].backward()
        clip_grad_norm_(model.parameters(), CLIP)
        optimizers["net"].step()
        aux_loss = model.aux_loss()
        aux_loss.backward()
        optimizers["aux"].step()
        losses.append(found["loss"].item())
    return losses
