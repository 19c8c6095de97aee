"""A `Profile` as bytes and back: the head says what there is, the arrays hold the numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenfold.errors import ArtifactError
from tenfold.profile.association import CategoryAssociation, NumberAssociation
from tenfold.profile.categories import CategoryProfile
from tenfold.profile.codec import AnyArray, decode, decode_head, encode
from tenfold.profile.comoments import CoMoments
from tenfold.profile.numbers import Moments, NumberProfile
from tenfold.profile.profile import Association, Profile
from tenfold.profile.target import ClassStats, NumberStats, TargetStats
from tenfold.profile.texts import TextProfile
from tenfold.schema import Schema

__all__ = ["FORMAT", "dump", "load", "n_rows_of"]

FORMAT = 1
"""Raised when older readers could no longer read what is written."""

Arrays = dict[str, AnyArray]


def dump(profile: Profile) -> bytes:
    """The profile as bytes."""
    arrays: Arrays = {}
    head = {
        "format": FORMAT,
        "schema": profile.schema.to_dict(),
        "n_rows": profile.n_rows,
        "numbers": [[k, _dump_number(v, f"n{i}", arrays)]
                    for i, (k, v) in enumerate(profile.numbers.items())],
        "categories": [[k, _dump_category(v, f"c{i}", arrays)]
                       for i, (k, v) in enumerate(profile.categories.items())],
        "associations": [[k, _dump_association(v, f"a{i}", arrays)]
                         for i, (k, v) in enumerate(profile.associations.items())],
        "comoments": list(profile.comoments.names),
    }  # fmt: skip
    if profile.texts:  # absent before texts were counted, and where there are none
        head["texts"] = [[k, _dump_text(v, f"t{i}", arrays)]
                         for i, (k, v) in enumerate(profile.texts.items())]  # fmt: skip
    arrays |= {f"m.{name}": array for name, array in profile.comoments.arrays().items()}
    return encode(head, arrays)


def n_rows_of(data: bytes) -> int:
    """How many rows stored bytes are the profile of, without reading the arrays."""
    return int(decode_head(data)["n_rows"])


def load(data: bytes | memoryview) -> Profile:
    """The inverse of `dump`.

    Raises:
        ArtifactError: the bytes are not whole, not a profile, or of a newer format.
    """
    head, arrays = decode(data)
    if head.get("format") != FORMAT:
        raise ArtifactError(
            f"a stored profile must have format {FORMAT}, this one has {head.get('format')}; "
            "read it with the version of Tenfold that wrote it, or prepare the data again"
        )
    try:
        return _load(head, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"a stored profile must hold all its parts: {error!r}; prepare the data again"
        ) from error


def _load(head: dict[str, Any], arrays: Arrays) -> Profile:
    return Profile(
        schema=Schema.from_dict(head["schema"]),
        n_rows=int(head["n_rows"]),
        numbers={k: _load_number(v, f"n{i}", arrays) for i, (k, v) in enumerate(head["numbers"])},
        categories={
            k: _load_category(v, f"c{i}", arrays) for i, (k, v) in enumerate(head["categories"])
        },
        associations={
            k: _load_association(v, f"a{i}", arrays)
            for i, (k, v) in enumerate(head["associations"])
        },
        comoments=CoMoments(
            names=tuple(head["comoments"]),
            n=_ints(arrays["m.n"]),
            mean=arrays["m.mean"],
            m2=arrays["m.m2"],
            c2=arrays["m.c2"],
        ),
        texts={k: _load_text(v, f"t{i}", arrays) for i, (k, v) in enumerate(head.get("texts", []))},
    )


def _ints(array: AnyArray) -> AnyArray:
    if array.dtype == np.uint8 and array.size and bool((array == 1).all()):
        return np.broadcast_to(np.int64(1), array.shape)  # all different: the common large case
    return array.astype(np.int64)


def _dump_number(number: NumberProfile, key: str, arrays: Arrays) -> dict[str, Any]:
    arrays[f"{key}.values"] = number.values
    arrays[f"{key}.counts"] = number.counts
    # hexadecimal: exact, and JSON has no word for NaN and infinity
    head: dict[str, Any] = {
        "count": number.count,
        "nulls": number.nulls,
        "range": [number.minimum.hex(), number.maximum.hex()],
        "level": number.level,
    }
    if number.moments is not None and number.hashes is not None:
        m = number.moments
        head["moments"] = [m.n, m.mean.hex(), m.m2.hex()]
        arrays[f"{key}.hashes"] = number.hashes
    return head


def _load_number(head: dict[str, Any], key: str, arrays: Arrays) -> NumberProfile:
    minimum, maximum = (float.fromhex(text) for text in head["range"])
    moments = None
    hashes = None
    if "moments" in head:
        n, mean, m2 = head["moments"]
        moments = Moments(n, float.fromhex(mean), float.fromhex(m2))
        hashes = arrays[f"{key}.hashes"].astype(np.uint64)
    return NumberProfile(
        count=head["count"],
        nulls=head["nulls"],
        minimum=minimum,
        maximum=maximum,
        values=arrays[f"{key}.values"],
        counts=_ints(arrays[f"{key}.counts"]),
        level=head["level"],
        moments=moments,
        hashes=hashes,
    )


def _dump_text(text: TextProfile, key: str, arrays: Arrays) -> dict[str, Any]:
    arrays[f"{key}.documents"] = text.documents
    return _dump_number(text.words, key, arrays)


def _load_text(head: dict[str, Any], key: str, arrays: Arrays) -> TextProfile:
    return TextProfile(_load_number(head, key, arrays), _ints(arrays[f"{key}.documents"]))


def _dump_category(category: CategoryProfile, key: str, arrays: Arrays) -> dict[str, Any]:
    arrays[f"{key}.counts"] = np.fromiter(category.counts.values(), dtype=np.int64)
    head: dict[str, Any] = {
        "count": category.count,
        "nulls": category.nulls,
        "names": list(category.counts),
        "other": category.other,
        "error": category.error,
    }
    if category.hashes is not None:
        head["hashed"] = True
        arrays[f"{key}.hashes"] = category.hashes
    return head


def _load_category(head: dict[str, Any], key: str, arrays: Arrays) -> CategoryProfile:
    counts = arrays[f"{key}.counts"].tolist()
    return CategoryProfile(
        count=head["count"],
        nulls=head["nulls"],
        counts=dict(zip(head["names"], counts, strict=True)),
        other=head["other"],
        error=head["error"],
        hashes=arrays[f"{key}.hashes"].astype(np.uint64) if "hashed" in head else None,
    )


def _dump_association(association: Association, key: str, arrays: Arrays) -> dict[str, Any]:
    arrays |= {f"{key}.{name}": array for name, array in association.stats.arrays().items()}
    head: dict[str, Any] = {}
    if isinstance(association.stats, ClassStats):
        head["classes"] = list(association.stats.classes)
    if isinstance(association, NumberAssociation):
        arrays[f"{key}.cells"] = association.cells
        return head | {"level": association.level}
    return head | {"categories": list(association.categories)}


def _load_association(head: dict[str, Any], key: str, arrays: Arrays) -> Association:
    stats: TargetStats
    if "classes" in head:
        stats = ClassStats(tuple(head["classes"]), _ints(arrays[f"{key}.counts"]))
    else:
        n, mean, m2 = (arrays[f"{key}.{part}"] for part in ("n", "mean", "m2"))
        stats = NumberStats(_ints(n), mean, m2)
    if "level" in head:
        return NumberAssociation(arrays[f"{key}.cells"], head["level"], stats)
    return CategoryAssociation(tuple(head["categories"]), stats)
