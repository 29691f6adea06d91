import pytest

from scriptfleet.domain.terminal_text import TerminalFilter, clean_line

HOSTILE = [
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\",
    "\x1b[2J",
    "\x1b[10;10H",
    "\x1b[?1049h",
    "\x1bP1$q\x1b\\",
    "\x1bc",
    "\x1b(0",
    "\x07",
    "\x08",
    "\r",
    "\x9b",
    "\u202e",
    "\x1b[1 q",
    "\x1b[>4;2m",
]


@pytest.mark.parametrize("sequence", HOSTILE)
def test_what_steers_a_terminal_is_dropped_and_the_text_around_it_stays(sequence: str) -> None:
    assert TerminalFilter().clean(f"a{sequence}b\n\tc") == "ab\n\tc"
    assert clean_line(f"a{sequence}b") == "ab"


@pytest.mark.parametrize("sequence", HOSTILE)
def test_a_sequence_cut_into_pieces_is_dropped_all_the_same(sequence: str) -> None:
    cleaner = TerminalFilter()

    shown = "".join(cleaner.clean(piece) for piece in ["a", *sequence, "b"])

    assert shown == "ab"


def test_colours_stay_and_are_remembered() -> None:
    cleaner = TerminalFilter()

    assert cleaner.clean("\x1b[1;31mred\x1b[0m") == "\x1b[1;31mred\x1b[0m"
    assert cleaner.has_colour


def test_a_sequence_without_end_does_not_grow_for_ever() -> None:
    cleaner = TerminalFilter()

    shown = [cleaner.clean("\x1b]" + "x" * 3000), cleaner.clean("x" * 3000), cleaner.clean("end")]

    assert "".join(shown).endswith("end")
    assert "\x1b" not in "".join(shown)


def test_a_name_becomes_one_line_cut_to_its_length() -> None:
    assert clean_line("a\n\tb  c") == "a b c"
    assert clean_line("x" * 10, 5) == "xxxx…"


def test_colours_go_too_where_nothing_can_show_them() -> None:
    cleaner = TerminalFilter(keeps_colour=False)

    assert cleaner.clean("\x1b[31mred\x1b[0m and \x1b[3") + cleaner.clean("2mgreen") == "red and green"
    assert not cleaner.has_colour
