"""Words that are read without a parser say what they say to one; all others are left to it."""

import argparse
from typing import Any

import pytest

from scriptfleet.cli import run
from scriptfleet.cli.plain_words import HIDDEN, PlainWords
from scriptfleet.cli.verbs import parser_of

PLAIN = (
    [],
    ["s.py"],
    ["-"],
    ["s.py", "--epochs", "3", "-x", "--", "-"],
    ["--disable-history", "s.py"],
    ["--history-db", "h.db", "--quiet", "s.py", "--name", "x"],
    ["--name=a b", "--timeout", "90s", "--memory=2G", "--max-processes", "3", "s.py"],
    ["--env", "A=1", "--env=B=", "-P", "x=1", "--param", "y=2", "s.py"],
    ["--name", "", "--code", "print(1)", "a"],
    ["--name", "a", "--name", "b", "s.py"],
    ["--inherit-env", "s.py"],
    ["--clean-env", "--exclude-env", "A*", "s.py"],
    ["--json", "--json-output", "o.json", "--config", "c.yml", "--log-level", "debug", "--preload", "x", "s.py"],
    ["--retry", "3", "--retry-strategy", "linear", "--retry-on-errors", "A,B", "--user", "me", "s.py"],
    ["--header", "A: b", "--http", "http://x", "--aggregate", "p95", "--show-history", "--history-days", "7"],
)
NOT_PLAIN = (
    ["--help"],
    ["-h"],
    ["--"],
    ["--", "--name"],
    ["--nam", "x", "s.py"],
    ["--no-such-option", "s.py"],
    ["--name"],
    ["--name", "--quiet", "s.py"],
    ["--retry", "-1", "s.py"],
    ["--quiet=yes", "s.py"],
    ["--timeout", "soon", "s.py"],
    ["--retry-strategy", "wild", "s.py"],
    ["-Px=1", "s.py"],
    ["-qx", "s.py"],
    ["--history-db", "h.db", "--disable-history", "s.py"],
    ["--inherit-env", "--clean-env", "s.py"],
    ["s.py", "--timeout", "3"],
    ["s.py", "--help"],
)


def read(words: list[str]) -> Any:
    plain: Any = PlainWords()
    run.build(plain)
    return plain.read(words)


@pytest.mark.parametrize("words", PLAIN, ids=str)
def test_plain_words_say_what_they_say_to_a_parser(words: list[str]) -> None:
    assert vars(read(words)) == vars(parser_of("run").read(words))


@pytest.mark.parametrize("words", NOT_PLAIN, ids=str)
def test_words_that_ask_or_do_not_fit_are_left_to_the_parser(words: list[str]) -> None:
    assert read(words) is None


def test_help_that_is_not_shown_is_marked_as_for_a_parser() -> None:
    assert HIDDEN == argparse.SUPPRESS
