"""Interpreters that stay serve their user alone, and only what is theirs is trusted."""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import one_line, scriptfleet
from tests.eventually import eventually
from tests.kept_home import Home

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="interpreters are kept on Linux alone")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
NOBODY = 65_534


def test_an_over_long_home_is_no_obstacle(home: Home) -> None:
    deep = home.path / ("d" * 120)
    deep.mkdir()
    inner = Home(deep)
    try:
        assert inner.warm("print('ran')").stderr == ""
        assert [one["runs"] for one in inner.kept()] == [1]
    finally:
        scriptfleet("warm", "stop", "--all", home=deep)


def _is_cold(home: Home, why: str) -> None:
    result = home.warm("import sys; print('decimal' in sys.modules)", "--preload", "decimal")
    assert (result.stdout, result.returncode) == ("False\n", 0)
    assert why in one_line(result)


def test_a_folder_that_others_may_enter_is_not_trusted(home: Home) -> None:
    home.folder.mkdir(mode=0o700)
    home.folder.chmod(0o750)

    _is_cold(home, "others may enter it (mode 750): chmod 700")


def test_a_folder_that_is_a_link_is_not_followed(home: Home) -> None:
    (home.path / "elsewhere").mkdir(mode=0o700)
    home.folder.symlink_to(home.path / "elsewhere")

    _is_cold(home, "no folder for kept interpreters")
    assert list((home.path / "elsewhere").iterdir()) == []


@needs_root
def test_a_folder_of_another_user_is_not_trusted(home: Home) -> None:
    home.folder.mkdir(mode=0o700)
    os.chown(home.folder, NOBODY, NOBODY)

    _is_cold(home, f"it belongs to user {NOBODY}")


def _as_nobody(act: Callable[[], bytes]) -> tuple[int, int]:
    """Do something in a child that is another user; give its process, and what its answer can be read from."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(writing, act())
            signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    return pid, reading


def _ended(pid: int, reading: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reading)


@needs_root
def test_a_socket_at_which_another_user_listens_is_not_trusted(home: Home, tmp_path: Path) -> None:
    home.warm("pass", "--preload", "decimal")
    os.kill(home.pid(), signal.SIGKILL)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "trap"))

    def listen() -> bytes:
        listener.listen()
        return b"up"

    pid, reading = _as_nobody(listen)
    try:
        assert os.read(reading, 10) == b"up"
        os.rename(tmp_path / "trap", home.socket())
        _is_cold(home, "is another user's")
    finally:
        _ended(pid, reading)
        listener.close()


@needs_root
def test_another_user_who_reaches_the_socket_is_answered_nothing(home: Home) -> None:
    home.warm("pass")
    home.folder.chmod(0o755)
    os.chmod(home.socket(), 0o777)
    # To where that user has no way, an open descriptor has.
    folder = os.open(home.folder, os.O_RDONLY | os.O_DIRECTORY)
    name = os.path.basename(home.socket())

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"/proc/self/fd/{folder}/{name}")
            try:
                connection.sendall(b"sf1 ask.")
                return b"heard " + connection.recv(100)
            except (BrokenPipeError, ConnectionResetError):
                return b"heard "

    pid, reading = _as_nobody(ask)
    os.close(folder)
    assert os.read(reading, 200) == b"heard "
    _ended(pid, reading)
    home.folder.chmod(0o700)
    assert [one["runs"] for one in home.kept()] == [1]


ASKS = """
    import os, socket, sys
    null = os.open(os.devnull, os.O_RDWR)
    connection = socket.socket(socket.AF_UNIX)
    folder, name = os.path.split(sys.argv[1])
    # The path may be longer than an address.
    connection.connect(f"/proc/self/fd/{os.open(folder, os.O_RDONLY)}/{name}")
    socket.send_fds(connection, [b"sf1 run."], [null] * 3)
    try:
        print("heard", bool(connection.recv(100)))
    except ConnectionResetError:
        print("heard False")
"""


@pytest.mark.parametrize("options", [["--no-new-privileges"], pytest.param(["--no-network"], marks=needs_root)])
def test_a_script_that_was_set_apart_gets_nothing_run_outside(home: Home, options: list[str]) -> None:
    home.warm("pass")
    # Of the same user as the command, but it may do less.
    run = ["run", "--quiet", "--disable-history"]
    asks, address = home.script(ASKS), home.socket()

    assert scriptfleet(*run, asks, address, home=home.path).stdout == "heard True\n"
    assert scriptfleet(*run, *options, asks, address, home=home.path).stdout == "heard False\n"
    assert [one["runs"] for one in home.kept()] == [2]


def _gain_no_privileges() -> None:
    assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0


def test_a_socket_at_which_a_process_listens_that_may_do_less_is_passed_over(home: Home, tmp_path: Path) -> None:
    home.warm("pass")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "trap"))
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        _gain_no_privileges()
        listener.listen()
        os.write(writing, b"up")
        signal.pause()
        os._exit(0)
    try:
        assert os.read(reading, 10) == b"up"
        os.rename(tmp_path / "trap", home.socket())
        assert home.warm("print('ran')").stdout == "ran\n"
        assert [one["runs"] for one in home.kept()] == [1]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        listener.close()


def _connected(home: Home) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    folder = os.open(home.folder, os.O_RDONLY | os.O_DIRECTORY)
    connection.connect(f"/proc/self/fd/{folder}/{os.path.basename(home.socket())}")
    os.close(folder)
    return connection


def test_garbage_and_a_flood_of_connections_keep_nobody_out(home: Home) -> None:
    home.warm("pass")
    pid = home.pid()
    null = os.open(os.devnull, os.O_RDONLY)
    silent = [_connected(home) for _ in range(50)]
    for said, descriptors in [(b"\xff" * 500, []), (b"sf1 run.", []), (b"sf1 run.", [null]), (b"sf", [null] * 3)]:
        with _connected(home) as connection:
            socket.send_fds(connection, [said], descriptors)
    with _connected(home) as connection:
        socket.send_fds(connection, [b"sf1 run."], [null] * 40)
    with _connected(home) as connection:
        # Answered, and then garbage instead of a plan: the shim dies of it, and no other.
        socket.send_fds(connection, [b"sf1 run."], [null, null, null])
        assert connection.recv(4)
        connection.sendall(b"\xff" * 100)
    os.close(null)

    assert home.warm("print('ran')").stdout == "ran\n"
    assert home.pid() == pid
    for connection in silent:
        connection.close()
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) < 12)
