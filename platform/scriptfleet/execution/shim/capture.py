"""Output of a run: from a pipe to disk, counted exactly, kept up to a cap: its beginning and its end."""

from __future__ import annotations

import os
import select
import stat

from scriptfleet.domain.mask_stream import MaskStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_CHUNK = 65_536
#: What a pipe that is ready takes without blocking: PIPE_BUF.
_ECHO_CHUNK = 4096
_LONGEST_TAIL = 262_144
_STDERR = 2
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Capture:
    """One stream. Keeps the first part in the file and the last part in memory until the end is known.

    The writing end stays open here too until the run is over: that the script closed its own is no news, and would wake
    this process once more for each stream.

    Size and lines are those of what the script wrote; what is kept and passed on has every one of ``masks`` hidden.
    """

    def __init__(self, path: str, cap_bytes: int, echo_fd: int | None, masks: Sequence[bytes] = ()) -> None:
        self.read_fd, self.write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        self._path = path
        #: Made with the first byte: many scripts write nothing, and a file costs more than starting one does.
        self._file: int | None = None
        self._tail_cap = min(cap_bytes // 4, _LONGEST_TAIL)
        self._head_left = cap_bytes - self._tail_cap
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._echo_fd = echo_fd
        self._mask = MaskStream(masks) if masks else None
        self.size_bytes = self.lines = self.cut_bytes = 0
        self._ends_open = self._is_at_end = False
        #: Why nothing more can be kept, such as a full disk.
        self.trouble = ""

    def blocked_by(self) -> int | None:
        """Give the descriptor of a reader along that is not ready for more, or None. It must never be waited for."""
        if self._echo_fd is None:
            return None
        poller = select.poll()
        poller.register(self._echo_fd, select.POLLOUT)
        return None if poller.poll(0) else self._echo_fd

    def pump(self) -> bool:
        """Take one chunk; give False at the end of the stream or when nothing is there."""
        try:
            chunk = os.read(self.read_fd, _CHUNK if self._echo_fd is None else _ECHO_CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._is_at_end = True
            return False
        self._count(chunk)
        self._pass_on(chunk if self._mask is None else self._mask.feed(chunk))
        return True

    def finish(self) -> None:
        """Take what is left in the pipe, write the tail and close everything."""
        os.close(self.write_fd)
        while not self._is_at_end and self.pump():
            pass
        if self._mask is not None:
            self._pass_on(self._mask.feed(b"", is_last=True))
        if self._tail or self.cut_bytes:
            self._write_tail()
        os.close(self.read_fd)
        self._close_file()

    def counts(self) -> dict[str, int | str]:
        """Give what the stream amounted to."""
        lines = self.lines + (1 if self._ends_open else 0)
        return {"size_bytes": self.size_bytes, "lines": lines, "cut_bytes": self.cut_bytes, "trouble": self.trouble}

    def _count(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        self.lines += chunk.count(b"\n")
        self._ends_open = not chunk.endswith(b"\n")

    def _pass_on(self, chunk: bytes) -> None:
        self._keep(chunk)
        if self._echo_fd is not None:
            self._echo(self._echo_fd, chunk)

    def _keep(self, chunk: bytes) -> None:
        head, rest = chunk[: self._head_left], chunk[self._head_left :]
        if head:
            self._head_left -= len(head)
            self._write(head)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
            while self._tail and self._tail_bytes - len(self._tail[0]) >= self._tail_cap:
                dropped = self._tail.pop(0)
                self._tail_bytes -= len(dropped)
                self.cut_bytes += len(dropped)

    def _write_tail(self) -> None:
        tail = b"".join(self._tail)
        over = max(0, len(tail) - self._tail_cap)
        self.cut_bytes += over
        if self.cut_bytes and not self.trouble:
            self._write(cut_note(self.cut_bytes))
        self._write(tail[over:])

    def _write(self, content: bytes) -> None:
        try:
            while content and not self.trouble:
                if self._file is None:
                    self._file = _made_anew(self._path)
                content = content[os.write(self._file, content) :]
        except OSError as fault:
            # A full disk must not end the script: what cannot be kept is counted as cut.
            self.trouble = fault.strerror or str(fault)
        self.cut_bytes += len(content)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
        elif not self.size_bytes:
            # What the script put there itself is not what it wrote.
            _remove(self._path)

    def _echo(self, fd: int, chunk: bytes) -> None:
        try:
            while chunk:
                chunk = chunk[os.write(fd, chunk) :]
        except OSError as fault:
            # Whoever read along has gone; the script goes on.
            self._echo_fd = None
            if fd != _STDERR and not isinstance(fault, BrokenPipeError):
                _tell(f"the output could not be written: {fault.strerror}: the script goes on")


def _tell(message: str) -> None:
    try:
        os.write(_STDERR, f"scriptfleet: {message}\n".encode())
    except OSError:
        # Nobody is left to be told.
        return


def _made_anew(path: str) -> int:
    """Open a file that nobody else made: the script, which runs already, could have put a link there."""
    try:
        return os.open(path, _NEW_FILE, 0o600)
    except FileExistsError:
        _remove(path)
        return os.open(path, _NEW_FILE, 0o600)


def _remove(path: str) -> None:
    """Delete a plain file or a link; what is neither, such as a device, is nobody's output and stays."""
    try:
        if stat.S_IFMT(os.lstat(path).st_mode) in (stat.S_IFREG, stat.S_IFLNK):
            os.unlink(path)
    except OSError:
        # Not there, as nearly always.
        return


def cut_note(cut_bytes: int) -> bytes:
    """Give what stands in kept output where so many bytes were cut."""
    return b"\n[scriptfleet: %d bytes cut here]\n" % cut_bytes
