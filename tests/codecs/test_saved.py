"""Checkpoints that nobody trained: whatever is in them, they are refused before the coder reads a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fpnkit.codecs.saved import load_codec
from fpnkit.errors import WeightsError
from fpnkit.torch_files import read_torch_file, save_checkpoint
from tests.support.coded_run import write_run
from tests.support.curve_run import trained_run

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def factorized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs"), 8) / "best_model.pth"


def refused(file: Path, folder: Path, change: Change) -> str:
    """The message about a changed copy of the file, without its path."""
    content = read_torch_file(file)
    change(content)
    save_checkpoint(folder / "changed.pth", content)
    with pytest.raises(WeightsError) as error:
        load_codec(folder / "changed.pth")
    where, _, told = str(error.value).partition(": ")
    assert where == str(folder / "changed.pth")
    return told


def weight(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    """Change the one tensor whose name ends so and comes first."""

    def apply(content: dict[str, Any]) -> None:
        weights = content["state_dict"]
        found = next(each for each in sorted(weights) if each.endswith(name))
        weights[found] = change(weights[found].clone())

    return apply


def put(index: Any, value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        tensor[index] = value
        return tensor

    return change


TABLE = "required whole numbers that rise from 0 to 65536, at least 3 of them"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (weight("._cdf_length", put(0, 0)), f"coding table 0: {TABLE}, found 0 that do not"),
        (weight("._cdf_length", put(1, -5)), f"coding table 1: {TABLE}, found -5 that do not"),
        (weight("._cdf_length", put(0, 2)), f"coding table 0: {TABLE}, found 2 that do not"),
        (weight("._cdf_length", put(0, 10**6)), f"coding table 0: {TABLE}, found 1000000 that do not"),
        (weight("._cdf_length", lambda lengths: lengths[:-1]), "required 3 coding tables, found 2, 3"),
        (weight("._offset", lambda offsets: offsets[:0]), "required 3 coding tables, found 0, 3"),
        (
            weight("._offset", put(2, 2**25)),
            "coding table 2: required a first symbol within 16777216, found 33554432",
        ),
        (weight("._quantized_cdf", lambda cdf: cdf[:1]), "required 3 coding tables, found 1, 3"),
        (weight("._quantized_cdf", lambda cdf: cdf[:, :0]), "required 3 coding tables, found something else"),
    ],
)
def test_tables_that_the_coder_would_read_beyond_are_refused(
    change: Change, message: str, factorized: Path, tmp_path: Path
) -> None:
    told = refused(factorized, tmp_path, change)
    assert told.startswith("levels.p2.")
    assert told.partition(": ")[2] == message


def test_so_are_tables_of_no_frequencies(factorized: Path, tmp_path: Path) -> None:
    for change in (put((0, 0), 1), put((0, 1), 0), put((0, 1), 70_000), put((1, 1), -1)):
        told = refused(factorized, tmp_path, weight("._quantized_cdf", change))
        assert f"{TABLE}, found " in told
    assert TABLE in refused(factorized, tmp_path, weight("._quantized_cdf", lambda cdf: cdf.float()))
    told = refused(factorized, tmp_path, weight("._quantized_cdf", lambda cdf: cdf[0]))
    assert ": required 3 coding tables, found 3, " in told


@pytest.mark.parametrize("name", ["cdf", "length"])
def test_the_fused_codecs_tables_are_checked_alike(name: str, tmp_path: Path) -> None:
    file = trained_run() / "best_model.pth"
    for change in (lambda table: table[:-1], lambda table: table[:0], lambda table: -table, lambda table: table[None]):
        told = refused(file, tmp_path, weight(f".{name}", change))
        assert "coding table" in told


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float, factorized: Path, tmp_path: Path) -> None:
    for name in (".quantiles", ".weight", ".deviation"):
        told = refused(factorized, tmp_path, weight(name, lambda tensor: torch.full_like(tensor, value)))
        assert told.endswith(": required finite numbers, found NaN or infinity")


def test_so_are_numbers_that_do_not_all_stand_in_the_file(factorized: Path, tmp_path: Path) -> None:
    told = refused(factorized, tmp_path, weight(".weight", lambda tensor: tensor.to_sparse()))
    found = "found [8, 64, 5, 5] of torch.float32, torch.sparse_coo, on cpu"
    assert told.endswith(f"required tensors of real numbers that all stand in it, {found}")


def set_to(name: str, value: object) -> Change:
    return lambda content: content.update({name: value})


CONTENT = "config, spec, detector_fingerprint, epoch, state_dict"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("spec"), f"required a codec with {CONTENT}, found no spec"),
        (
            lambda content: [content.pop(name) for name in ("config", "epoch")],
            f"required a codec with {CONTENT}, found no config, epoch",
        ),
        (set_to("schema_version", "new"), "required a schema version, found 'new'"),
        (
            set_to("schema_version", 9),
            "required schema version 1 or older, found 9; it was written by a newer fpnkit",
        ),
        (set_to("epoch", "last"), "required an epoch and a detector_fingerprint, found 'last' and "),
        (set_to("spec", "p2 64 4"), "spec: required a name, channels and a stride for each level, found "),
        (set_to("spec", [["p2", -1, 4]]), "spec: required a name, channels and a stride for each level, found "),
        (
            set_to("spec", [["p2", float("inf"), 4]]),
            "spec: required a name, channels and a stride for each level, found ",
        ),
        (set_to("spec", [["p.2", 64, 4]]), "spec: required a name, channels and a stride for each level, found "),
        (set_to("spec", [["p2", 64, 2**40]]), "spec: required a name, channels and a stride for each level, found "),
        (set_to("schema_version", torch.zeros(2, 2)), "required a schema version, found a Tensor"),
        (set_to("kind", torch.zeros(2, 2)), "required a checkpoint of kind fpn_compression, found something else"),
        (set_to("epoch", torch.zeros(2, 2)), "required an epoch and a detector_fingerprint, found a Tensor and '"),
        (set_to("config", {"task": "fpn_compression"}), "config: required that of a codec's training, found "),
        (set_to("config", 3), "config: required that of a codec's training, found something else ("),
        (set_to("state_dict", {"a": 1}), "state_dict: required tensors by name, found something else"),
        (
            set_to("state_dict", {"a": torch.zeros(1)}),
            "state_dict: required the weights of its config's codec, found others: Missing key(s)",
        ),
        (
            set_to("spec", [["p2", 63, 4], ["p3", 64, 8], ["p4", 64, 16], ["p5", 64, 32]]),
            "state_dict: required the weights of its config's codec, found others: size mismatch for ",
        ),
    ],
)
def test_what_is_no_checkpoint_of_a_codec_is_one_message(
    change: Change, message: str, factorized: Path, tmp_path: Path
) -> None:
    told = refused(factorized, tmp_path, change)
    assert told.startswith(message)
    assert "\n" not in told


def config_of_codec(**options: int) -> Change:
    return lambda content: content["config"]["codec"].update(options)


def test_a_config_of_a_far_larger_codec_is_refused_before_that_takes_memory(factorized: Path, tmp_path: Path) -> None:
    stored = sum(each.numel() for each in read_torch_file(factorized)["state_dict"].values())
    told = refused(factorized, tmp_path, config_of_codec(channels=4096, latent_channels=4096))
    assert told == f"state_dict: required the weights of its config's codec, found {stored:,} numbers"

    def beyond_memory(content: dict[str, Any]) -> None:  # and beyond what a processor can address
        config_of_codec(channels=4096)(content)
        content["spec"] = [[name, 2**30, stride] for name, _, stride in content["spec"]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fpnkit.codecs.saved._MOST", 2**30)
        told = refused(factorized, tmp_path, beyond_memory)
    assert told == "config: required a codec that fits into memory, found a larger one"


def test_what_was_not_changed_loads(factorized: Path) -> None:
    assert load_codec(factorized).hash == read_torch_file(factorized)["model_hash"]
