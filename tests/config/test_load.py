from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.config.load import load_config, parse_override, plain, to_yaml, validate
from fpnkit.config.schema import CodecConfig, FactorizedCodec
from fpnkit.errors import ConfigError

CODEC = """\
task: fpn_compression
detector: {kind: shapes_fcos}
data:
  train: {kind: shapes, images: 8}
loss: {lambda: 2.5e-4}
training: {epochs: 3}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(text)
    return path


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        load_config(path, [parse_override(text) for text in overrides])
    assert error.value.exit_code == 2
    assert str(error.value) == "\n".join(error.value.problems)
    return error.value.problems


def test_all_problems_are_reported_at_once_with_line_and_nearest_key(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
task: fpn_compression
detector: {kind: nanodet}
data:
  train:
    kind: shapes
    images: true
    foo: 3
  val: {images: 3}
los: {lambda: 3}
loss:
  lamda: 1e-4
training:
  epochs: 0
  lr: yes
  schedule: cosin
  clip: -.inf
codec: 3
""",
    )
    assert problems(path) == [
        f'{path}:2: detector.kind: unknown value "nanodet"; did you mean nanodet_m?',
        f"{path}:6: data.train.images: required a whole number, found true",
        f"{path}:7: data.train.foo: unknown key; known are kind, images, seed",
        f"{path}:8: data.val.kind: required, but missing; one of shapes, coco, folder, holdout",
        f"{path}:9: los: unknown key; did you mean loss?",
        f"{path}:10: loss.lambda: required, but missing",
        f"{path}:11: loss.lamda: unknown key; did you mean lambda?",
        f"{path}:13: training.epochs: required a number greater than 0, found 0",
        f'{path}:14: training.lr: required a number, found "yes"',
        f'{path}:15: training.schedule: unknown value "cosin"; did you mean cosine?',
        f"{path}:16: training.clip: required a number greater than 0, found -Infinity",
        f"{path}:17: codec: required a section with keys, found 3",
    ]


def test_a_codec_without_kind_is_the_factorized_one(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, CODEC + "codec: {channels: 8}\n"))
    assert isinstance(config, CodecConfig)
    assert config.codec == FactorizedCodec(kind="factorized", channels=8)
    assert load_config(write(tmp_path, CODEC)) == load_config(write(tmp_path, CODEC + "codec: {kind: factorized}\n"))


def test_problems_of_the_codec_name_its_keys_and_the_known_kinds(tmp_path: Path) -> None:
    path = write(tmp_path, CODEC + "codec: {chanels: 8}\n")
    assert problems(path) == [f"{path}:7: codec.chanels: unknown key; did you mean channels?"]
    assert problems(path, "codec.kind=wavelet") == [
        '--set codec.kind=wavelet: codec.kind: unknown value "wavelet"; known are factorized, fused, linear'
    ]


def test_a_codec_of_several_rates_needs_a_range_of_lambdas(tmp_path: Path) -> None:
    path = write(tmp_path, CODEC + "codec: {kind: fused}\n")
    lowest = "loss.lowest_lambda: required"
    assert problems(path) == [f"{path}:5: {lowest} with 8 rates of the codec, found none"]
    assert problems(path, "loss.lowest_lambda=1e9") == [
        f"--set loss.lowest_lambda=1e9: {lowest} less than loss.lambda, 0.00025, found 1e+09"
    ]
    assert problems(path, "loss.lowest_lambda=1e-5", "codec.rates=1") == [
        f"--set loss.lowest_lambda=1e-5: {lowest} none for a codec of one rate, found 1e-05"
    ]


@pytest.mark.parametrize("value", ["0", "-1", "-1e-9"])
def test_lambda_must_be_positive(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, CODEC)
    found = float(value) if "e" in value else value
    assert problems(path, f"loss.lambda={value}") == [
        f"--set loss.lambda={value}: loss.lambda: required a number greater than 0, found {found}"
    ]


def test_problems_of_overrides_name_the_flag_as_typed(tmp_path: Path) -> None:
    assert problems(write(tmp_path, CODEC), "training.batch_size=four", "sed=3", "training.epochs.x=1") == [
        "--set training.epochs.x=1: training.epochs is the value 3, not a section"
    ]
    assert problems(write(tmp_path, CODEC), "training.batch_size=four", "sed=3") == [
        '--set training.batch_size=four: training.batch_size: required a whole number, found "four"',
        "--set sed=3: sed: unknown key; did you mean seed?",
    ]
    assert problems(write(tmp_path, CODEC), "los.lambda=3") == [
        "--set los.lambda=3: los: unknown key; did you mean loss?"
    ]


@pytest.mark.parametrize("text", ["lr", "=3", "training..lr=1"])
def test_an_override_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_override(text)
    assert str(error.value) == f"--set {text}: required key.path=value, such as training.lr=1e-4"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [\n", "2: not YAML: expected the node content, but found '<stream end>'"),
        ("- a\n", "1: required sections such as `task:` and `data:`, found no key at all"),
        ("", "1: task: required, but missing; one of fpn_compression, detection"),
        ("task: detect\n", '1: task: unknown value "detect"; did you mean detection?'),
        ("task: detection\ntask: detection\n", "2: task: appears twice, first on line 1"),
        (
            "seed: !!python/object/apply:os.system [ls]\n",
            "1: seed: a tag such as !!python/object/apply:os.system is not allowed, required plain values",
        ),
    ],
)
def test_what_is_no_config_at_all_is_said_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path, text)
    assert problems(path) == [f"{path}:{problem}"]


def test_a_missing_file_and_a_binary_file_are_named(tmp_path: Path) -> None:
    assert problems(tmp_path / "no.yaml") == [f"{tmp_path}/no.yaml: cannot be read: No such file or directory"]
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert problems(tmp_path / "b.yaml") == [f"{tmp_path}/b.yaml: not YAML: required UTF-8 text"]


def test_an_unset_variable_in_a_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    path = write(tmp_path, CODEC.replace("{kind: shapes, images: 8}", "{kind: folder, images: $NOWHERE/x}"))
    assert problems(path) == [
        f'{path}:4: data.train.images: the environment variable NOWHERE is not set, found "$NOWHERE/x"'
    ]


def test_paths_are_expanded_and_absolute_but_names_of_weights_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEWHERE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    text = CODEC.replace("{kind: shapes, images: 8}", '{kind: folder, images: "${SOMEWHERE}/x"}')
    config = load_config(write(tmp_path, text), [parse_override("data.test={kind: folder, images: y}")])
    assert plain(config)["data"]["train"]["images"] == f"{tmp_path}/x"
    assert plain(config)["data"]["test"]["images"] == f"{tmp_path}/y"
    assert plain(config)["detector"]["weights"] == "builtin"
    config = load_config(write(tmp_path, text), [parse_override("detector.weights=w.pth")])
    assert plain(config)["detector"]["weights"] == f"{tmp_path}/w.pth"


@given(
    lmbda=st.floats(1e-12, 1e12),
    lr=st.floats(1e-9, 1.0),
    seed=st.integers(0, 2**40),
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$~"), min_size=1, max_size=20),
)
def test_what_is_written_out_loads_again_as_the_same_config(lmbda: float, lr: float, seed: int, name: str) -> None:
    data = {
        "task": "fpn_compression",
        "detector": {"kind": "plugin", "name": name, "options": {"a": [1, None, {"b": name}]}},
        "data": {"train": {"kind": "shapes", "images": 8}},
        "loss": {"lambda": lmbda, "weights": {"p2": 0.5}},
        "training": {"epochs": 3, "lr": lr},
        "seed": seed,
    }
    config = validate(data)
    from fpnkit.config.yaml import parse

    source = parse(to_yaml(plain(config)))
    assert not source.problems
    assert validate(source.data) == config
    assert isinstance(config, CodecConfig)
    assert config.loss.lmbda == lmbda


def test_exponents_without_a_dot_are_numbers_and_yes_is_text(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, CODEC), [parse_override("training.lr=1e-4"), parse_override("seed=010")])
    assert config.training.lr == 1e-4
    assert config.seed == 10
