import subprocess
import sys

import pytest

from fpnkit.anchors import hevc
from fpnkit.anchors.catalogue import ANCHORS, Anchor, missing_encoders, require_qualities, select
from fpnkit.errors import UserError
from tests.support.anchor_inputs import SPEC, fit_of, needs_av, with_skips

FIT = fit_of(SPEC)


def names(*words: str) -> list[str]:
    return [anchor.name for anchor in select(words)]


def test_without_words_all_are_meant() -> None:
    assert names() == [anchor.name for anchor in ANCHORS]
    assert len(set(names())) == len(ANCHORS) == 17


def test_words_are_names_or_families_in_any_order_and_an_anchor_comes_once() -> None:
    assert names("jpeg_input") == ["jpeg_input"]
    assert names("jpeg") == ["jpeg_original", "jpeg_input"]
    assert names("features") == ["features_zstd", "features_hevc", "features_vvc", "features_vvc_klt"]
    assert names("hevc") == ["hevc_original", "hevc_input", "features_hevc"]
    assert names("input") == ["jpeg_input", "webp_input", "avif_input", "jxl_input", "hevc_input", "vvc_input"]
    assert names("zstd", "jpeg_original", "jpeg") == ["jpeg_original", "jpeg_input", "features_zstd"]
    assert set(names("images")) == set(names()) - set(names("features")) - {"boxes"}


def test_an_unknown_word_is_told_with_the_nearest_and_all_others() -> None:
    with pytest.raises(UserError) as caught:
        select(["jpeg", "feature_zst"])
    assert str(caught.value) == (
        "--only feature_zst: no such anchor; did you mean features_zstd? known are jpeg_original, jpeg_input, "
        "webp_original, webp_input, avif_original, avif_input, jxl_original, jxl_input, hevc_original, hevc_input, "
        "vvc_original, vvc_input, features_zstd, features_hevc, features_vvc, features_vvc_klt, "
        "boxes, jpeg, original, images, input, webp, avif, jxl, hevc, vvc, zstd, features"
    )


@pytest.mark.parametrize("anchor", ANCHORS, ids=lambda anchor: anchor.name)
def test_the_own_qualities_of_an_anchor_are_allowed(anchor: Anchor) -> None:
    require_qualities(anchor, anchor.qualities)


@pytest.mark.parametrize(("name", "quality"), [("jpeg_input", 96), ("features_zstd", 0)])
def test_a_quality_that_does_not_exist_is_refused(name: str, quality: int) -> None:
    (anchor,) = select([name])
    what = {"jpeg_input": "a quality from 1 to 95", "features_zstd": "a number of bits from 1 to 8"}[name]
    with pytest.raises(UserError) as caught:
        require_qualities(anchor, [5, quality])
    own = " ".join(map(str, anchor.qualities))
    assert str(caught.value) == f"--qualities {quality}: required for {name} {what}, such as its own {own}"


@pytest.mark.parametrize("anchor", with_skips(list(ANCHORS)))
def test_a_coder_has_the_name_of_its_anchor_and_a_suffix_of_its_own(anchor: Anchor) -> None:
    coder = anchor.build(anchor.qualities[0], SPEC, FIT)
    assert coder.name == anchor.name
    suffixes = [other.build(other.qualities[0], SPEC, FIT).suffix for other in ANCHORS]
    assert suffixes.count(coder.suffix) == 1


@pytest.mark.parametrize("anchor", with_skips(list(ANCHORS)))
def test_encoders_that_are_there_are_found_in_order(anchor: Anchor) -> None:
    assert missing_encoders([anchor]) == {}


@needs_av
def test_a_pyav_that_was_built_without_x265_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    monkeypatch.setattr(hevc, "_ENCODER", "libx265_of_nobody")
    told = f"HEVC: required PyAV with x265, found PyAV {av.__version__} without it"
    assert missing_encoders(select(["hevc", "jpeg"])) == {told: ["hevc_original", "hevc_input", "features_hevc"]}


def test_the_list_needs_no_torch_and_no_pyav() -> None:
    code = "import sys, fpnkit.anchors.catalogue; print({'torch', 'av', 'PIL', 'imageio_ffmpeg'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
