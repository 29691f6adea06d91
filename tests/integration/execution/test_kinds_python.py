"""Python jobs on interpreters other than the worker's own, and scripts whose packages uv fetches."""

import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from scriptfleet import State
from scriptfleet.domain.job import JobSpec
from scriptfleet.execution.program import HostRules
from tests.conftest import missing
from tests.engine_bench import Bench

WHO = "import sys, json; print(json.dumps([sys.implementation.name, sys.argv[1:], sys.executable]))"


def pypy() -> str:
    found = shutil.which("pypy3")
    if found is None:
        missing("pypy3 on PATH")
    return str(found)


def test_an_interpreter_is_found_by_name_and_tells_its_version(bench: Bench) -> None:
    pypy()
    record = bench.python(WHO, ("a b", ""), interpreter="pypy3")

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert record.stdout.text.startswith('["pypy", ["a b", ""]')
    assert (record.usage.python_version or "").endswith(" (PyPy)")


def test_an_interpreter_is_taken_by_its_path(bench: Bench, tmp_path: Path) -> None:
    link = tmp_path / "my python"
    link.symlink_to(sys.executable)
    record = bench.python(WHO, interpreter=str(link))

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert str(link) in record.stdout.text
    assert record.usage.python_version == ".".join(map(str, sys.version_info[:3]))


def test_a_function_runs_on_the_interpreter_that_the_job_names(bench: Bench) -> None:
    spec = JobSpec(
        "python_function", "x", {"module": "platform", "function": "python_implementation"}, interpreter=pypy()
    )

    assert bench.run(spec).output_data == "PyPy"


@pytest.mark.parametrize(
    ("interpreter", "reason"),
    [
        ("no-such-python", "interpreter no-such-python is not on this machine's PATH"),
        ("/no/such/python", "interpreter /no/such/python is not a program on this machine"),
        ("bin/python", "interpreter bin/python is a relative path"),
        ("/etc/passwd", "interpreter /etc/passwd is not a program on this machine"),
        ("/etc", "interpreter /etc is not a program on this machine"),
        ("/bin/true", "interpreter /bin/true does not run Python code"),
        ("/bin/false", "interpreter /bin/false does not run Python code"),
    ],
)
def test_an_interpreter_that_is_none_is_refused_by_name(bench: Bench, interpreter: str, reason: str) -> None:
    record = bench.python("print('hello')", interpreter=interpreter)

    assert record.outcome is State.REJECTED
    assert reason in (record.usage.error_message or "")


def test_an_interpreter_is_asked_for_its_version_once_until_it_changes(bench: Bench, tmp_path: Path) -> None:
    asked, wrapper = tmp_path / "asked", tmp_path / "python-wrapper"
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = -E ] && echo x >> {asked}\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)

    for _ in range(3):
        assert bench.python("print(1)", interpreter=str(wrapper)).usage.python_version is not None
    assert asked.read_text().count("x") == 1

    os.utime(wrapper, (1, 1))
    bench.python("print(1)", interpreter=str(wrapper))
    assert asked.read_text().count("x") == 2


SCRIPT = """# /// script
# requires-python = ">=3.8"
# dependencies = ["tiny-parcel @ file://{wheel}"]
# ///
import sys, tiny_parcel
print(tiny_parcel.CONTENT, sys.argv[1:])
"""


def wheel(folder: Path) -> Path:
    """Make a package that can be installed without any network."""
    path = folder / "tiny_parcel-1.0-py3-none-any.whl"
    info = "tiny_parcel-1.0.dist-info"
    files = {
        "tiny_parcel.py": "CONTENT = 'unpacked'\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny-parcel\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, content)
    return path


def test_a_script_with_inline_dependencies_gets_them(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beside this interpreter is where a tool of this checkout's environment would be.
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], os.path.dirname(sys.executable)]))
    if shutil.which("uv") is None:
        missing("uv on PATH")
    bench.rules = HostRules(tool_cache=tmp_path / "tools")
    code = SCRIPT.format(wheel=wheel(tmp_path))

    first, second = (bench.python(code, ("a b", "--quiet")) for _ in range(2))

    assert first.outcome is State.SUCCEEDED, first.stderr.text
    assert first.stdout.text == "unpacked ['a b', '--quiet']\n" == second.stdout.text
    assert (tmp_path / "tools" / "uv").is_dir()


def test_a_job_may_say_that_uv_is_not_to_run_it(bench: Bench, tmp_path: Path) -> None:
    record = bench.python(SCRIPT.format(wheel=tmp_path / "none.whl"), uv=False)

    assert (record.outcome, record.usage.error_type) == (State.FAILED, "ModuleNotFoundError")


@pytest.mark.parametrize("code", [SCRIPT.format(wheel="/x.whl"), "print('plain')"])
def test_without_uv_a_script_that_needs_it_is_refused_by_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    record = bench.python(code, uv=True)

    assert record.outcome is State.REJECTED
    assert "uv, which inline.py needs for its inline dependencies, is not on PATH" in (record.usage.error_message or "")
