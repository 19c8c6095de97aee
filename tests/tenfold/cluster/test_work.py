from __future__ import annotations

import pytest

from tenfold.cluster.work import Work, in_words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1024**3, "1 GiB"),
        (5000 * 1024**4, "5000 TiB"),
    ],
)
def test_bytes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words


def test_training_takes_several_times_the_table() -> None:
    work = Work(n_rows=1000, n_columns=10, size_bytes=1)
    assert work.cells == 10_000
    assert work.training_bytes == 10_000 * 4 * 4 * 3
