import time
from pathlib import Path

import pytest

from scriptfleet.cli.job_options import add_bounds, add_moments, add_placement, add_source, draft_of
from scriptfleet.cli.verb_parser import VerbParser
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.drafts import Draft

LIMIT = 1_000_000


def drafted(*words: str) -> Draft:
    parser = VerbParser(prog="scriptfleet submit")
    for add in (add_source, add_bounds, add_placement, add_moments):
        add(parser)
    return draft_of(parser.read(words), LIMIT)


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "s.py"
    path.write_text("print(1)\n")
    return str(path)


def test_every_option_reaches_the_spec(script: str) -> None:
    words = "--name n --queue q --priority 9 --timeout 2m --grace 1s --retry 2 --env A=b=c --env D= --secret S"
    words += (
        " --label team=x --group g --working-dir /w --memory 256M --cpu-time 1h --max-processes 9 --output-limit 64K"
    )

    spec = drafted(*words.split(), "--idempotency-key", "k", script, "--name", "x").spec

    assert (spec.name, spec.queue, spec.priority, spec.group, spec.idempotency_key) == ("n", "q", 9, "g", "k")
    assert (spec.timeout_seconds, spec.grace_seconds, spec.retry.max_attempts) == (120.0, 1.0, 3)
    assert (spec.env, spec.secrets, spec.labels, spec.working_dir) == (
        {"A": "b=c", "D": ""},
        ("S",),
        {"team": "x"},
        "/w",
    )
    assert (spec.limits.memory_mb, spec.limits.cpu_seconds, spec.limits.processes) == (256.0, 3600.0, 9)
    assert spec.limits.output_bytes == 65_536
    assert spec.args == ("--name", "x")


def test_delay_and_expiry_are_moments_from_now(script: str) -> None:
    before = time.time()

    spec = drafted("--delay", "10s", "--expires", "1h", script).spec

    assert spec.not_before is not None
    assert spec.expires_at is not None
    assert 10 <= spec.not_before - before < 15
    assert 3600 <= spec.expires_at - before < 3605


def test_code_gets_the_words_as_its_arguments() -> None:
    draft = drafted("--code", "import sys; print(sys.argv)", "a", "--b")

    assert draft.spec.args == ("a", "--b")
    assert draft.content == b"import sys; print(sys.argv)"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "a SCRIPT, --shell COMMAND or --code PYTHON"),
        (["--shell", "true", "--code", "1"], "one of SCRIPT"),
        (["--shell", "true", "x"], "one quoted text"),
        (["--shell", ""], "not empty"),
        (["--code", "  "], "not empty"),
        (["--shell", "true", "--entry", "x.py"], "a folder as SCRIPT"),
        (["--queue", "no such/queue", "--shell", "true"], "letters, digits"),
        (["--priority", "10", "--shell", "true"], "from 0 to 9"),
        (["--retry", "-1", "--shell", "true"], "from 0"),
        (["--timeout", "0", "--shell", "true"], "above 0"),
        (["--env", "1A=x", "--shell", "true"], "do not begin with a digit"),
        (["--output-limit", "1K", "--delay", "5s", "--idempotency-key", "k", "--shell", "true"], "neither --delay nor"),
        (["--delay", "2h", "--expires", "1h", "--shell", "true"], "after not_before"),
        (["/no/such/file.py"], "No such file"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_value(words: list[str], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        drafted(*words)


def test_an_entry_needs_a_folder(script: str) -> None:
    with pytest.raises(InvalidValue, match="a folder as SCRIPT beside it"):
        drafted("--entry", "main.py", script)


def test_a_script_over_the_limit_is_refused_with_the_limit(tmp_path: Path) -> None:
    large = tmp_path / "large.py"
    large.write_text("#" * (LIMIT + 1))

    with pytest.raises(InvalidValue, match=f"at most {LIMIT:,} bytes"):
        drafted(str(large))


def test_a_folder_without_a_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=r"main\.py"):
        drafted(str(tmp_path))
