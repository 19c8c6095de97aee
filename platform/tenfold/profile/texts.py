"""Texts: how one is cut into counts, and the mergeable summary of a column of them.

A text becomes how often each of `N_TEXT_SLOTS` places is hit by its words and by its pairs of
neighboring words, or, where the column says so, by its runs of three and four characters, so that
no vocabulary has to be fitted, stored or agreed upon: equal texts give equal counts on any machine.
What is fitted is how many texts hit a place at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from tenfold.profile.grid import Floats, Ints
from tenfold.profile.numbers import NumberProfile

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MAX_GRAM_CHARACTERS",
    "MAX_TEXT_CHARACTERS",
    "N_TEXT_SLOTS",
    "TextProfile",
    "gram_counts",
    "text_counts",
    "text_grams",
    "text_words",
]

N_TEXT_SLOTS = 128
"""1 kB of codes a row and column; with prose of twenty words a quarter of the places are hit."""

MAX_TEXT_CHARACTERS = 20_000
"""What stands behind is not read: a text of a client may not cost more than about a millisecond."""

MAX_GRAM_CHARACTERS = 3_000
"""The same for characters, which give two runs each: a few milliseconds at most."""

_GRAM_SIZES = (3, 4)
"""Shorter runs are in every text; longer ones are words, which the other way counts."""

_WORD = re.compile(r"\w+")


def text_words(text: str) -> list[str]:
    """The words of a text in lower case.

    >>> text_words("Two rooms, quiet; no. 7")
    ['two', 'rooms', 'quiet', 'no', '7']
    """
    return _WORD.findall(text[:MAX_TEXT_CHARACTERS].lower())


def text_counts(words: Sequence[str]) -> list[float]:
    """Hits per place, whole numbers, `N_TEXT_SLOTS` of them.

    Source: K. Weinberger et al., "Feature hashing for large scale multitask learning" (2009); the
    hash is CRC-32 of the UTF-8 bytes, modulo the number of places.

    >>> sum(text_counts(["quiet", "rooms"]))  # two words and one pair
    3.0
    """
    return _hits((*words, *map(" ".join, pairwise(words))))


def _hits(grams: Sequence[str]) -> list[float]:
    counts = [0.0] * N_TEXT_SLOTS
    for gram in grams:
        counts[crc32(gram.encode("utf-8", "surrogatepass")) % N_TEXT_SLOTS] += 1.0
    return counts


def text_grams(text: str) -> list[str]:
    """The runs of three and four characters of a text, in lower case.

    Blanks of any kind and number are one; the text's ends count as blanks, so that a beginning
    differs from a middle. Punctuation stays: it is what codes and addresses are told by.

    >>> text_grams("AB  c")
    [' ab', 'ab ', 'b c', ' c ', ' ab ', 'ab c', 'b c ']
    """
    plain = " ".join(text[:MAX_GRAM_CHARACTERS].lower().split())
    if not plain:
        return []
    whole = f" {plain} "
    return [whole[k : k + n] for n in _GRAM_SIZES for k in range(len(whole) - n + 1)]


def gram_counts(text: str | None, grams: str) -> list[float]:
    """Hits per place of a text by what its column is counted by; none for a missing text.

    Args:
        text: of one row.
        grams: ``words`` or ``chars``, see `tenfold.schema.Column`.

    >>> sum(gram_counts("AB c", "chars")), sum(gram_counts("AB c", "words"))
    (7.0, 3.0)
    """
    if text is None:
        return [0.0] * N_TEXT_SLOTS
    if grams == "words":
        return text_counts(text_words(text))
    return _hits(text_grams(text))


@dataclass(frozen=True, eq=False)
class TextProfile:
    """One column of texts. A value: merging returns a new one, exact in any order.

    Attributes:
        words: the number of words of a text, over the rows with one.
        documents: rows whose text hits each place, int64 (`N_TEXT_SLOTS`,).
    """

    words: NumberProfile
    documents: Ints

    @classmethod
    def from_array(cls, array: pa.Array, *, grams: str = "words") -> TextProfile:
        """Summarize a column.

        Args:
            array: Arrow strings, shape (n_rows,).
            grams: what hits the places, see `gram_counts`.

        >>> import pyarrow as pa
        >>> profile = TextProfile.from_array(pa.array(["to be", None, "to be", "be"]))
        >>> profile.count, profile.words.maximum, sorted(set(profile.documents.tolist()))
        (3, 2.0, [0, 2, 3])
        """
        seen = array.drop_null().value_counts()
        texts = seen.field(0).to_pylist()
        rows = seen.field(1).to_numpy().astype(np.int64)
        documents = np.zeros(N_TEXT_SLOTS, dtype=np.int64)
        for text, n in zip(texts, rows, strict=True):
            documents += n * np.greater(gram_counts(text, grams), 0.0)
        lengths = np.repeat(np.array([float(len(text_words(text))) for text in texts]), rows)
        missing = np.full(array.null_count, np.nan)
        return cls(NumberProfile.from_values(np.concatenate([lengths, missing])), documents)

    @classmethod
    def merge_all(cls, parts: Sequence[TextProfile]) -> TextProfile:
        """The summary of all parts' rows; at least one part."""
        return cls(
            NumberProfile.merge_all([part.words for part in parts]),
            np.sum([part.documents for part in parts], axis=0, dtype=np.int64),
        )

    @property
    def count(self) -> int:
        """Rows with a text."""
        return self.words.count

    @property
    def nulls(self) -> int:
        """Rows without one."""
        return self.words.nulls

    def idf(self) -> Floats:
        """Weight per place: ``log((1 + n) / (1 + documents)) + 1``, more for what few texts hit.

        Source: the smooth form of K. Sparck Jones, "A statistical interpretation of term
        specificity" (1972), as scikit-learn has it.
        """
        return np.asarray(np.log((1.0 + self.count) / (1.0 + self.documents)) + 1.0)
