"""Whether a family can fit features that name slots of categories."""

from __future__ import annotations

from tenfold.errors import DataError
from tenfold.models import FAMILIES

__all__ = ["checked_slots"]


def checked_slots(family: str, slots: tuple[int, ...]) -> tuple[int, ...]:
    """The same slots, for a family that takes them.

    Args:
        family: that is to be fitted.
        slots: of a preprocessor.

    Raises:
        DataError: it would read the names of slots as numbers.

    >>> checked_slots("boosting", (0, 3))
    (0, 3)
    >>> checked_slots("linear", (0, 3))
    Traceback (most recent call last):
        ...
    tenfold.errors.DataError: categories: native needs a family that splits them by sets, linear ...
    """
    if slots and not FAMILIES[family].native:
        raise DataError(
            f"categories: native needs a family that splits them by sets, {family} does not; give "
            "its recipe another coding, such as onehot"
        )
    return slots
