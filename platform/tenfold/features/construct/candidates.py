"""What is worth constructing: columns rated by what they add to what their parents say.

Three steps, all on training rows alone and the same on every machine. *Nominate*: the pairs of
numbers that the profile praises (`tenfold.features.construct.linear`), and the pairs of columns of
any kind whose cells tell of the truth what neither side does
(`tenfold.features.construct.screen`); so a pair of two strong columns is none for their strength.
*Rate*: what is made of each pair, by what it adds on the rows to an additive model of all columns.
*Choose*: the best of each kind, where they add more than chance would; then once more beside the
best of these, since one strong column hides the others.

The rows are those of the second read, which fits the makers too; nothing is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tenfold.features.codes import Codes
from tenfold.features.construct.linear import DIGITS, linear_pairs
from tenfold.features.construct.screen import Binned, Screen, binned_levels, binned_numbers
from tenfold.features.construct.tables import (
    frequent_cells,
    group_slots,
    group_statistics,
)
from tenfold.profile.strength import strength
from tenfold.schema import Column, Kind, Schema

if TYPE_CHECKING:
    from tenfold.profile import Profile

__all__ = ["MAX_CONSTRUCTED", "MAX_SHARES", "Candidates", "choose_candidates"]

MAX_DIFFERENCES = 4
MAX_RATIOS = 4
MAX_GROUPED = 3
"""Pairs of a category and a number; each makes a mean, a spread and a deviation."""
MAX_SHARES = 3
"""Categories whose share of rows is a column: at most those of the grouped pairs."""
MAX_CROSSES = 4
MAX_CONSTRUCTED = MAX_DIFFERENCES + MAX_RATIOS + 3 * MAX_GROUPED + MAX_SHARES + MAX_CROSSES
"""24: about a microsecond of row time each."""

MOST = {
    "differences": MAX_DIFFERENCES,
    "ratios": MAX_RATIOS,
    "groups": MAX_GROUPED,
    "crosses": MAX_CROSSES,
}

MIN_GAIN = 0.003
"""Share of what the additive model leaves that a column must explain."""
MIN_LEVELS, MAX_LEVELS = 3, 1000
"""Groups to aggregate over: two are told by the category itself, and thousands are names."""
GROUP_ROWS = 10
"""Rows a group has on average, or its statistics are those of its own rows."""
CROSS_CELLS = 20_000
"""Cells of a cross: most would be empty in a larger one."""
SCREEN_ROWS = 10_000
"""Spread over the rows: what adds less than shows on so many is not worth a column."""
MIN_ROWS = 200
"""Below that chance alone explains more than any column."""
BIN_ROWS = 10
"""Rows that each bin of the additive model has on average."""
MAX_SCREENED = 100
"""Columns whose pairs are tried, the strongest alone; half a second for the 4,950 pairs."""
NOMINATED = 24
"""Pairs of each kind that are rated, by the profile and by their cells each."""

STRANGERS = (2, 3)
"""Rows are paired with those half and a third of all rows further on."""

Places = tuple[tuple[int, int], ...]
Pair = tuple[int, int]
Make = Callable[[int, int, Codes, Codes], Sequence[Binned]]
"""From two places and the codes of their columns to what is made of them, in bins."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What to construct; pairs of places among the schema's features, the best first.

    Attributes:
        differences: (a, b) for ``a - b``.
        ratios: (a, b) for ``a / b``.
        groups: (category, number).
        crosses: (category, category).
    """

    differences: Places = ()
    ratios: Places = ()
    groups: Places = ()
    crosses: Places = ()

    def __bool__(self) -> bool:
        return any((self.differences, self.ratios, self.groups, self.crosses))


def choose_candidates(
    schema: Schema, profile: Profile, codes: Codes, truth: npt.NDArray[Any]
) -> Candidates:
    """What is worth constructing.

    Args:
        schema: of the table.
        profile: of the training rows only.
        codes: float64 (n_rows, `code_width` of the schema), training rows only, in hash order.
        truth: (n_rows,) of the same rows: class numbers, or a number in the form that is learned.

    Returns:
        None of any kind without a target, with fewer rows than `MIN_ROWS`, or where the truth does
        not vary.
    """
    if schema.target is None or not profile.n_rows or len(truth) < MIN_ROWS:
        return Candidates()
    spread = np.linspace(0, len(truth) - 1, min(len(truth), SCREEN_ROWS)).astype(np.intp)
    return _Rows(schema, profile, codes[spread], truth[spread]).choose()


@dataclass(frozen=True, slots=True)
class _Rated:
    """A pair that adds so much by what is made of it."""

    gain: float
    pair: Pair
    made: Binned


@dataclass(frozen=True)
class _Rows:
    """Some training rows and who may be a parent on them."""

    schema: Schema
    profile: Profile
    codes: Codes
    truth: npt.NDArray[Any]

    @cached_property
    def binned(self) -> dict[int, Binned]:
        """The columns in bins, by place; a category without a domain has none."""
        found = {}
        for place, column in enumerate(self.schema.features):
            if column.kind is not Kind.CATEGORY:
                found[place] = binned_numbers(self.codes[:, place])
            elif column.domain:
                found[place] = binned_levels(self.codes[:, place])
        return found

    @cached_property
    def _alone(self) -> list[Binned]:
        """The columns of the additive model, of a category all of its levels: the strongest that
        leave `BIN_ROWS` rows to a bin. With more the model would tell each row its own truth."""
        found: list[Binned] = []
        room = len(self.codes) // BIN_ROWS
        for place in self._by_strength(self.binned):
            column = self.schema.features[place]
            alone = self.binned[place]
            if column.kind is Kind.CATEGORY:
                alone = binned_levels(self.codes[:, place], n_levels=len(column.domain or ()))
            room -= alone.filled[0]
            if room < 0 and found:
                break
            found.append(alone)
        return found

    def choose(self) -> Candidates:
        """In two looks: what stands out, then what stands out beside the best of each kind."""
        first = self._look(Screen.of(self._alone, self.truth))
        best = [found[0].made for found in first.values() if found]
        second = self._look(Screen.of([*self._alone, *best], self.truth)) if best else {}
        return Candidates(
            **{
                kind: tuple(dict.fromkeys(one.pair for one in (*found, *second.get(kind, ()))))[
                    : MOST[kind]
                ]
                for kind, found in first.items()
            }
        )

    def _look(self, screen: Screen) -> dict[str, list[_Rated]]:
        if not screen.n_outputs:
            return {}
        cells = {kind: self._by_cells(screen, pairs) for kind, pairs in self._pairs.items()}
        differences, ratios = self._praised
        nominated = {
            "differences": [*differences, *cells["numbers"]],
            "ratios": list(self._divided([*ratios, *cells["numbers"]])),
            "groups": cells["groups"],
            "crosses": cells["crosses"],
        }
        make = {
            "differences": self._difference,
            "ratios": self._ratio,
            "groups": self._grouped,
            "crosses": self._cross,
        }
        return {kind: self._rate(screen, nominated[kind], make[kind]) for kind in nominated}

    @cached_property
    def _pairs(self) -> dict[str, list[Pair]]:
        """All pairs that have cells."""
        numbers, categories = self._numbers(Kind.NUMBER, Kind.INTEGER), self._categories
        groups = [place for place in categories if self._can_group(place)]
        # Seconds of an epoch minus a price mean nothing.
        alike = (numbers, self._times)
        return {
            "numbers": [pair for some in alike for pair in combinations(some, 2)],
            "groups": list(product(groups, numbers)),
            "crosses": [pair for pair in combinations(categories, 2) if self._can_cross(pair)],
        }

    @cached_property
    def _praised(self) -> tuple[list[Pair], list[Pair]]:
        """Pairs for differences and for ratios that the profile praises."""
        places = self._numbers(Kind.NUMBER, Kind.INTEGER, Kind.DATETIME)
        known = self.profile.comoments.names
        places = [place for place in places if self._column(place).name in known]
        names = [self._column(place).name for place in places]
        found = linear_pairs(self.schema, self.profile, names, most=NOMINATED)
        differences, ratios = ([(places[i], places[j]) for i, j in pairs] for pairs in found)
        times = self._times
        return [p for p in differences if (p[0] in times) == (p[1] in times)], ratios

    @cached_property
    def _times(self) -> list[int]:
        return self._numbers(Kind.DATETIME)

    def _numbers(self, *kinds: Kind) -> list[int]:
        numbers = self.profile.numbers
        return self._strongest(
            place
            for place, column in enumerate(self.schema.features)
            if column.kind in kinds and numbers[column.name].n_distinct > 2
        )

    @cached_property
    def _categories(self) -> list[int]:
        return self._strongest(
            place
            for place, column in enumerate(self.schema.features)
            if column.kind is Kind.CATEGORY
            and column.domain
            and self.profile.categories[column.name].n_distinct > 1
        )

    def _strongest(self, places: Iterator[int]) -> list[int]:
        found = list(places)
        if len(found) <= MAX_SCREENED:
            return found
        return sorted(self._by_strength(found)[:MAX_SCREENED])

    def _by_strength(self, places: Iterable[int]) -> list[int]:
        """The strongest alone first; of equals the first by place."""
        alone = self.profile.associations
        named = {place: alone[self.schema.features[place].name] for place in places}
        return sorted(named, key=lambda place: (-round(strength(named[place])[1], DIGITS), place))

    def _can_group(self, place: int) -> bool:
        n_levels = self.profile.categories[self._column(place).name].n_distinct
        return MIN_LEVELS <= n_levels <= min(MAX_LEVELS, self.profile.n_rows // GROUP_ROWS)

    def _can_cross(self, pair: Pair) -> bool:
        return len(self._domain(pair[0])) * len(self._domain(pair[1])) <= CROSS_CELLS

    def _column(self, place: int) -> Column:
        return self.schema.features[place]

    def _domain(self, place: int) -> Sequence[str]:
        return self._column(place).domain or ()

    def _by_cells(self, screen: Screen, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs whose cells say most, of equals the first."""
        says = [
            (-round(screen.of_cells(self.binned[i], self.binned[j]), DIGITS), k)
            for k, (i, j) in enumerate(pairs)
        ]
        return [pairs[k] for _, k in sorted(says)[:NOMINATED]]

    def _divided(self, pairs: Sequence[Pair]) -> Iterator[Pair]:
        """The steadier of two divides: 1/b of a b near 0 is all noise."""
        for i, j in pairs:
            if i in self._times or j in self._times:
                continue
            noise_i, noise_j = self._noise(i), self._noise(j)
            if min(noise_i, noise_j) < np.inf:
                yield (i, j) if noise_j <= noise_i else (j, i)

    def _noise(self, place: int) -> float:
        """Spread over the mean; no column of both signs, or with a 0, divides."""
        number = self.profile.numbers[self._column(place).name]
        if not (number.minimum > 0 or number.maximum < 0):
            return np.inf
        with np.errstate(over="ignore", invalid="ignore"):
            noise = float(np.sqrt(number.variance) / np.abs(number.mean))
        return noise if np.isfinite(noise) else np.inf

    def _rate(self, screen: Screen, pairs: Iterable[Pair], make: Make) -> list[_Rated]:
        """What adds more than chance, the best first; of equals the first by place."""
        tried = [self._gain(screen, pair, make) for pair in sorted(set(pairs))]
        found = [one for one in tried if one is not None and one.gain >= MIN_GAIN]
        return sorted(found, key=lambda one: (-one.gain, one.pair))

    def _gain(self, screen: Screen, pair: Pair, make: Make) -> _Rated | None:
        """What a column made of two adds, less what it would add with one of them of other rows.

        Where little noise is left any function of a strong column adds by sharper bins of it; that
        part stays when the other side is a stranger's.
        """
        sides = [self.codes[:, place] for place in pair]
        parents = [self.binned[place] for place in pair]
        made = make(*pair, *sides)
        rated = [screen.adds(one, parents) for one in made]
        gains = np.array([gain for gain, _ in rated])
        if not len(gains) or float(gains.max()) < MIN_GAIN:
            return None
        sharper = np.zeros(len(gains))
        for side, part in product((0, 1), STRANGERS):
            apart = len(self.codes) // part  # rows are in hash order, so these are strangers
            mixed = [np.roll(v, apart) if k == side else v for k, v in enumerate(sides)]
            known = [p.rolled(apart) if k == side else p for k, p in enumerate(parents)]
            others = [screen.adds(one, known)[0] for one in make(*pair, *mixed)]
            if len(others) == len(gains):
                sharper = np.maximum(sharper, others)
        bounds = [screen.chance(free) for _, free in rated]
        net = np.where(gains >= bounds, gains - sharper, 0.0)
        best = int(np.argmax(net))
        return _Rated(round(float(net[best]), DIGITS), pair, made[best])

    def _difference(self, i: int, j: int, left: Codes, right: Codes) -> Sequence[Binned]:
        with np.errstate(over="ignore", invalid="ignore"):
            return [binned_numbers(left - right)]

    def _ratio(self, i: int, j: int, left: Codes, right: Codes) -> Sequence[Binned]:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return [binned_numbers(left / right)]

    def _grouped(self, i: int, j: int, category: Codes, number: Codes) -> Sequence[Binned]:
        size = len(self._domain(i))
        slots = group_slots(category, size=size)
        tables = group_statistics(category, number, size=size)
        mean, spread = (np.array(table)[slots] for table in tables)
        with np.errstate(over="ignore", invalid="ignore"):
            return [binned_numbers(values) for values in (number - mean, mean, spread)]

    def _cross(self, i: int, j: int, left: Codes, right: Codes) -> Sequence[Binned]:
        height, width = len(self._domain(i)), len(self._domain(j))
        cells = frequent_cells(left, right, n_cells=height * width, width=width)
        known = (left >= 0.0) & (right >= 0.0)
        joined = np.where(known, left * width + right, np.nan)
        return [binned_levels(joined, n_levels=len(cells))] if len(cells) > 1 else []
