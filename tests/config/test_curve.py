"""The lambdas of a codec of several rates."""

import math
from typing import Any

import pytest

from fpnkit.config.identity import of_curve
from fpnkit.config.load import plain, validate
from fpnkit.config.schema import CodecConfig


def config(codec: dict[str, Any], **loss: float) -> CodecConfig:
    made = validate(
        {
            "task": "fpn_compression",
            "detector": {"kind": "shapes_fcos"},
            "data": {"train": {"kind": "shapes", "images": 9}},
            "codec": codec,
            "loss": loss,
            "training": {"epochs": 1},
        }
    )
    assert isinstance(made, CodecConfig)
    return made


CURVE: dict[str, Any] = {"kind": "fused", "rates": 5}


def test_lambda_grows_by_equal_factors_along_the_curve() -> None:
    made = config(CURVE, **{"lambda": 100.0, "lowest_lambda": 0.01})
    assert made.qualities == (0.0, 4.0)
    assert made.lambdas == pytest.approx((0.01, 0.1, 1, 10, 100))
    assert made.lmbda_at(2.5) == pytest.approx(math.sqrt(10))


def test_a_codec_of_one_rate_has_its_lambda_and_no_qualities() -> None:
    made = config({"kind": "factorized"}, **{"lambda": 0.25})
    assert (made.qualities, made.lambdas, made.lmbda_at(None)) == (None, (0.25,), 0.25)


def test_lambda_is_part_of_what_a_whole_curve_is_and_no_part_of_what_points_share() -> None:
    whole = of_curve(plain(config(CURVE, **{"lambda": 100.0, "lowest_lambda": 0.01})))
    single = of_curve(plain(config({"kind": "factorized"}, **{"lambda": 0.25})))
    assert (whole["loss.lambda"], whole["loss.lowest_lambda"]) == (100.0, 0.01)
    assert "loss.lambda" not in single
    assert not {"seed"} & {*whole, *single}
