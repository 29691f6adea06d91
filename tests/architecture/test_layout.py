"""The floor plan holds."""

import platform
import sysconfig
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
ROOTS = {"platform": "scriptfleet", "workers": "scriptfleet_workers", "beat": "scriptfleet_beat"}
LONGEST_FILE = 400
SOURCES = sorted(path for root in (*ROOTS, "tests") for path in (REPO / root).rglob("*.py"))


def test_the_folder_platform_never_shadows_the_module_platform() -> None:
    assert Path(platform.__file__).parent == Path(sysconfig.get_path("stdlib"))


@pytest.mark.parametrize("root", ROOTS)
def test_no_source_root_is_a_package_itself(root: str) -> None:
    assert not (REPO / root / "__init__.py").exists()


@pytest.mark.parametrize(("root", "package"), ROOTS.items())
def test_each_source_root_holds_exactly_one_package(root: str, package: str) -> None:
    found = {path.name for path in (REPO / root).iterdir()} - {"__pycache__"}

    assert found == {package}, f"{root}/ may hold only {package}/"


def test_no_file_is_longer_than_the_limit() -> None:
    lengths = {str(path.relative_to(REPO)): len(path.read_text().splitlines()) for path in SOURCES}

    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_module_bears_one_of_the_names_that_say_nothing() -> None:
    banned = {"utils", "util", "common", "helpers", "manager", "base", "misc"}

    assert [path for path in SOURCES if path.stem in banned] == []


def test_no_two_decisions_have_one_number() -> None:
    numbers = [path.name.partition("-")[0] for path in (REPO / "docs" / "decisions").glob("*.md")]

    assert sorted(numbers) == sorted(set(numbers))
