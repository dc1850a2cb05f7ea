from fpnkit.config.diff import Difference, differences, flatten


def test_nested_sections_become_dotted_keys_and_empty_ones_stay_visible() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": None}}, "e": {}}) == {"a.b": 1, "a.c.d": None, "e": {}}


def test_only_what_differs_is_listed_on_either_side() -> None:
    left = {"seed": 1, "loss": {"lambda": 1e-4, "old": 2}}
    right = {"seed": 1, "loss": {"lambda": 2e-4}, "new": True}
    assert differences(left, right) == [
        Difference("loss.lambda", 1e-4, 2e-4),
        Difference("loss.old", 2, None),
        Difference("new", None, True),
    ]


def test_a_config_does_not_differ_from_itself() -> None:
    assert differences({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}) == []
