import pytest

from fpnkit.errors import ConfigError, RunError
from fpnkit.runs.compare import ComparedValue, compare_runs
from fpnkit.runs.record import Best
from fpnkit.runs.settings import Setting, chosen_settings
from tests.support.run_dirs import CONFIG, trained, write_run, write_summary
from tests.support.run_processes import command_line
from tests.support.terminal import on_a_terminal


def changed(**sections):
    return {key: value | sections.get(key, {}) if isinstance(value, dict) else value for key, value in CONFIG.items()}


def test_what_differs_is_told_and_nothing_else(base):
    first = trained(base, "run_a", best=Best(2, 2.0, "f", {"bpp_estimated": 0.5, "snr_db": {"p2": 8.0}, "lr": 1.0}))
    second = trained(
        base,
        "run_b",
        changed(loss={"lambda": 0.02}, training={"epochs": 3, "batch_size": 8}),
        commit="b" * 40,
        versions="torch==2.7.0\n",
        best=Best(2, 1.0, "f", {"bpp_estimated": 0.5, "snr_db": {"p2": 10.0}, "lr": 2.0}),
    )
    for path, bpp in ((first, 0.5), (second, 0.25)):
        write_summary(path, "coco", bpp=bpp)
    comparison = compare_runs([first, second])
    assert comparison.names == ("run_a", "run_b")
    assert comparison.sections == {
        "Settings": [
            ComparedValue("loss.lambda", ("0.01", "0.02")),
            ComparedValue("training.batch_size", ("4", "8")),
        ],
        "Source": [
            ComparedValue("commit", ("a" * 40, "b" * 40)),
            ComparedValue("torch", ("2.6.0", "2.7.0")),
        ],
        "Results": [
            ComparedValue("best loss", ("2", "1 (-50.0%)")),
            ComparedValue("snr_db.p2", ("8", "10 (+2.00)")),
            ComparedValue("bpp on coco", ("0.5", "0.25 (-50.0%)")),
        ],
    }


def test_three_runs_stand_side_by_side(base):
    for name, loss in [("run_a", 1.0), ("run_b", 1.0), ("run_c", 3.0)]:
        trained(base, name, best=Best(1, loss, "f"))
    done = command_line("--base-dir", base, "diff", "run_a", "run_b", "run_c")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Settings: no difference\n"
        "Source: no difference\n"
        "Results      run_a  run_b  run_c\n"
        "  best loss  1      1      3 (+200.0%)\n"
    )


def test_a_narrow_terminal_folds_and_loses_nothing(base):
    trained(base, "run_a")
    trained(base, "run_b", commit="b" * 40)
    lines = on_a_terminal(60, "--base-dir", base, "diff", "run_a", "run_b")
    assert all(len(line) <= 60 for line in lines)
    assert (sum(line.count("a") for line in lines[2:]), sum(line.count("b") for line in lines[2:])) >= (40, 40)


def test_damaged_runs_are_compared_as_far_as_they_can_be_read(base):
    first = trained(base, "run_a", best=Best(1, 1.0, "f"))
    (base / "run_b").mkdir()
    (base / "run_b" / "config_used.yaml").write_text("a: [")
    comparison = compare_runs([first, base / "run_b"])
    assert ComparedValue("loss.lambda", ("0.01", "-")) in comparison.sections["Settings"]
    assert ComparedValue("best loss", ("1", "-")) in comparison.sections["Results"]


def test_an_old_style_log_is_compared_by_what_it_told(base):
    new = trained(base, "run_a", best=Best(1, 1.0, "f"))
    (base / "train.log").write_text("lambda: 0.02 batch_size: 4\nEpoch 3 loss: 2\n")
    sections = compare_runs([new, base / "train.log"]).sections
    assert ComparedValue("loss.lambda", ("0.01", "0.02")) in sections["Settings"]
    assert "training.batch_size" not in {each.label for each in sections["Settings"]}
    assert sections["Results"] == [
        ComparedValue("best epoch", ("1", "3 (+200.0%)")),
        ComparedValue("best loss", ("1", "2 (+100.0%)")),
    ]


def test_one_run_is_not_enough(base):
    with pytest.raises(RunError) as error:
        compare_runs([write_run(base, "run_a")])
    assert str(error.value) == "diff: required two runs or more, found 1"


def test_settings_are_held_against_their_defaults(base):
    path = trained(base, "run_a", changed(training={"epochs": 3, "batch_size": 8}))
    assert chosen_settings(path) == [
        Setting("task", "fpn_compression", None, True),
        Setting("data.train.kind", "shapes", None, True),
        Setting("data.train.images", 9, None, True),
        Setting("detector.kind", "shapes_fcos", None, True),
        Setting("loss.lambda", 0.01, None, True),
        Setting("training.epochs", 3, None, True),
        Setting("training.batch_size", 8, 4, False),
    ]


def test_details_show_settings_and_evaluations(base):
    path = trained(base, "run_a", changed(training={"epochs": 3, "batch_size": 8}), best=Best(1, 1.0, "f"))
    write_summary(
        path,
        "coco",
        "89abcdef",
        bpp=0.25,
        ceiling={"map": 0.5, "map50": None},
        lmbda=0.01,
        map=0.4,
        map_interval=[0.3, 0.5],
    )
    done = command_line("--show-details", path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "training.batch_size 8 (default 4)" in lines
    at = lines.index("Evaluation on coco")
    shown = ["images 24", "pixels 1000", "bpp 0.25"]
    assert lines[at + 1 : at + 5] == ["checkpoint 89abcdef", *shown]
    assert {"ceiling.map 0.5", "map 0.4 [0.3, 0.5]"} <= set(lines[at:])


def test_what_an_evaluation_was_given_is_no_result_of_it(base):
    paths = [trained(base, name, best=Best(1, 1.0, "f")) for name in ("run_a", "run_b")]
    for path, lmbda in zip(paths, (0.01, 0.02), strict=True):
        write_summary(path, "coco", lmbda=lmbda, epoch=int(100 * lmbda), bpp=10 * lmbda)
    assert compare_runs(paths).sections["Results"] == [ComparedValue("bpp on coco", ("0.1", "0.2 (+100.0%)"))]


def test_a_curve_is_compared_at_each_quality(base):
    paths = [trained(base, name, best=Best(1, 1.0, "f")) for name in ("run_a", "run_b")]
    for path, bpp in zip(paths, (0.1, 0.2), strict=True):
        for folder, quality, steps in (("q0", 0.0, None), ("q10", 10.0, None), ("q0_s24", 0.0, 24)):
            values = {"bpp": bpp + quality, "kb_per_image": bpp, "quality": quality, "search_steps": steps}
            write_summary(path, "coco", f"89abcdef/{folder}", **values)
    assert compare_runs(paths).sections["Results"] == [
        ComparedValue("bpp on coco at quality 0", ("0.1", "0.2 (+100.0%)")),
        ComparedValue("bpp on coco at quality 10", ("10.1", "10.2 (+1.0%)")),
        ComparedValue("bpp on coco at quality 0 with 24 steps of search", ("0.1", "0.2 (+100.0%)")),
    ]


def test_a_configuration_of_another_version_is_told(base):
    path = trained(base, "run_a")
    (path / "config_used.yaml").write_text("task: fpn_compression\nfuture: 1\n")
    with pytest.raises(ConfigError):
        chosen_settings(path)
    assert "\nSettings\n" in command_line("--show-details", path).stdout
