"""Weight files: found, read without running what is in them, loaded strictly."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fpnkit.data.images import Category
from fpnkit.detectors.weights import WeightFile, find_weights, load_strictly, read_weights
from fpnkit.errors import WeightsError

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}
CHECKPOINT = {
    "schema_version": 1,
    "kind": "detection",
    "config": {"task": "detection", "detector": {"min_size": 320}},
    "state_dict": STATE,
    "categories": [[7, "dog"], [3, "cat"]],
    "epoch": 4,
    "loss": 0.5,
    "metrics": {"map": None},
}


def assert_holds_state(state: dict[str, Tensor]) -> None:
    assert sorted(state) == sorted(STATE)
    assert all(torch.equal(state[key], STATE[key]) for key in STATE)


def message(path: Path) -> str:
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    return str(error.value)


@pytest.mark.parametrize("content", [STATE, {"state_dict": STATE, "epoch": 3}, {"model": STATE}, CHECKPOINT])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_state_dict_is_read_bare_or_nested(tmp_path: Path, content: dict[str, Any], suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(content, path)

    assert_holds_state(read_weights(path).state)


def test_checkpoint_of_a_run_says_how_it_was_trained(tmp_path: Path) -> None:
    path = tmp_path / "best_model.pth"
    torch.save(CHECKPOINT, path)

    file = read_weights(path)

    assert file.path == path
    assert file.categories == (Category(7, "dog"), Category(3, "cat"))
    assert file.trained_as == {"min_size": 320}


def test_safetensors_are_read_with_their_categories(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(STATE, path, {"categories": json.dumps([[1, "circle"], [2, "square"]])})

    file = read_weights(path)

    assert_holds_state(file.state)
    assert file.categories == (Category(1, "circle"), Category(2, "square"))


def test_file_without_categories_says_none(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "weights.pth")
    save_file(STATE, tmp_path / "weights.safetensors")

    assert read_weights(tmp_path / "weights.pth").categories == ()
    assert read_weights(tmp_path / "weights.safetensors").categories == ()


class Malicious:
    """Creates a file wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("by_torch", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path, by_torch: bool) -> None:
    path, proof = tmp_path / "weights.pth", tmp_path / "proof"
    content = {"layer.weight": torch.zeros(1), "extra": Malicious(proof)}
    if by_torch:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content))

    text = message(path)

    assert not proof.exists()
    assert text.startswith(f"{path}: required a file of tensors; it is a pickle with code or objects in it")
    with path.open("rb") as file:  # the file is as dangerous as it should be
        torch.load(file, weights_only=False) if by_torch else pickle.load(file)
    assert proof.exists()


def test_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("no.pth", "no.safetensors"):
        assert message(tmp_path / name) == f"{tmp_path / name}: required a weight file, found nothing"


def test_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.touch()
    assert message(path) == f"{path}: required a weight file, found an empty file"


def test_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_text("no weights here\n" * 10)
    assert message(path) == f"{path}: required a weight file of torch's; it is none, or is torn"


def test_torn_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-100])
    assert message(path) == f"{path}: required a weight file of torch's; it is none, or is torn"


def test_torn_safetensors_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-1])
    assert message(path).startswith(f"{path}: required a safetensors file; it cannot be read as one: ")


def test_dictionary_of_other_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"lr": 0.1, "epoch": 3, "steps": 5, "momentum": 0.9}, path)
    assert message(path) == (
        f"{path}: required a state dict of tensors, bare or under `state_dict` or `model`; "
        "found a dictionary with other entries: `lr`, `epoch`, `steps`, …"
    )


def test_empty_state_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": {}}, path)
    assert message(path) == (
        f"{path}: required a state dict of tensors, bare or under `state_dict` or `model`; found an empty dictionary"
    )


def test_checkpoint_of_a_codec_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best_model.pth"
    torch.save({**CHECKPOINT, "kind": "fpn_compression"}, path)
    assert message(path) == f"{path}: required a checkpoint of a detector, found one of kind `fpn_compression`"


def test_checkpoint_of_a_newer_fpnkit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "best_model.pth"
    torch.save({**CHECKPOINT, "schema_version": 2}, path)
    assert message(path) == f"{path}: required a checkpoint of schema_version 1 or older, found 2; update fpnkit"


def test_malformed_categories_are_named(tmp_path: Path) -> None:
    path = tmp_path / "best_model.pth"
    torch.save({**CHECKPOINT, "categories": ["dog", "cat"]}, path)
    assert message(path) == f"{path}: `categories`: required a list of [id, name], found ['dog', 'cat']"


# --- where weights lie --------------------------------------------------------------------------------------------


def make_run(home: Path, name: str) -> Path:
    run = home / "checkpoints" / "detection" / name
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    torch.save(CHECKPOINT, run / "best_model.pth")
    return run


def test_a_run_means_its_best_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    run = make_run(tmp_path, "run_20261216_120000_lr_5.00e-03_bs_4")

    assert find_weights(run.name) == find_weights("120000") == find_weights(str(run)) == run / "best_model.pth"


def test_a_file_means_itself(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.touch()
    assert find_weights(str(path)) == path
    assert find_weights("elsewhere/no.pth") == Path("elsewhere/no.pth")


def test_what_is_neither_file_nor_run_is_named_with_the_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FPNKIT_HOME", str(tmp_path))
    make_run(tmp_path, "run_20261216_120000_lr_5.00e-03_bs_4")
    base = tmp_path / "checkpoints" / "detection"

    with pytest.raises(WeightsError) as error:
        find_weights("IMAGENET", ["COCO_V1", "DEFAULT"])

    assert str(error.value) == (
        f"weights `IMAGENET`: required COCO_V1, DEFAULT, a file (.pth, .pt, .safetensors) or a run under {base}; "
        f"found none of them: run 'IMAGENET': no run in {base} has this in its name; "
        "did you mean 'run_20261216_120000_lr_5.00e-03_bs_4'?"
    )


# --- loading ------------------------------------------------------------------------------------------------------


def small_module() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def test_every_tensor_is_loaded() -> None:
    module, source = small_module(), small_module()
    load_strictly(module, WeightFile(Path("w.pth"), source.state_dict()), "toy")
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in module.state_dict().items())


def test_counters_of_batch_norm_may_be_missing_or_left_over() -> None:
    module = small_module()
    state = {key: value for key, value in small_module().state_dict().items() if "num_batches" not in key}
    state["9.num_batches_tracked"] = torch.tensor(0)

    load_strictly(module, WeightFile(Path("w.pth"), state), "toy")

    assert torch.equal(module.state_dict()["0.weight"], state["0.weight"])


def test_everything_that_does_not_fit_is_listed_at_once() -> None:
    state = small_module().state_dict()
    for key in ("1.weight", "1.bias", "1.running_mean", "1.running_var"):
        state[f"old{key}"] = state.pop(key)
    del state["2.bias"]
    state["0.weight"] = torch.zeros(91, 3, 1, 1)

    with pytest.raises(WeightsError) as error:
        load_strictly(small_module(), WeightFile(Path("w.pth"), state), "toy")

    assert str(error.value) == (
        "w.pth does not fit toy: "
        "5 keys missing (1.weight, 1.bias, 1.running_mean, …); "
        "4 keys unexpected (old1.weight, old1.bias, old1.running_mean, …); "
        "1 key of another shape (0.weight required 4x3x1x1, found 91x3x1x1)"
    )
