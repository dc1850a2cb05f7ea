import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpnkit.foundation.redact import Redactor, without_secrets


def redactor(environment=None, arguments=()):
    return Redactor(environment or {}, arguments)


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "GITHUBTOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "DB_PASSWORD",
        "db_passwd",
        "DB_PWD",
        "WANDB_API_KEY",
        "APIKEY",
        "KEY",
        "GOOGLE_CREDENTIALS",
        "apiToken",
        "HTTP_AUTH",
    ],
)
def test_the_value_of_a_variable_with_a_secret_name_is_masked_anywhere(name):
    assert redactor({name: "hunter22"}).text("a hunter22 b xhunter22y") == "a *** b x***y"


@pytest.mark.parametrize("name", ["PWD", "PATH", "KEYBOARD", "MONKEY", "TOKENIZERS_PARALLELISM", "AUTHOR", "COMPASS"])
def test_the_value_of_an_ordinary_variable_is_left_alone(name):
    assert redactor({name: "hunter22"}).text("a hunter22 b") == "a hunter22 b"


def test_a_short_value_is_not_hunted_in_ordinary_text():
    assert redactor({"MY_KEY": "4"}).text("batch_size: 4") == "batch_size: 4"


def test_a_key_of_several_lines_is_masked_line_by_line():
    secret = "-----BEGIN-----\nabcdefghijk\nlmnopqrstuv\n"
    patch = "+-----BEGIN-----\n+abcdefghijk\n+lmnopqrstuv\n"
    assert redactor({"SSH_KEY": secret}).text(patch) == "+***\n+***\n+***\n"


def test_the_longer_of_two_secrets_goes_first():
    assert redactor({"A_TOKEN": "abcdef", "B_TOKEN": "abcdefghi"}).text("abcdefghi") == "***"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--set", "x.token=abc", "lr=1e-4"], ["--set", "x.token=***", "lr=1e-4"]),
        (["--password", "pw", "--seed", "3"], ["--password", "***", "--seed", "3"]),
        (["--api-key=pw"], ["--api-key=***"]),
        (["o={token: abc, n: 3}"], ["o={token: ***, n: 3}"]),
        (["o={'token': 'abc', 'n': 3}"], ["o={'token': '***', 'n': 3}"]),
        (["header=Authorization: Bearer abc def"], ["header=Authorization: ***"]),
        (["root=https://me:pw@host/x"], ["root=https://***@host/x"]),
        (["training.keep_best=3", "--lambda", "1"], ["training.keep_best=3", "--lambda", "1"]),
    ],
)
def test_secrets_on_a_command_line_are_masked_by_the_names_before_them(arguments, shown):
    assert redactor(arguments=arguments).arguments(arguments) == shown


def test_a_secret_of_the_command_line_is_masked_in_other_texts_too():
    known = redactor(arguments=["--password", "hunter22", "--set", "x.token=opensesame"])
    assert known.text("hunter22 and opensesame") == "*** and ***"


def test_a_url_without_a_user_is_left_alone():
    text = "https://host/path?mail=a@b and git@host:x"
    assert redactor().text(text) == text


def test_every_text_inside_a_value_is_masked():
    value = {"a": ["hunter22", {"hunter22": 1}], "b": None, "c": 2.5}
    assert redactor({"A_TOKEN": "hunter22"}).value(value) == {"a": ["***", {"***": 1}], "b": None, "c": 2.5}


@given(st.text(min_size=6).filter(lambda value: "*" not in value), st.text(), st.text())
def test_no_secret_survives_whatever_stands_around_it(secret, before, after):
    assert secret not in redactor({"A_TOKEN": secret}).text(before + secret + after).replace("***", "*\0*")


def test_settings_lose_what_is_under_a_secret_name_and_keep_everything_else():
    settings = {
        "cache": {"directory": "/home/me/features", "budget_gb": 20.0},
        "options": {
            "api_key": "k",
            "token": ["a", "b"],
            "credentials": {"user": "me", "id": 3},
            "password": None,
            "url": "https://me:pw@host/x",
            "tokenizer": "plain",
        },
    }
    assert without_secrets(settings) == {
        "cache": {"directory": "/home/me/features", "budget_gb": 20.0},
        "options": {
            "api_key": "***",
            "token": ["***", "***"],
            "credentials": {"user": "***", "id": "***"},
            "password": None,
            "url": "https://***@host/x",
            "tokenizer": "plain",
        },
    }
