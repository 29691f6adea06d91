"""Secrets in a folder, one file each, as container platforms mount them."""

from collections.abc import Iterable
from pathlib import Path

from scriptfleet.errors import EngineFailed


class FolderSecrets:
    """Reads the file that bears the secret's name, anew for each run. Links may lead inside the folder only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str, /) -> str | None:
        """Give the file's text without its last line break, or None. Raises EngineFailed when it cannot be read."""
        try:
            root = self._folder.resolve()
            path = (root / name).resolve()
            if not path.is_relative_to(root) or path == root:
                raise EngineFailed(f"secret {name} would lie outside {self._folder}: keep its file in the folder")
            # A pipe that nobody writes to would be waited for without end.
            content = path.read_bytes() if path.is_file() else None
        except (OSError, RuntimeError) as fault:
            raise EngineFailed(f"secret {name} cannot be read in {self._folder} ({fault})") from fault
        return None if content is None else text_of(name, content)

    def places(self, name: str, /) -> Iterable[str]:
        """Give the file."""
        return (f"the file {self._folder / name}",)


def text_of(name: str, content: bytes) -> str:
    """Give what a source holds as text, without one line break at its end. Raises EngineFailed for other bytes."""
    try:
        text = content.decode()
    except UnicodeDecodeError as fault:
        raise EngineFailed(
            f"secret {name} is not UTF-8 text: keep it as base64, and decode it in the script"
        ) from fault
    return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")
