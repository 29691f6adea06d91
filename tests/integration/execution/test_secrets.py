"""Secrets reach the script that names them, and are seen nowhere."""

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scriptfleet.domain.run import RunRecord
from scriptfleet.domain.state import State
from scriptfleet.execution.engine import Engine
from scriptfleet.execution.local import run_local
from scriptfleet.queues.drafts import of_code, of_command, of_function
from tests.engine_bench import Bench, kept_output
from tests.eventually import eventually

VALUE = "hunter2-and-$ome/more"
READ = "import os, sys, base64, json; value = os.environ['TOKEN']\n"


@pytest.fixture
def keeper(engine: Engine, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(engine, tmp_path, secrets={"TOKEN": VALUE})
    yield made
    assert made.alive() == []


def assert_clean(bench: Bench, record: RunRecord) -> None:
    everything = str(record.to_dict()).encode()
    everything += kept_output(bench.workspace.stdout) + kept_output(bench.workspace.stderr)
    raw = VALUE.encode()
    for form in (raw, base64.b64encode(raw)[:-4], raw.hex().encode(), b"%24ome"):
        assert form not in everything


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("print(value)", "***\n"),
        ("print('Authorization: Bearer ' + value + '!')", "Authorization: Bearer ***!\n"),
        ("print(base64.b64encode(value.encode()).decode())", "***\n"),
        ("print(base64.urlsafe_b64encode(value.encode()).decode())", "***\n"),
        ("print(value.encode().hex())", "***\n"),
        ("from urllib.parse import quote; print('https://x/?t=' + quote(value, safe=''))", "https://x/?t=***\n"),
        ("print(json.dumps({'token': value}))", '{"token": "***"}\n'),
        ("print([value])", "['***']\n"),
        ("print(value, value, sep='')", "******\n"),
        ("sys.stdout.write(value[:9]); sys.stdout.write(value[9:])", "***"),
        ("for one in value: sys.stdout.write(one)", "***"),
    ],
)
def test_a_secret_that_a_script_prints_is_not_kept(keeper: Bench, code: str, shown: str) -> None:
    record = keeper.python(READ + code, secrets=["TOKEN"])

    assert record.stdout.text == keeper.workspace.stdout.read_text() == shown
    assert_clean(keeper, record)


def test_base64_of_a_text_around_a_secret_is_hidden_at_each_place(keeper: Bench) -> None:
    code = "for lead in range(9): print(base64.b64encode(b'x' * lead + value.encode() + b' and the rest').decode())"
    record = keeper.python(READ + code, secrets=["TOKEN"])

    lines = record.stdout.text.splitlines()
    assert len(lines) == 9
    assert all("***" in line for line in lines)
    assert_clean(keeper, record)


@pytest.mark.skipif(shutil.which("base64") is None, reason="needs base64")
def test_base64_in_lines_of_76_characters_is_hidden_across_their_ends(keeper: Bench) -> None:
    record = keeper.shell("{ printf '%050d' 0; printf %s \"$TOKEN\"; printf '%080d' 0; } | base64", secrets=["TOKEN"])

    assert record.stdout.text.count("***") == 1
    assert_clean(keeper, record)


def test_a_secret_in_two_writes_with_a_pause_between_is_never_shown_in_part(keeper: Bench) -> None:
    code = """
import time
sys.stdout.write('begin\\n' + value[:10]); sys.stdout.flush()
while not os.path.exists('go'): time.sleep(0.01)
sys.stdout.write(value[10:] + '\\nend\\n'); sys.stdout.flush()
"""
    seen: list[bytes] = []

    def look(_: object) -> None:
        eventually(lambda: kept_output(keeper.workspace.stdout).startswith(b"begin"))
        seen.append(keeper.workspace.stdout.read_bytes())
        (keeper.workspace.work / "go").touch()

    record = keeper.python(READ + code, secrets=["TOKEN"], on_start=look, timeout=20)

    assert seen == [b"begin\n"]
    assert record.stdout.text == "begin\n***\nend\n"


def test_a_beginning_that_turns_out_to_be_no_secret_is_shown_after_all(keeper: Bench) -> None:
    assert keeper.python(READ + "print(value[:-1])", secrets=["TOKEN"]).stdout.text == VALUE[:-1] + "\n"
    assert keeper.python(READ + "sys.stdout.write(value[:-1])", secrets=["TOKEN"]).stdout.text == VALUE[:-1]


def test_a_secret_in_a_traceback_is_hidden_there_and_in_the_message(keeper: Bench) -> None:
    record = keeper.python(READ + "raise ValueError(f'wrong password {value}')", secrets=["TOKEN"])

    assert record.usage.error_message == "ValueError: wrong password ***"
    assert "ValueError: wrong password ***" in record.stderr.text
    assert_clean(keeper, record)


def test_size_and_lines_are_those_of_what_the_script_wrote(keeper: Bench) -> None:
    record = keeper.python(READ + "print(value)\nprint(value, end='')", secrets=["TOKEN"])

    assert record.stdout.text == "***\n***"
    assert (record.usage.stdout_size_bytes, record.usage.stdout_lines) == (2 * len(VALUE) + 1, 2)


def test_a_secret_where_output_is_cut_is_hidden_on_both_sides_of_the_cut(keeper: Bench) -> None:
    code = "for _ in range(20_000): sys.stdout.write(value)"
    record = keeper.python(READ + code, secrets=["TOKEN"], limits={"output_bytes": 4096})

    assert set(re.sub(rb"\n\[scriptfleet: \d+ bytes cut here\]\n", b"", keeper.workspace.stdout.read_bytes())) == {42}
    assert record.usage.stdout_size_bytes == 20_000 * len(VALUE)


def test_much_output_beside_a_secret_arrives_whole(keeper: Bench) -> None:
    code = "text = ('line of some eighty characters, as programs print them ' * 2)[:79] + '\\n'\n"
    code += "for _ in range(300): sys.stdout.write(text * 100)\nprint(value)"
    record = keeper.python(READ + code, secrets=["TOKEN"], limits={"output_bytes": 1 << 23})

    kept = keeper.workspace.stdout.read_bytes()
    assert len(kept) == 300 * 100 * 80 + 4
    assert kept.endswith(b"\n***\n")
    assert record.usage.stdout_lines == 30_001


def test_a_variable_that_looks_like_a_secret_is_hidden_too(keeper: Bench) -> None:
    record = keeper.shell("echo $DB_PASSWORD $MODE", env={"DB_PASSWORD": "pass-word", "MODE": "visible"})

    assert record.stdout.text == "*** visible\n"


def test_a_variable_made_of_a_secret_gives_it_to_the_script_and_to_nobody_else(keeper: Bench) -> None:
    given = {"URL": "pg://me:${TOKEN}@db/x"}
    record = keeper.shell('echo $URL; test "$URL" = "pg://me:$TOKEN@db/x"', env=given, secrets=["TOKEN"])

    assert (record.outcome, record.stdout.text) == (State.SUCCEEDED, "pg://me:***@db/x\n")


def test_a_reference_that_is_not_defined_keeps_the_run_from_starting(keeper: Bench) -> None:
    record = keeper.shell("true", env={"A": "${NOPE}"})

    assert (record.outcome, record.usage.error_type) == (State.REJECTED, "InvalidJob")
    assert "env[A]" in (record.usage.error_message or "")
    assert "${NOPE}" in (record.usage.error_message or "")


def test_what_a_function_returns_is_masked(keeper: Bench) -> None:
    spec = of_function("os:getenv", ("TOKEN",), {}, 1 << 20, secrets=["TOKEN"]).spec

    assert keeper.run(spec).output_data == "***"


def test_a_local_run_finds_secrets_among_its_own_variables_and_passes_none_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN", VALUE)
    monkeypatch.setenv("SCRIPTFLEET_HOME", str(tmp_path))
    code = tmp_path / "show.py"
    code.write_text(READ + "print('got', value)\nprint('bad', value, file=sys.stderr)")
    record = run_local(of_code(code.read_text(), (), 1 << 20, secrets=["TOKEN"]).spec, script=code)

    assert record.outcome is State.SUCCEEDED
    assert capfd.readouterr() == ("got ***\n", "bad ***\n")


def test_the_workers_own_secrets_reach_no_script_that_inherits(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SCRIPTFLEET_REDIS_URL", "SCRIPTFLEET_SIGNING_KEY"):
        monkeypatch.setenv(name, "of the worker")
    monkeypatch.setenv("BROKER", "redis://x:of the worker@h".replace(" ", "-"))
    monkeypatch.setenv("SITE", "north")
    bench = Bench(engine, tmp_path)

    for inherit in (None, True, False):
        record = bench.python("import os; print(dict(os.environ))", inherit_env=inherit)
        assert "of the worker" not in record.stdout.text.replace("-", " ")
        assert ("north" in record.stdout.text) is (inherit is True)
    assert "of the worker" not in bench.shell("cat /proc/$PPID/environ | tr '\\0' '\\n'").stdout.text


def test_a_shell_job_may_name_a_secret_in_its_command(keeper: Bench) -> None:
    record = keeper.run(of_command('echo "got ${TOKEN}"', secrets=["TOKEN"]).spec)

    assert record.stdout.text == "got ***\n"
