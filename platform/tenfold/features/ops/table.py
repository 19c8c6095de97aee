"""The one table of operations. What is not in it cannot be loaded: no name becomes an import."""

from __future__ import annotations

from tenfold.errors import ArtifactError
from tenfold.features.ops.base import Op
from tenfold.features.ops.categories import Lookup, NativeCodes, OneHot, TargetLookup
from tenfold.features.ops.dates import Calendar
from tenfold.features.ops.elapsed import Elapsed
from tenfold.features.ops.hashed import Hashed
from tenfold.features.ops.numbers import Missing, Quantile, Scale, Take
from tenfold.features.ops.power import Power
from tenfold.features.ops.text import Tfidf

__all__ = ["OPS", "op_from_dict"]

OPS: dict[str, type[Op]] = {
    op.kind: op
    for op in (
        Take,
        Scale,
        Power,
        Quantile,
        Missing,
        Lookup,
        NativeCodes,
        OneHot,
        TargetLookup,
        Hashed,
        Calendar,
        Elapsed,
        Tfidf,
    )
}


def op_from_dict(value: object, *, sizes: tuple[int, ...]) -> Op:
    """Read one operation.

    Args:
        value: what `Op.to_dict` gave.
        sizes: categories in the domain of each column of the codes; 0 for other kinds.

    Raises:
        ArtifactError: it is not in the table, or its numbers do not fit together.

    >>> op_from_dict({"op": "os.system", "columns": [0]}, sizes=(0,))
    Traceback (most recent call last):
        ...
    tenfold.errors.ArtifactError: preprocess.json: 'os.system' is not one of the operations ...
    """
    name = value.get("op") if isinstance(value, dict) else value
    if not isinstance(value, dict) or not isinstance(name, str) or name not in OPS:
        raise ArtifactError(
            f"preprocess.json: {name!r} is not one of the operations {', '.join(sorted(OPS))}; "
            "upgrade tenfold or publish the model again"
        )
    return OPS[name].from_dict(value, sizes=sizes)
