"""`scriptfleet diff` and `report` over the history file of real runs."""

import json
import stat
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.command import one_line, scriptfleet

HOSTILE = "<script>alert(1)</script>\\x1b[31m </pre><img src=x onerror=alert(1)>"
SCRIPT = f"""
import sys
held = bytearray(int(sys.argv[1]) << 20)
for _ in range(3_000_000): pass
print("{HOSTILE}")
raise SystemExit(int(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the history of three runs of one script."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "<b>work.py").write_text(SCRIPT)
    for words in (["5", "0"], ["5", "0"], ["60", "3"]):
        scriptfleet("run", "--quiet", "--history-db", "h.db", "--env", "TOKEN_X=abc", "<b>work.py", *words, home=folder)
    return folder


def runs(home: Path) -> list[dict[str, Any]]:
    listed = scriptfleet("run", "--show-history", "--history-db", "h.db", "--json", home=home).stdout
    found: list[dict[str, Any]] = json.loads(listed)
    return found[::-1]


class Tags(HTMLParser):
    """Notes the tags and addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "srcset"}]


def test_what_differs_most_comes_first_and_the_spec_s_differences_by_path(home: Path) -> None:
    first, _, last = runs(home)

    words = ("diff", first["run_id"], last["job_id"], "--history-db", "h.db")
    told = json.loads(scriptfleet(*words, "--json", home=home).stdout)
    shown = scriptfleet(*words, home=home).stdout

    names = [one["name"] for one in told["measures"]]
    assert names[0] == "outcome"
    assert {"exit_code", "memory_max_mb", "success", "error_message"} <= set(names)
    relative = [abs(one["relative"]) for one in told["measures"] if one["relative"] is not None]
    assert relative == sorted(relative, reverse=True)
    assert [one["name"] for one in told["spec"]] == ["args"]
    assert all(len(line) <= 80 for line in shown.splitlines())
    assert "abc" not in shown


def test_a_run_differs_from_itself_in_nothing(home: Path) -> None:
    run_id = runs(home)[0]["run_id"]

    assert "nothing differs" in scriptfleet("diff", run_id[:12], run_id, "--history-db", "h.db", home=home).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["diff", "ffff0000ffff", "ffff"], "run not found: ffff0000ffff"),
        (["diff", "$(id)", "ffff"], "the id of a run or a job"),
        (["report", "none.py", "-o", "x.html"], "run not found: none.py"),
        (["report", "<b>work.py", "-o", "nowhere/x.html"], "a file that can be written"),
        (["report", "<b>work.py", "-o", "x.html", "--runs", "9999"], "at most 500"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(home: Path, words: list[str], message: str) -> None:
    assert message in one_line(scriptfleet(*words, "--history-db", "h.db", home=home))


def test_a_report_stands_alone_and_shows_a_hostile_output_harmless(home: Path) -> None:
    told = scriptfleet("report", "<b>work.py", "-o", "out.html", "--history-db", "h.db", home=home)

    assert (told.returncode, told.stdout) == (0, "out.html\n"), told.stderr
    text = (home / "out.html").read_text()
    page = Tags(text)
    assert {"script", "img", "b", "link", "iframe"} & set(page.tags) == set()
    assert page.addresses == []
    assert page.tags.count("svg") >= 3
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in text
    assert 'class="bad"' in text
    assert stat.S_IMODE((home / "out.html").stat().st_mode) == 0o600


def test_a_report_of_one_run_names_that_run(home: Path) -> None:
    run_id = runs(home)[0]["run_id"]

    words = ("report", run_id[:10], "-o", "one.html", "--history-db", "h.db", "--json")
    told = json.loads(scriptfleet(*words, home=home).stdout)

    assert (told["run_id"], told["runs"]) == (run_id, 3)
    assert run_id in (home / "one.html").read_text()
