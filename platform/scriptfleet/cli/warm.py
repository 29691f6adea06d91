"""``scriptfleet warm``: the interpreters that ``run --warm`` has left for later runs, and their end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scriptfleet.cli.amounts import NotAccepted
from scriptfleet.cli.fleet_options import add_json
from scriptfleet.cli.screen import UNKNOWN, age, mebibytes, note, print_json
from scriptfleet.cli.verb_parser import Namespace, VerbParser
from scriptfleet.config import load_settings
from scriptfleet.errors import InvalidValue
from scriptfleet.execution.kept.folder import Folder
from scriptfleet.execution.kept.seen import Seen, seen, stop

_COLUMNS = ("pid>", "modules*", "python", "age>", "idle>", "runs>", "now>", "MiB>", "interpreter*")


def build(parser: VerbParser) -> None:
    """Add the arguments."""
    ls = parser.add_action("ls", "list the interpreters that stay for later runs")
    ls.show_examples("scriptfleet warm ls", "scriptfleet warm ls --json")
    ends = parser.add_action("stop", "end interpreters that stay for later runs; what runs on them goes on")
    ends.add_argument("pids", nargs="*", type=_pid, metavar="PID", help="which, by process")
    ends.add_argument("--all", action="store_true", dest="is_all", help="all of them")
    ends.show_examples("scriptfleet warm stop 4711", "scriptfleet warm stop --all")
    for action in (ls, ends):
        add_json(action)
    parser.show_examples("scriptfleet warm ls", "scriptfleet warm stop --all")


def execute(chosen: Namespace) -> int:
    """Do the action."""
    actions: dict[str, Callable[[Namespace, Path], int]] = {"ls": _list, "stop": _stop}
    return actions[chosen.action](chosen, load_settings().home)


def _list(chosen: Namespace, home: Path) -> int:
    with _folder(home) as folder:
        found = [] if folder is None else list(seen(folder))
    if chosen.as_json:
        print_json([_plain(one) for one in found])
    elif found:
        # Drawing tables costs start-up time that ending them need not pay.
        from scriptfleet.cli.tables import print_table  # noqa: PLC0415

        print_table(_COLUMNS, [_cells(one) for one in found])
    else:
        note("no interpreter stays for later runs: `scriptfleet run --warm SCRIPT` leaves one")
    return 0


def _stop(chosen: Namespace, home: Path) -> int:
    if bool(chosen.pids) == chosen.is_all:
        raise InvalidValue(
            "pids", " ".join(map(str, chosen.pids)), "either processes (`scriptfleet warm ls`), or --all"
        )
    with _folder(home) as folder:
        there = [] if folder is None else list(seen(folder))
        unknown = set(chosen.pids) - {one.pid for one in there}
        if unknown:
            raise InvalidValue("pid", min(unknown), "one of an interpreter that stays: `scriptfleet warm ls`")
        wanted = [one for one in there if chosen.is_all or one.pid in chosen.pids]
        ended = [one for one in wanted if folder is not None and stop(folder, one.name)]
    if chosen.as_json:
        print_json([_plain(one) for one in ended])
        return 0
    for one in ended:
        still = f"; {one.said['running']} of its runs go on" if one.said and one.said["running"] else ""
        print(f"{one.pid}  ended{still}")
    if not ended:
        note("no interpreter stays for later runs")
    return 0


@contextmanager
def _folder(home: Path) -> Iterator[Folder | None]:
    """Give the folder, or None where none was ever made: to look is not to make one."""
    if not (home / Folder.NAME).exists():
        yield None
        return
    folder = Folder(home)
    try:
        yield folder
    finally:
        folder.close()


def _plain(one: Seen) -> dict[str, Any]:
    said = one.said or {}
    return {
        "pid": one.pid,
        "is_answering": one.said is not None,
        "modules": said.get("modules"),
        "interpreter": said.get("interpreter"),
        "python_version": said.get("version"),
        "started_at": said.get("since"),
        "idle_seconds": said.get("idle_seconds"),
        "runs": said.get("runs"),
        "running": said.get("running"),
        "memory_mb": one.memory_mb,
    }


def _cells(one: Seen) -> tuple[str, ...]:
    if one.said is None:
        return str(one.pid), "does not answer", *[UNKNOWN] * 5, mebibytes(one.memory_mb), ""
    said = one.said
    return (
        str(one.pid),
        ",".join(said["modules"]) or UNKNOWN,
        said["version"],
        age(time.time() - said["since"]),
        age(said["idle_seconds"]),
        str(said["runs"]),
        str(said["running"]),
        mebibytes(one.memory_mb),
        said["interpreter"],
    )


def _pid(word: str) -> int:
    if not word.isascii() or not word.isdigit() or int(word) == 0:
        raise NotAccepted(f"{word!r} is not accepted: expected the number of a process")
    return int(word)
