"""What a script says back arrives with its record, from whatever language it speaks."""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from scriptfleet import State
from scriptfleet.domain.run import Artifact, RunRecord
from scriptfleet.execution.engine import Engine, Running
from scriptfleet.execution.reports import Progress
from tests.conftest import missing
from tests.engine_bench import Bench
from tests.eventually import eventually

SPEAKS = """
import scriptfleet_report as report
report.metric("rows", 3)
report.metric("rows", 120)
report.metric("loss", float("nan"))
with open("plot.png", "wb") as plot:
    plot.write(b"pixels")
report.artifact("plot.png")
report.artifact("plot.png", "again.png")
report.artifact("/etc/passwd")
"""


def check_what_it_said(record: RunRecord) -> None:
    sha256 = hashlib.sha256(b"pixels").hexdigest()
    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert record.usage.custom == {"rows": 120.0}
    assert record.usage.to_dict()["custom.rows"] == 120.0
    assert record.artifacts == [Artifact("plot.png", 6, sha256), Artifact("again.png", 6, sha256)]
    assert record.reports_refused == 2
    assert "line 3: metric.value: expected a finite number" in record.report_faults
    assert any(fault.startswith("artifact passwd: path not allowed") for fault in record.report_faults)


def test_a_python_script_reports_measures_and_files(bench: Bench) -> None:
    record = bench.python(SPEAKS)

    check_what_it_said(record)
    kept = bench.workspace.artifacts / record.artifacts[0].sha256
    assert kept.read_bytes() == b"pixels"
    assert RunRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_the_installed_package_says_the_same(bench: Bench) -> None:
    check_what_it_said(bench.python(SPEAKS.replace("import scriptfleet_report as", "from scriptfleet import")))


def test_an_interpreter_without_the_package_can_report_too(bench: Bench) -> None:
    if shutil.which("pypy3") is None:
        missing("pypy3 on PATH")
    check_what_it_said(bench.python(SPEAKS, interpreter="pypy3"))


def test_the_job_s_own_path_for_imports_comes_first(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("WHOSE = 'mine'\n")
    record = bench.python("import mine, scriptfleet_report; print(mine.WHOSE)", env={"PYTHONPATH": str(tmp_path)})

    assert record.stdout.text == "mine\n", record.stderr.text


def test_a_script_on_a_warm_interpreter_can_report_too(bench: Bench) -> None:
    check_what_it_said(bench.python(SPEAKS, warm=True, preload=["json"]))


def test_a_run_that_is_another_user_can_report_and_have_its_files_kept(engine: Engine) -> None:
    if os.geteuid() != 0:
        missing("root, to become another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        record = Bench(engine, Path(folder)).shell(
            """echo '{"metric": {"name": "rows", "value": 7}}' >> "$SCRIPTFLEET_REPORT_FILE"\n"""
            """echo hello > out.txt; chmod 700 .; ln -s /etc/shadow link\n"""
            """for name in out.txt link; do\n"""
            """printf '{"artifact": {"path": "%s/%s"}}\\n' "$PWD" $name >> "$SCRIPTFLEET_REPORT_FILE"\n"""
            """done""",
            isolation={"user": "nobody"},
        )

    assert record.outcome is State.SUCCEEDED, record.stderr.text + str(record.usage.error_message)
    assert record.usage.custom == {"rows": 7.0}
    assert [one.name for one in record.artifacts] == ["out.txt"]
    assert "path not allowed" in record.report_faults[0]


def test_any_language_reports_by_lines_of_json(bench: Bench) -> None:
    record = bench.shell(
        """echo '{"metric": {"name": "rows", "value": 7}}' >> "$SCRIPTFLEET_REPORT_FILE"\n"""
        """echo hello > out.txt\n"""
        """printf '{"artifact": {"path": "%s/out.txt"}}\\n' "$PWD" >> "$SCRIPTFLEET_REPORT_FILE"\n"""
        """echo nonsense >> "$SCRIPTFLEET_REPORT_FILE"\n"""
    )

    assert record.usage.custom == {"rows": 7.0}
    assert [(one.name, one.size_bytes) for one in record.artifacts] == [("out.txt", 6)]
    assert record.report_faults == ["line 3: expected JSON"]


def test_a_script_that_fails_or_is_ended_has_still_said_what_it_said(bench: Bench) -> None:
    speaks = "from scriptfleet import report; report.metric('rows', 1)\n"
    failed = bench.python(speaks + "raise SystemExit(3)")
    ended = bench.python(speaks + "import time; time.sleep(60)", timeout=1.0)

    assert (failed.outcome, failed.usage.custom) == (State.FAILED, {"rows": 1.0})
    assert (ended.outcome, ended.usage.custom) == (State.TIMED_OUT, {"rows": 1.0})


def test_progress_is_known_while_the_script_runs(bench: Bench, tmp_path: Path) -> None:
    go = tmp_path / "go"
    seen = []

    def look(_running: Running) -> None:
        seen.append(eventually(lambda: bench.workspace.reports.look() or False))
        go.touch()

    bench.python(
        "import os, time\nfrom scriptfleet import report\nreport.progress(0.4, 'loading')\n"
        f"while not os.path.exists({str(go)!r}):\n    time.sleep(0.01)",
        on_start=look,
    )

    assert seen == [Progress(0.4, "loading")]


def test_secrets_in_what_a_script_reports_are_masked(bench: Bench) -> None:
    code = (
        "import os\nfrom scriptfleet import report\nkey = os.environ['TOKEN']\n"
        "open('f', 'w').write('x')\nreport.metric('of ' + key, 1)\nreport.artifact('f', key + '.txt')\n"
        "report.artifact('/etc/' + key)\n"
    )
    record = bench.python(code, secrets=["TOKEN"])

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert "s3cret" not in json.dumps(record.to_dict())
    assert record.usage.custom == {"of ***": 1.0}
    assert [one.name for one in record.artifacts] == ["***.txt"]


@pytest.mark.parametrize("make", ["os.symlink('/etc/passwd', path)", "os.mkfifo(path)", "os.mkdir(path)"])
def test_a_report_file_that_is_none_is_not_read(bench: Bench, make: str) -> None:
    record = bench.python(f"import os; path = os.environ['SCRIPTFLEET_REPORT_FILE']; {make}")

    assert record.outcome is State.SUCCEEDED, record.stderr.text
    assert record.reports_refused == 1
    assert "root" not in json.dumps(record.report_faults)
