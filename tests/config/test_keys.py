"""`python -m fpnkit.keys`: what a config can say, from the models themselves."""

import json

import pytest

from fpnkit import keys as command
from fpnkit.config.keys import Key, json_schema, keys
from fpnkit.config.load import plain, validate


def test_every_key_says_what_it_means() -> None:
    silent = [key.path for key in keys() if not key.meaning and key.path.split(".")[-1] not in ("kind", "task")]
    assert silent == []


def test_keys_have_type_default_and_range() -> None:
    found = {(key.path, key.where): key for key in keys()}
    latents = found["codec.latent_channels", "fused"]
    meaning = "Coded in each cell; at most the values of a cell."
    assert latents == Key("codec.latent_channels", "fused", "whole number", "256", "> 0, ≤ 2048", meaning)
    assert found["loss.lambda", ""].default == "required"
    assert found["training.schedule", ""].type == "constant or cosine or plateau"
    assert found["detector.model", "torchvision"].meaning.startswith(
        "Torchvision's name. One of fasterrcnn_resnet50_fpn, "
    )
    assert (found["codec.levels", "fused"].type, found["codec.levels", "fused"].default) == ("list of text", "null")
    assert (found["training.lr", "fpn_compression"].default, found["training.lr", "detection"].default) == (
        "0.0001",
        "0.005",
    )


def test_every_setting_of_a_config_is_a_key() -> None:
    config = validate(
        {
            "task": "fpn_compression",
            "detector": {"kind": "shapes_fcos"},
            "data": {"train": {"kind": "shapes", "images": 4}},
            "codec": {"kind": "fused"},
            "loss": {"lambda": 2, "lowest_lambda": 1},
            "training": {"epochs": 1},
        }
    )
    known = {key.path for key in keys()}

    def paths(values: dict[str, object], prefix: str = "") -> list[str]:
        found = []
        for name, value in values.items():
            path = f"{prefix}{name}"
            found += paths(value, f"{path}.") if isinstance(value, dict) and path not in known else [path]
        return found

    assert [path for path in paths(plain(config)) if path not in known] == ["data.test"]  # none is given


def test_one_section_or_key_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["codec"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["key", "kind", "type", "default", "range", "meaning"]
    assert all(line.startswith("codec.") for line in lines)
    assert command.main(["training.crop"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert command.main(["cdec"]) == 2
    expected = "fpnkit.keys: cdec: required a section or a key, found none of that name; did you mean codec?\n"
    assert capsys.readouterr().err == expected


def test_the_schema_is_one_for_editors(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json_schema()
    assert printed["$defs"]["FusedCodec"]["properties"]["slices"]["description"].startswith("Of the latent channels")
    assert printed["$defs"]["FusedCodec"]["additionalProperties"] is False
