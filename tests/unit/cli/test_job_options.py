import time
from pathlib import Path

import pytest

from scriptfleet.cli.job_options import add_job, add_moments, add_placement, draft_of
from scriptfleet.cli.surroundings_options import add_warm
from scriptfleet.cli.verb_parser import VerbParser
from scriptfleet.domain.isolation import Isolation
from scriptfleet.domain.retry import RetryPolicy, RetryStrategy
from scriptfleet.errors import InvalidValue
from scriptfleet.queues.drafts import Draft

LIMIT = 1_000_000


def drafted(*words: str) -> Draft:
    parser = VerbParser(prog="scriptfleet submit")
    for add in (add_job, add_warm, add_placement, add_moments):
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


def test_what_is_around_a_run_reaches_the_spec(script: str) -> None:
    words = "--interpreter pypy3 --clean-env --exclude-env TZ --exclude-env CUDA_* --open-files 64 --file-size 1G"
    words += " --user nobody --private-tmp --read-only /srv --read-only /etc --no-network --no-new-privileges"

    spec = drafted(*words.split(), script).spec

    assert (spec.interpreter, spec.inherit_env, spec.exclude_env) == ("pypy3", False, ("TZ", "CUDA_*"))
    assert (spec.limits.open_files, spec.limits.file_size_bytes) == (64, 1 << 30)
    assert spec.isolation == Isolation("nobody", True, ("/srv", "/etc"), True, True)


def test_a_warm_start_and_what_it_finds_imported(script: str) -> None:
    spec = drafted("--warm", "--preload", "json, email.mime", "--inherit-env", script).spec

    assert (spec.warm, spec.preload, spec.inherit_env) == (True, ("json", "email.mime"), True)


def test_what_nobody_said_stays_as_it_is_by_default(script: str) -> None:
    assert set(drafted(script).spec.to_dict()) == {"v", "kind", "name", "config", "source"}


def test_every_part_of_a_retry_policy_can_be_said(script: str) -> None:
    words = "--retry 3 --retry-strategy fibonacci --retry-delay 2s --retry-max-delay 1m --retry-multiplier 1.5"
    words += " --retry-max-time 1h --retry-on-errors ConnectionError,75 --skip-on-errors ValueError"

    policy = drafted(*words.split(), script).spec.retry

    assert policy == RetryPolicy(
        4, RetryStrategy.FIBONACCI, 2.0, 60.0, 1.5, 3600.0, ("ConnectionError", "75"), ("ValueError",)
    )


def test_a_request_names_its_secret_and_does_not_hold_it() -> None:
    words = ["--http", "https://x.example/rows", "--method", "POST", "--header", "Accept: text/csv", "--body", "a=1"]

    spec = drafted(*words, "--bearer", "API_TOKEN").spec

    assert spec.kind == "http_request"
    assert (spec.config["method"], spec.config["headers"], spec.config["body"]) == (
        "POST",
        {"Accept": "text/csv"},
        "a=1",
    )
    assert spec.config["auth"] == {"type": "bearer", "token": {"secret": "API_TOKEN"}}
    assert spec.secrets == ("API_TOKEN",)


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
        ([], "a SCRIPT, --shell COMMAND, --code PYTHON or --http URL"),
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
        (["--retry-delay", "2s", "--shell", "true"], "--retry N beside it"),
        (["--preload", "numpy", "--code", "1"], "--warm beside it"),
        (["--warm", "--preload", "num py", "--code", "1"], "names of Python modules"),
        (["--warm", "--shell", "true"], "none: jobs of kind shell|a Python job"),
        (["--warm", "--no-network", "--code", "1"], "a job without isolation"),
        (["--read-only", "srv", "--shell", "true"], "an absolute path"),
        (["--exclude-env", "A*B", "--shell", "true"], r"\* may stand at the end"),
        (["--open-files", "2", "--shell", "true"], "from 8"),
        (["--method", "POST", "--shell", "true"], "--http URL beside it"),
        (["--http", "ftp://x.example/"], "http"),
        (["--http", "https://x.example/", "more"], "nothing behind --http"),
        (["--http", "https://x.example/", "--shell", "true"], "one of SCRIPT"),
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


def test_what_a_job_asks_of_the_fleet_reaches_the_spec(script: str) -> None:
    words = "--concurrency-key db --concurrency-limit 2 --rate-key api --rate-limit 10/1m"
    words += " --require gpu=a100 --require zone= --needs-memory 4G"

    spec = drafted(*words.split(), script).spec

    assert (spec.concurrency_key, spec.concurrency_limit, spec.rate_key, spec.rate_limit) == ("db", 2, "api", "10/1m")
    assert (spec.requires, spec.needs_memory_mb) == ({"gpu": "a100", "zone": ""}, 4096.0)
