import pytest

from scriptfleet.cli.tables import print_table

COLUMNS = ("job", "name*", "worker*", "wall s>", "MiB>")
ROW = ("4f0c2a9e", "sales_report/main.py", "host-with-a-long-name", "12345.67", "8192.5")


def test_a_number_is_never_cut_however_narrow_the_terminal_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")

    print_table(COLUMNS, [ROW])

    told = capsys.readouterr().out
    assert all(heading.rstrip(">*") in told for heading in COLUMNS)
    assert "4f0c2a9e" in told
    assert "12345.67" in told
    assert told.rstrip().endswith("8192.5")
    assert "sales…" in told


def test_a_table_that_can_fit_80_columns_does(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("4f0c2a9e", "name" * 30, "worker" * 30, "1.00", "8.5")])

    assert max(map(len, capsys.readouterr().out.splitlines())) == 80


def test_what_may_shrink_first_leaves_room_to_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("job", "name*", "queue**", "worker**", "wall s>")
    rows = [("4f0c2a9e", "a" * 30, "q" * 30, "w" * 30, "1.00"), ("4f0c2a9e", "b", "default", "w", "1.00")]

    print_table(columns, rows)

    heading, _, first, _ = capsys.readouterr().out.splitlines()
    assert "a" * 30 in first
    assert "qqqqqqqqqqqqqq…" in first
    assert "wwwww…" in first
    assert max(map(len, (heading, first))) == 80
    print_table(columns, rows[1:])
    assert "default  w" in capsys.readouterr().out


def test_no_color_means_no_escape_sequence_at_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table(("state", "name*"), [("failed", "x")])
    assert "\x1b[" in capsys.readouterr().out

    monkeypatch.setenv("NO_COLOR", "1")
    print_table(("state", "name*"), [("failed", "x")])
    assert "\x1b" not in capsys.readouterr().out
