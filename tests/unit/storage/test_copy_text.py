"""What COPY is given; tests/contract/test_ingest_batches.py has PostgreSQL read odd texts."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from scriptfleet.storage.copy_text import CopyFile

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def all_of(file: CopyFile) -> bytes:
    return b"".join(iter(file.read, b""))


def test_rows_come_in_pieces_and_none_is_lost_between_them() -> None:
    assert all_of(CopyFile((number, None) for number in range(601))).decode() == "".join(
        f"{number},null\n" for number in range(601)
    )
    assert all_of(CopyFile([])) == b""


def test_bytes_are_written_as_hexadecimal_digits() -> None:
    assert all_of(CopyFile([("a", b"\x00\xff", None)], has_bytes=True)) == b'"a","\\\\x00ff",null\n'


@given(st.lists(st.tuples(texts, texts)))
def test_any_text_comes_through(rows: list[tuple[str, str]]) -> None:
    written = io.StringIO(all_of(CopyFile(rows)).decode(), newline="")

    assert list(csv.reader(written, doublequote=False, escapechar="\\", strict=True)) == [[*row] for row in rows]
