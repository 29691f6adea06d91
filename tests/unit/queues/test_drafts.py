"""From what a user names to a spec: kinds are told from names and first lines, bad input is refused by name."""

import datetime
import hashlib
from pathlib import Path
from typing import Any

import pytest

from scriptfleet.domain.kinds import PYTHON_SCRIPT, SHELL
from scriptfleet.domain.limits import Limits
from scriptfleet.domain.retry import RetryPolicy
from scriptfleet.errors import BlobTooLarge, InvalidValue
from scriptfleet.queues.drafts import of_code, of_command, of_function, of_script

LIMIT = 100_000


@pytest.mark.parametrize(
    ("name", "content", "kind", "shell"),
    [
        ("a.py", "print()", PYTHON_SCRIPT, None),
        ("a.sh", "true", SHELL, None),
        ("a.bash", "true", SHELL, "bash"),
        ("job", "#!/usr/bin/env python3\n", PYTHON_SCRIPT, None),
        ("job", "#!/bin/bash\ntrue", SHELL, "bash"),
        ("job", "#!/bin/sh -e\ntrue", SHELL, None),
    ],
)
def test_the_kind_is_told_from_the_name_or_the_first_line(
    tmp_path: Path, name: str, content: str, kind: str, shell: str | None
) -> None:
    (tmp_path / name).write_text(content)
    draft = of_script(tmp_path / name, ["x y"], LIMIT)

    assert (draft.spec.kind, draft.spec.config.get("shell")) == (kind, shell)
    assert draft.spec.args == ("x y",)
    assert draft.content == content.encode()
    assert draft.spec.source is not None
    assert draft.spec.source.sha256 == hashlib.sha256(content.encode()).hexdigest()


def test_a_script_whose_language_cannot_be_told_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.rb").write_text("puts 1")

    with pytest.raises(InvalidValue, match=r"a\.rb"):
        of_script(tmp_path / "a.rb", [], LIMIT)


def test_a_script_that_is_not_there_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"gone\.py.*No such file"):
        of_script(tmp_path / "gone.py", [], LIMIT)


def test_an_empty_script_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(" \n")

    with pytest.raises(InvalidValue, match="not empty"):
        of_script(tmp_path / "a.py", [], LIMIT)


def test_a_script_over_the_limit_is_refused_with_both_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"#" * 200)

    with pytest.raises(BlobTooLarge) as caught:
        of_script(tmp_path / "a.py", [], 100)

    assert (caught.value.size_bytes, caught.value.limit_bytes) == (200, 100)


def test_a_folder_starts_with_main_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print(1)")
    (tmp_path / "other.sh").write_text("true")

    assert of_script(tmp_path, [], LIMIT).spec.config == {"entry": "main.py"}
    assert of_script(tmp_path, [], LIMIT, "other.sh").spec.kind == SHELL


def test_a_folder_without_the_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"main\.py"):
        of_script(tmp_path, [], LIMIT)


def test_equal_code_has_equal_bytes_and_spec() -> None:
    assert of_code("print(1)", [], LIMIT) == of_code("print(1)", [], LIMIT)


def test_a_command_is_named_after_its_program() -> None:
    assert of_command("/usr/bin/rsync -a x y").spec.name == "rsync"


def module_level(a: int, b: int = 2) -> int:
    return a + b


@pytest.mark.parametrize("bad", ["no_colon", lambda: 1, "module:"])
def test_a_function_that_no_worker_could_import_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidValue, match="function"):
        of_function(bad, [], {}, LIMIT)


def test_a_function_travels_by_its_name_and_arguments() -> None:
    config = of_function("json:dumps", [{"a": 1}], {"indent": 2}, LIMIT).spec.config

    assert config == {"module": "json", "function": "dumps", "args": [{"a": 1}], "kwargs": {"indent": 2}}


def test_options_arrive_in_the_spec() -> None:
    at = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    spec = of_command(
        "true", queue="gpu", priority=9, timeout=5, grace=1, retry=3, limits={"memory_mb": 64}, not_before=at
    ).spec

    assert (spec.queue, spec.priority, spec.timeout_seconds, spec.grace_seconds) == ("gpu", 9, 5.0, 1.0)
    assert spec.retry == RetryPolicy(max_attempts=4)
    assert spec.limits == Limits(memory_mb=64)
    assert spec.not_before == at.timestamp()


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"prority": 3}, "prority"),
        ({"retry": -1}, "-1"),
        ({"retry": "twice"}, "twice"),
        ({"limits": {"memory": 1}}, "memory"),
        ({"timeout": 0}, "0"),
        ({"not_before": datetime.datetime(2030, 1, 1)}, "time zone"),  # noqa: DTZ001
        ({"env": {"a b": "c"}}, "a b"),
        ({"secrets": "TOKEN"}, "TOKEN"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name_or_value(options: dict[str, Any], shown: str) -> None:
    with pytest.raises(InvalidValue, match=shown):
        of_command("true", **options)


def test_an_empty_command_is_refused() -> None:
    with pytest.raises(InvalidValue, match="command"):
        of_command("  ")
