"""Each command in the documents and in the examples of --help is one that the program takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.cli.verbs import VERBS, parser_of

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def documented() -> Iterator[tuple[str, str]]:
    """Give each command of a block of code, and where it stands."""
    for page in PAGES:
        for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if found := re.match(r"(?:\$ )?(?:[A-Z_]+=\S* )*scriptfleet (?=[a-z])(.*)", line):
                    yield page.name, found[1]


def examples() -> Iterator[tuple[str, str]]:
    """Give each example that a verb's help ends with."""
    for verb in VERBS:
        for line in (parser_of(verb).epilog or "").splitlines():
            if found := re.match(r" *(?:[A-Z_]+=\S* )*scriptfleet (.*)", line):
                yield f"{verb} --help", found[1]


@pytest.mark.parametrize(("place", "command"), [*documented(), *examples()])
def test_each_command_is_taken(place: str, command: str) -> None:
    # What the shell would put in, and what it would do with the output.
    words = shlex.split(re.sub(r"\$\(.*?\)", "4f0c2a9e", command), comments=True)
    shell = next((at for at, word in enumerate(words) if re.match(r"[|&;]|\d?>", word)), len(words))

    verb, *rest = words[:shell]

    assert verb in VERBS, place
    assert parser_of(verb).read(rest) is not None, place


def test_the_documents_have_commands() -> None:
    assert {place for place, _ in documented()} >= {"README.md", "history.md", "access.md", "retries.md"}
