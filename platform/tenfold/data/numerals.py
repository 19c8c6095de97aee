"""Numbers as people write them: with a unit, thousands, a decimal comma, in brackets. Pure kernels.

Read are, with at most one sign and one unit, in front or behind, one blank apart at most:

- ``1234``, ``1,234``, ``1,234.5``, ``.5`` with a decimal point; also ``1.5e3``;
- ``1234``, ``1.234``, ``1 234,5`` with a decimal comma (blanks may be no-break ones);
- ``12%``: a hundredth of what is written, so 0.12;
- ``$5``, ``5 €``, ``USD 5``: the number; see `CURRENCIES`;
- ``(1,234)``, ``($5)``, ``$(5)``: negative, as accountants write it.

Which of point and comma a column uses is decided from all of it (`tenfold.data.evidence`). Where
nothing tells ``1.234`` from ``1,234`` in a column of money, it is refused and not guessed. A column
has one unit: a bare number among percentages is refused unless it is 0, among money it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenfold.data import parse
from tenfold.data.evidence import Extent, NumberEvidence, merge_units
from tenfold.data.text import as_mask
from tenfold.schema import Form

__all__ = [
    "CURRENCIES",
    "PERCENT",
    "decide_form",
    "number_evidence",
    "read_extent",
    "read_integers",
    "read_numbers",
]

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

PERCENT = "%"
CURRENCIES: tuple[str, ...] = (
    *("$", "€", "£", "¥", "₹", "₩", "₽", "₺"),
    *("USD", "EUR", "GBP", "JPY", "CNY", "INR", "CHF", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK"),
    *("PLN", "CZK", "HUF", "BRL", "MXN", "ZAR", "KRW", "SGD", "HKD"),
)
"""Signs and codes that are read as a currency; codes in capitals. No sum is ever converted."""

_BLANK = " \u00a0\u202f"
_UNIT = "|".join(mark.replace("$", r"\$") for mark in CURRENCIES)
_WRITTEN = (
    rf"^(?P<o1>\()?(?P<s1>[+-])?(?P<pre>{_UNIT})?[{_BLANK}]?(?P<o2>\()?(?P<s2>[+-])?"
    rf"(?P<body>[0-9.,](?:[0-9.,{_BLANK}]*[0-9.,])?(?:[eE][+-]?\d+)?)"
    rf"[{_BLANK}]?(?P<post>{_UNIT}|%)?(?P<close>\))?$"
)
_BEGINNING = r"^([A-Z]{3})?[^A-Za-z0-9]*[0-9]"  # cheap, and what does not begin so is no number
_POINT = r"^([1-9]\d{0,2}(,\d{3})+(\.\d*)?|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)$"
_COMMA = rf"^([1-9]\d{{0,2}}([.{_BLANK}]\d{{3}})+(,\d*)?|\d+(,\d*)?|,\d+)$"
_POINT_OR_THOUSAND = r"^[1-9]\d{0,2}\.\d{3}$"
_COMMA_OR_THOUSAND = r"^[+-]?[1-9]\d{0,2},\d{3}$"
_MAX_EXACT = float(2**53)


@dataclass(frozen=True, slots=True)
class _Written:
    """Texts taken apart; what is no number has ``found`` False and a body of 0."""

    bodies: pa.StringArray
    units: NDArray[np.object_]
    signs: Floats
    found: Mask


def number_evidence(
    values: pa.StringArray, weights: NDArray[np.int64], *, typed: bool = False
) -> tuple[dict[str, NumberEvidence], Mask]:
    """How the numbers of a column are written, by unit, and which values are numbers at all.

    Args:
        values: unique texts, without nulls; shape (n_values,).
        weights: how often each occurs; shape (n_values,).
        typed: the source's own type made the texts, so their points tell nothing.

    >>> found, mask = number_evidence(pa.array(["5%", "7", "x"]), np.array([2, 1, 1]))
    >>> sorted(found), found["%"].free, mask.tolist()
    (['', '%'], Extent(n=2, low=0.05, high=0.05), [True, True, False])
    """
    plain, found = parse.parse_numbers(values)
    out: dict[str, NumberEvidence] = {}
    if typed and found.any():
        out[""] = NumberEvidence(free=Extent.of(plain[found], weights[found]))
        return out, found
    if found.any():
        texts = values if found.all() else values.filter(pa.array(found))
        out[""] = _plain_evidence(texts, plain[found], weights[found])
    rest = np.flatnonzero(~found & _may_match(values, _BEGINNING)) if not found.all() else ()
    if len(rest):
        others, read = _written_evidence(values.take(pa.array(rest)), weights[rest])
        found[rest] = read
        out = merge_units(out, others)
    return out, found


def _plain_evidence(
    values: pa.StringArray, numbers: Floats, weights: NDArray[np.int64]
) -> NumberEvidence:
    """Of numbers as programs write them, without a regular expression on the common path."""
    dot = _integers(pc.find_substring(values, "."))
    comma = as_mask(pc.match_substring(values, ","))
    power = as_mask(pc.or_(pc.match_substring(values, "e"), pc.match_substring(values, "E")))
    apart = (dot >= 0) | comma | power
    if not apart.any():
        return NumberEvidence(free=Extent.of(numbers, weights))
    behind = _integers(pc.binary_length(values)) - dot - 1
    weak_point = (dot >= 0) & (behind == 3) & ~comma & ~power
    weak_point &= (np.abs(numbers) >= 1) & (np.abs(numbers) < 1000)
    weak_comma = np.zeros(len(numbers), dtype=bool)
    if comma.any():
        weak_comma = as_mask(pc.match_substring_regex(values, _COMMA_OR_THOUSAND))
    readings = np.append(np.rint(numbers[weak_point] * 1000), numbers[weak_comma] / 1000)
    both = np.append(weights[weak_point], weights[weak_comma])
    return NumberEvidence(
        free=Extent.of(numbers[~apart], weights[~apart]),
        point=Extent.of(numbers[apart], weights[apart]),
        comma=Extent.of(readings, both),
        n_comma_or_thousand=int(weights[weak_comma].sum()),
        n_point_or_thousand=int(weights[weak_point].sum()),
    )


def _written_evidence(
    values: pa.StringArray, weights: NDArray[np.int64]
) -> tuple[dict[str, NumberEvidence], Mask]:
    """Of texts that no program would write as a number."""
    written = _take_apart(values)
    readings = {mark: _read_bodies(written, mark) for mark in ("point", "comma")}
    found = written.found & (readings["point"][1] | readings["comma"][1])
    apart = as_mask(pc.match_substring_regex(written.bodies, rf"[.,{_BLANK}eE]"))
    weak_point = as_mask(pc.match_substring_regex(written.bodies, _POINT_OR_THOUSAND))
    weak_comma = as_mask(pc.match_substring_regex(written.bodies, _COMMA_OR_THOUSAND))
    out: dict[str, NumberEvidence] = {}
    for unit in sorted(set(written.units[found].tolist())):
        here = found & (written.units == unit)
        extents = {}
        for mark, (numbers, readable) in readings.items():
            rows = here & apart & readable
            extents[mark] = Extent.of(numbers[rows], weights[rows])
        free = here & ~apart
        out[unit] = NumberEvidence(
            free=Extent.of(readings["point"][0][free], weights[free]),
            point=extents["point"],
            comma=extents["comma"],
            n_comma_or_thousand=int(weights[here & weak_comma].sum()),
            n_point_or_thousand=int(weights[here & weak_point].sum()),
        )
    return out, found


def decide_form(found: Mapping[str, NumberEvidence], *, decimal: str | None = None) -> Form:
    """Unit and decimal mark of a column.

    Args:
        found: evidence by unit.
        decimal: as the project declares it; by the evidence if None.

    >>> bare, percent = NumberEvidence(Extent(1, 0, 1)), NumberEvidence(Extent(9, 0, 1))
    >>> decide_form({"": bare, "%": percent}).unit
    '%'
    """
    counts = {unit: each.free.n + max(each.point.n, each.comma.n) for unit, each in found.items()}
    n_percent = counts.get(PERCENT, 0)
    money = [unit for unit in counts if unit not in ("", PERCENT)]
    unit = ""
    if n_percent > sum(counts.values()) - n_percent:
        unit = PERCENT
    elif money:
        unit = max(money, key=lambda each: (counts[each], each))
    return Form(unit=unit, decimal=decimal or _taken(found, unit).decimal(money=bool(money)))


def read_extent(found: Mapping[str, NumberEvidence], form: Form) -> Extent:
    """How many of the numbers a form reads, and from where to where."""
    extent = _taken(found, form.unit).read(form.decimal)
    bare = found.get("", NumberEvidence()).free
    if form.unit == PERCENT and bare.n and bare.low == bare.high == 0:
        extent = extent.merge(bare)
    return extent


def _taken(found: Mapping[str, NumberEvidence], unit: str) -> NumberEvidence:
    """The evidence that a unit reads: its own, and bare numbers where it is a currency."""
    own = found.get(unit, NumberEvidence())
    bare = found.get("", NumberEvidence())
    return own if unit in ("", PERCENT) else own.merge(bare)


def read_numbers(values: pa.StringArray, form: Form) -> tuple[Floats, Mask, Mask]:
    """Numbers in a form.

    Returns:
        Values (0 where unreadable), a mask of the readable ones, and a mask of those that are
        refused only because the decimal mark is undecided; shapes (n_values,).

    >>> read_numbers(pa.array(["€ 1.234,50", "(5)", "7 $"]), Form("€", "comma"))[0].tolist()
    [1234.5, -5.0, 0.0]
    """
    unsure = np.zeros(len(values), dtype=bool)
    if form.unit != PERCENT and form.decimal == "point":
        plain, is_plain = parse.parse_numbers(values)
        if is_plain.all():
            return plain, is_plain, unsure
    written = _take_apart(values)
    numbers, readable = _read_bodies(written, "comma" if form.decimal == "comma" else "point")
    readable &= written.units == form.unit
    if form.unit == PERCENT:
        bare, zero = _read_bodies(written, "point")
        readable |= zero & (written.units == "") & (bare == 0)
    elif form.unit:
        bare, is_bare = _read_bodies(written, "comma" if form.decimal == "comma" else "point")
        readable |= is_bare & (written.units == "")
    if form.decimal == "undecided":
        unsure = readable & as_mask(pc.match_substring_regex(written.bodies, _POINT_OR_THOUSAND))
        readable &= ~unsure
    return np.where(readable, numbers, 0.0), readable, unsure


def read_integers(values: pa.StringArray, form: Form) -> tuple[NDArray[np.int64], Mask, Mask]:
    """Whole numbers in a form; as `read_numbers`."""
    if not form.unit and form.decimal == "point":
        whole, readable = parse.parse_integers(values)
        if readable.all():
            return whole, readable, np.zeros(len(values), dtype=bool)
    else:
        whole = np.zeros(len(values), dtype=np.int64)
        readable = np.zeros(len(values), dtype=bool)
    numbers, is_number, unsure = read_numbers(values, form)
    integral = ~readable & is_number & (numbers == np.floor(numbers))
    integral &= np.abs(numbers) <= _MAX_EXACT
    whole = np.where(integral, np.where(integral, numbers, 0).astype(np.int64), whole)
    return whole, readable | integral, unsure & ~readable


def _take_apart(values: pa.StringArray) -> _Written:
    parts = pc.extract_regex(values, _WRITTEN)
    group = {name: pc.fill_null(pc.struct_field(parts, name), "") for name in _GROUPS}
    full = {name: np.not_equal(_objects(group[name]), "") for name in _GROUPS}
    opened = full["o1"] | full["o2"]
    signed = full["s1"].astype(int) + full["s2"] + opened
    found = as_mask(pc.is_valid(parts)) & (opened == full["close"]) & (signed <= 1)
    found &= ~(full["o1"] & full["o2"]) & ~(full["pre"] & full["post"])
    negative = opened | (_objects(group["s1"]) == "-") | (_objects(group["s2"]) == "-")
    units = np.where(full["pre"], _objects(group["pre"]), _objects(group["post"]))
    return _Written(
        bodies=pc.if_else(pa.array(found), group["body"], "0"),
        units=np.where(found, units, ""),
        signs=np.where(negative, -1.0, 1.0),
        found=found,
    )


_GROUPS = ("o1", "s1", "pre", "o2", "s2", "body", "post", "close")


def _read_bodies(written: _Written, mark: str) -> tuple[Floats, Mask]:
    bodies = written.bodies
    readable = pc.match_substring_regex(bodies, _COMMA if mark == "comma" else _POINT)
    if mark == "comma":
        bodies = pc.replace_substring_regex(bodies, rf"[.{_BLANK}]", "")
        bodies = pc.replace_substring(bodies, ",", ".")
    else:
        bodies = pc.replace_substring(bodies, ",", "")
    plain = pc.cast(pc.if_else(readable, bodies, "0"), pa.float64())
    numbers = np.asarray(plain.to_numpy(zero_copy_only=False), dtype=np.float64) * written.signs
    numbers = np.where(written.units == PERCENT, numbers / 100, numbers)
    mask = written.found & as_mask(readable) & np.isfinite(numbers)
    return np.where(mask, numbers, 0.0), mask


def _objects(array: pa.StringArray) -> NDArray[np.object_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=object)


def _may_match(values: pa.StringArray, rule: str) -> Mask:
    return as_mask(pc.match_substring_regex(values, rule))


def _integers(array: pa.Array) -> NDArray[np.int64]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)
