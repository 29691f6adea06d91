"""Commands of the user before and after a run. What they print goes to stderr: stdout is the script's."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from scriptfleet.cli.tool_log import log
from scriptfleet.config import own_environment
from scriptfleet.errors import ScriptfleetError

if TYPE_CHECKING:
    from scriptfleet.cli.verb_parser import VerbParser

_SHELL = "/bin/sh"


class HookFailed(ScriptfleetError):
    """The command before a run did not succeed, so there was no run."""

    def __init__(self, command: str, exit_code: int) -> None:
        self.command, self.exit_code = command, exit_code
        super().__init__(f"--before ended with exit code {exit_code}: {command}: the script was not started")


def add_hooks(parser: "VerbParser") -> None:
    """Add --before and --after."""
    group = parser.add_argument_group("hooks (shell commands; what they print goes to stderr)")
    group.add_argument("--before", metavar="COMMAND", help="run this first; when it fails the script is not started")
    group.add_argument(
        "--after",
        metavar="COMMAND",
        help="run this at the end, with SCRIPTFLEET_OUTCOME, _EXIT_CODE, _WALL_SECONDS and _RECORD, a file of JSON",
    )


def before(command: str) -> None:
    """Run the command before a run. Raises HookFailed."""
    code = _run(command, {})
    if code:
        raise HookFailed(command, code)


def after(command: str, told: Mapping[str, str]) -> None:
    """Run the command after a run; that it fails is told and changes nothing."""
    code = _run(command, told)
    if code:
        log.warning("--after ended with exit code %d: %s", code, command)


def _run(command: str, told: Mapping[str, str]) -> int:
    # Few runs have such commands.
    import subprocess  # noqa: PLC0415

    sys.stdout.flush()
    env = {**own_environment(), **told}
    done = subprocess.run(
        [_SHELL, "-c", command], env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), check=False
    )
    return 128 - done.returncode if done.returncode < 0 else done.returncode
