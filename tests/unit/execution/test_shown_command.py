"""How a process's arguments are shown: on one line, bounded, harmless, without secrets."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.domain.masking import patterns
from scriptfleet.domain.process_tree import LONGEST_COMMAND
from scriptfleet.execution.monitor.command import shown_command
from scriptfleet.execution.monitor.tree import ProcessFacts

SECRET = "hunter2 and more"
MASKS = patterns([SECRET])


def shown(*arguments: bytes, is_cut: bool = False, name: bytes = b"python") -> str:
    joined = b"\0".join(arguments)
    return shown_command(ProcessFacts(1, joined if is_cut else joined + b"\0", is_cut, name, 1.0), MASKS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((b"python", b"a.py"), "python a.py"),
        ((b"x", b"<script>alert(1)</script>"), "x <script>alert(1)</script>"),
        ((b"x\x1b[31mred\x1b]0;title\x07", b"a\nb\tc"), "xred a b c"),
        ((b"\xff\xfe",), "\ufffd\ufffd"),
        ((b"\xe2\x80\xaeabc",), "abc"),
        ((b"x", SECRET.encode()), "x ***"),
        ((b"x", b"hunter2", b"and", b"more"), "x ***"),
        ((b"x", b"hunt\x01er2 and m\x02ore"), "x ***"),
        ((b"x", SECRET.encode().hex().encode()), "x ***"),
        ((b"x", b"--password", b"open sesame"), "x --password *** sesame"),
        ((b"x", b"--api-key=abc", b"-v"), "x --api-key=*** -v"),
        ((b"sh", b"-c", b"DB_PASSWORD='a b' run"), "sh -c DB_PASSWORD=*** run"),
        ((b"x", b"redis://me:pw@host/0"), "x redis://me:***@host/0"),
        ((b"x", b"--token", b"-v"), "x --token -v"),
        ((), "[python]"),
        ((b"", b" "), "[python]"),
    ],
)
def test_a_command_is_one_harmless_line(arguments: tuple[bytes, ...], said: str) -> None:
    assert shown(*arguments) == said


def test_a_name_is_shown_as_harmless_as_arguments_are() -> None:
    assert shown(name=b"a\x1b[31m\nb") == "[a b]"
    assert shown(name=SECRET.encode()) == "[***]"


def test_a_command_of_a_megabyte_is_cut() -> None:
    assert shown(b"x" * 1_000_000) == "x" * (LONGEST_COMMAND - 1) + "…"


@pytest.mark.parametrize("kept", range(1, len(SECRET)))
def test_a_secret_that_the_system_cut_is_hidden_as_well(kept: int) -> None:
    assert shown(b"x", b"--", SECRET.encode()[:kept], is_cut=True) in ("x --", "x -- ***")


@given(st.binary(max_size=600), st.binary(max_size=300), st.booleans())
def test_no_secret_and_no_control_character_is_ever_shown(before: bytes, after: bytes, is_cut: bool) -> None:
    said = shown(before + SECRET.encode() + after, is_cut=is_cut)

    assert SECRET not in said
    assert not any(unicodedata.category(one) == "Cc" for one in said)
    assert 0 < len(said) <= LONGEST_COMMAND
