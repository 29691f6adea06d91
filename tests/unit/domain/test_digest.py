"""Digests are the same whoever computes them."""

import hashlib

import pytest

from scriptfleet.domain.digest import sha256_of


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 1])
def test_a_digest_is_that_of_the_standard_library(size: int) -> None:
    content = b"x" * size

    assert sha256_of(content) == hashlib.sha256(content).hexdigest()
