"""How long interpreters stay that `run --warm` leaves, and `scriptfleet warm`, which shows and ends them."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from scriptfleet.execution.kept.folder import Folder
from scriptfleet.execution.kept.seen import make_room
from tests.command import one_line, scriptfleet, start
from tests.eventually import eventually
from tests.kept_home import Home, is_alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="interpreters are kept on Linux alone")


def test_one_that_was_killed_is_followed_by_another(home: Home) -> None:
    home.warm("pass")
    gone = home.pid()
    os.kill(gone, signal.SIGKILL)

    assert home.warm("print('ran')").stdout == "ran\n"
    assert home.pid() != gone


def test_one_that_is_frozen_is_ended_and_followed_by_another(home: Home) -> None:
    home.warm("pass")
    frozen = home.pid()
    os.kill(frozen, signal.SIGSTOP)

    result = home.warm("print('ran')")

    assert (result.stdout, result.returncode) == ("ran\n", 0)
    assert "did not answer" in result.stderr
    eventually(lambda: not is_alive(frozen))


def test_one_that_is_frozen_is_seen_and_can_be_ended(home: Home) -> None:
    home.warm("pass")
    frozen = home.pid()
    os.kill(frozen, signal.SIGSTOP)

    assert [(one["pid"], one["is_answering"]) for one in home.kept()] == [(frozen, False)]
    assert "does not answer" in scriptfleet("warm", "ls", home=home.path).stdout
    assert scriptfleet("warm", "stop", str(frozen), home=home.path).stdout == f"{frozen}  ended\n"
    eventually(lambda: not is_alive(frozen))


def test_those_that_were_idle_longest_make_room(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("decimal", "json", "fractions"):
        home.warm("pass", "--preload", module)
    monkeypatch.setattr("scriptfleet.execution.kept.seen.MOST_KEPT", 2)
    folder = Folder(home.path)
    make_room(folder)
    folder.close()

    assert [one["modules"] for one in home.kept()] == [["fractions"]]


def test_machines_that_share_a_home_leave_each_other_alone_until_long_after(home: Home) -> None:
    home.folder.mkdir(mode=0o700)
    others, old = home.folder / ("0" * 32), home.folder / ("f" * 32)
    for path in (others, old):
        path.touch()
    os.utime(old, (0, 0))
    home.warm("pass")

    assert [one["runs"] for one in home.kept()] == [1]
    assert (others.exists(), old.exists()) == (True, False)


def test_where_no_socket_can_be_made_a_run_starts_cold(home: Home) -> None:
    home.warm("pass", "--preload", "decimal")
    name = home.socket()
    scriptfleet("warm", "stop", "--all", home=home.path)
    # What is in the way cannot be taken away.
    Path(name).mkdir()

    result = home.warm("import sys; print('decimal' in sys.modules)", "--preload", "decimal")
    assert result.stdout == "False\n"
    assert "started_cold reason=no interpreter can be kept" in one_line(result)


#: Prints the process that its shim was forked by.
FORKED_BY = "import os; print(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])"


def test_it_ends_by_itself_when_it_is_not_used(home: Home) -> None:
    pid = int(home.warm(FORKED_BY, SCRIPTFLEET_WARM_IDLE_SECONDS="0.5").stdout)

    eventually(lambda: not is_alive(pid))
    assert home.kept() == []


def test_it_ends_when_its_folder_is_gone(home: Home) -> None:
    pid = int(home.warm(FORKED_BY, SCRIPTFLEET_WARM_IDLE_SECONDS="5").stdout)
    shutil.rmtree(home.folder)

    eventually(lambda: not is_alive(pid), within=4)


def test_what_runs_goes_on_when_its_interpreter_is_told_to_stop(home: Home) -> None:
    code = "print('up', flush=True); input(); print('done')"
    process = start("run", "--quiet", "--warm", "--disable-history", home.script(code), home=home.path)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    pid = home.pid()

    assert "1 of its runs go on" in scriptfleet("warm", "stop", str(pid), home=home.path).stdout
    assert home.kept() == []
    assert process.communicate("\n", timeout=60)[0] == "done\n"
    eventually(lambda: not is_alive(pid))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stop"], "either processes"),
        (["stop", "1", "--all"], "either processes"),
        (["stop", "1"], "one of an interpreter that stays"),
        (["stop", "x"], "the number of a process"),
    ],
)
def test_only_interpreters_that_stay_are_stopped(home: Home, words: list[str], told: str) -> None:
    result = scriptfleet("warm", *words, home=home.path)

    assert result.returncode == 2
    assert told in one_line(result)


def test_the_table_fits_80_columns(home: Home) -> None:
    home.warm("pass", "--preload", "decimal,json,fractions,unittest.mock,http.client")

    lines = scriptfleet("warm", "ls", home=home.path).stdout.splitlines()

    assert max(map(len, lines)) <= 80
    assert "decimal" in lines[-1]
    assert "ended" in scriptfleet("warm", "stop", "--all", home=home.path).stdout
