"""What a text as programs write it can be read as. Pure kernels.

Each takes unique texts without nulls, shape (n_values,), and returns values with a mask of the
ones it could read; what it could not read holds 0 under a False mask.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data.dates import parse_datetimes
from tenfold.data.text import as_mask
from tenfold.schema import FALSE_WORDS, TRUE_WORDS

__all__ = [
    "looks_like_code",
    "parse_booleans",
    "parse_datetimes",
    "parse_integers",
    "parse_numbers",
    "whole_numbers",
]

Mask = NDArray[np.bool_]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$"
_INTEGER = r"^[+-]?\d{1,18}$"
_LONG_INTEGER = r"^(?P<sign>[+-]?)(?P<digits>[1-9]\d{18})$"  # some are beyond int64
_MOST, _LEAST = str(2**63 - 1), str(2**63)
_WHOLE_THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3}){1,5}$"
_CODE = r"^(0\d+|[+-]?\d{19,})$"
_LONG = 10**18
_EXACT = float(2**53)


def parse_numbers(values: pa.StringArray) -> tuple[NDArray[np.float64], Mask]:
    """Decimal numbers, with an exponent, a plus sign or commas between thousands; finite only.

    >>> parse_numbers(pa.array(["1.5", "+2", "1,234.5", "inf", "abc"]))[0].tolist()
    [1.5, 2.0, 1234.5, 0.0, 0.0]
    """
    try:  # the common case in one pass: Arrow reads everything
        fast = _floats(pc.cast(values, pa.float64()))
        if np.isfinite(fast).all():
            return fast, np.ones(len(values), dtype=bool)
    except pa.ArrowInvalid:
        pass
    thousands = pc.match_substring_regex(values, _THOUSANDS)
    plain = pc.if_else(thousands, pc.replace_substring(values, ",", ""), values)
    readable = pc.match_substring_regex(plain, _NUMBER)
    plain = pc.replace_substring_regex(plain, r"^\+", "")
    numbers = _floats(pc.cast(pc.if_else(readable, plain, "0"), pa.float64()))
    mask = as_mask(readable) & np.isfinite(numbers)
    return np.where(mask, numbers, 0.0), mask


def parse_integers(values: pa.StringArray) -> tuple[NDArray[np.int64], Mask]:
    """Whole numbers of 64 bits, also written as ``3.0`` or ``1,000``.

    >>> parse_integers(pa.array(["3", "3.0", "3.5", "x"]))[1].tolist()
    [True, True, False, False]
    >>> parse_integers(pa.array(["9223372036854775807", "9223372036854775808"]))[1].tolist()
    [True, False]
    """
    direct = pc.match_substring_regex(values, _INTEGER)
    if not pc.all(direct).as_py():
        direct = pc.or_(direct, _long_integers(values))
    plain = pc.replace_substring_regex(pc.if_else(direct, values, "0"), r"^\+", "")
    whole = np.asarray(pc.cast(plain, pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
    mask = as_mask(direct)
    if mask.all():
        return whole, mask
    numbers, readable = parse_numbers(values)
    integral = ~mask & readable & (numbers == np.floor(numbers)) & (np.abs(numbers) <= _EXACT)
    return np.where(integral, np.where(integral, numbers, 0).astype(np.int64), whole), (
        mask | integral
    )


def _long_integers(values: pa.StringArray) -> pa.BooleanArray:
    """Which have 19 digits and fit into 64 bits: of one length, so they compare as texts."""
    parts = pc.extract_regex(values, _LONG_INTEGER)
    digits, negative = (
        pc.struct_field(parts, "digits"),
        pc.equal(pc.struct_field(parts, "sign"), "-"),
    )
    longest = pc.if_else(negative, _LEAST, _MOST)
    return pc.fill_null(pc.less_equal(digits, longest), fill_value=False)


def looks_like_code(values: pa.StringArray) -> Mask:
    """Digits that are a code and no quantity: leading zeros, or too long to be exact.

    >>> looks_like_code(pa.array(["02134", "0", "0.5", "7"])).tolist()
    [True, False, False, False]
    """
    return as_mask(pc.match_substring_regex(values, _CODE))


def whole_numbers(values: pa.StringArray) -> Mask:
    """Texts that are whole numbers as written, so ``3.0`` is not.

    >>> whole_numbers(pa.array(["3", "-7", "1,000", "3.0"])).tolist()
    [True, True, True, False]
    """
    try:  # the common case in one pass; a magnitude of 19 digits is a code, not a number
        fast = np.abs(pc.cast(values, pa.int64()).to_numpy(zero_copy_only=False))
        if not len(fast) or 0 <= fast.min() <= fast.max() < _LONG:
            return np.ones(len(values), dtype=bool)
    except pa.ArrowInvalid:
        pass
    plain = as_mask(pc.match_substring_regex(values, _INTEGER))
    return plain | as_mask(pc.match_substring_regex(values, _WHOLE_THOUSANDS))


def parse_booleans(values: pa.StringArray) -> tuple[NDArray[np.bool_], Mask]:
    """Words for true and false, in any case.

    >>> parse_booleans(pa.array(["TRUE", "no", "maybe"]))[0].tolist()
    [True, False, False]
    """
    lower = pc.utf8_lower(values)
    yes = as_mask(pc.is_in(lower, value_set=pa.array(TRUE_WORDS)))
    no = as_mask(pc.is_in(lower, value_set=pa.array(FALSE_WORDS)))
    return yes, yes | no


def _floats(array: pa.Array) -> NDArray[np.float64]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)
