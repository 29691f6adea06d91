"""The name under which a browser saves a file that a script has named."""

import pytest

from scriptfleet.results.rest.artifacts import disposition


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/cron.d/job", "job"),
        ("..", "artifact"),
        (".bashrc", "bashrc"),
        ("..\\..\\windows\\evil.exe", "_.._windows_evil.exe"),
        ('a"; filename=b', "a___filename_b"),
        ("a\r\nSet-Cookie: x=1", "a__Set-Cookie__x_1"),
        ("plot é.png", "plot__.png"),
    ],
)
def test_a_download_is_saved_under_a_plain_name_without_folders(name: str, saved: str) -> None:
    header = disposition(name)

    assert header.startswith(f'attachment; filename="{saved}"; ')
    assert header.isprintable()
    assert header.isascii()
    # The other form is percent-encoded, slashes and backslashes too.
    assert not {"/", "\\"} & set(header)
