"""The files that pages load: each under an address that says its content, so that a browser asks for it once."""

import hashlib
from pathlib import Path
from typing import Final

from fastapi import Request
from fastapi.responses import Response

FOLDER: Final = Path(__file__).parent / "static"
#: Open to all, since the login page has them: at paths of their own.
OPEN_FILES: Final = ("style.css", "icon.svg")
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_NOT_MODIFIED: Final = 304
_DIGITS: Final = 16


class StaticFiles:
    """Reads all files once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in _TYPES}
        self._versions = {name: hashlib.sha256(body).hexdigest()[:_DIGITS] for name, body in self._files.items()}

    def __contains__(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._files

    def address(self, name: str) -> str:
        """Give where a file is; raises KeyError for one that is not there."""
        return f"/{name if name in OPEN_FILES else f'static/{name}'}?v={self._versions[name]}"

    def answer(self, request: Request, name: str) -> Response:
        """Give a file.

        Who asks for another version, as a page of a service that is newer or older than this one, gets this one, and
        asks again the next time: it is kept under its own version alone.
        """
        version = self._versions[name]
        is_known = request.query_params.get("v") == version
        headers = {"ETag": f'"{version}"', "Cache-Control": _FOR_EVER if is_known else "no-cache"}
        if f'"{version}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=_NOT_MODIFIED, headers=headers)
        return Response(self._files[name], media_type=_TYPES[Path(name).suffix], headers=headers)
