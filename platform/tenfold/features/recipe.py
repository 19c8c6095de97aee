"""What to make of each kind of column: a value that a model family proposes and a search varies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from tenfold.errors import ArtifactError

__all__ = ["CategoryCoding", "DateCoding", "NumberCoding", "Recipe"]

NumberCoding = Literal["raw", "standard", "robust", "quantile"]
CategoryCoding = Literal["ordinal", "onehot", "frequency"]
DateCoding = Literal["calendar", "epoch"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How features are made. The defaults suit trees: nothing scaled, missing stays missing.

    Attributes:
        numbers: ``raw`` keeps values and NaN; ``standard`` subtracts the mean and divides by the
            standard deviation; ``robust`` uses the median and the interquartile range;
            ``quantile`` maps through fitted quantiles to normal scores. All but ``raw`` impute:
            the mean for ``standard``, else the median.
        categories: ``ordinal`` keeps the code, -1 for unseen and rare; missing is NaN beside raw
            numbers and -2 beside scaled ones. ``onehot`` makes a 0/1 column per frequent category.
            ``frequency`` gives the share of rows in training.
        dates: ``calendar`` adds month, day, weekday and hour to the time itself (as sine and cosine
            when numbers are scaled); ``epoch`` is the time alone.
        missing_indicator: add a 0/1 column for each column that had missing values in training.
        clip: smooth bound of scaled numbers, in units of the scale: ``z / sqrt(1 + (z/clip)**2)``;
            None for no bound. Outliers then keep their order and lose their leverage.
        max_onehot: most categories of one column that get a 0/1 column; the rest share one.
        rare_min_count: categories seen less often in training are treated like unseen ones.

    Raises:
        ValueError: a value is outside the lists above.

    >>> Recipe(numbers="standard", categories="onehot").dates
    'calendar'
    >>> Recipe.from_dict(Recipe(clip=3.0).to_dict()) == Recipe(clip=3.0)
    True
    """

    numbers: NumberCoding = "raw"
    categories: CategoryCoding = "ordinal"
    dates: DateCoding = "calendar"
    missing_indicator: bool = False
    clip: float | None = None
    max_onehot: int = 64
    rare_min_count: int = 1

    def __post_init__(self) -> None:
        for name, known in _KNOWN.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"recipe.{name} is one of {', '.join(known)}, not {getattr(self, name)!r}"
                )
        if not isinstance(self.missing_indicator, bool):
            raise ValueError(f"recipe.missing_indicator is true or false: {self.missing_indicator}")
        if self.clip is not None and not 0 < self.clip < float("inf"):
            raise ValueError(f"recipe.clip is a positive number or null, not {self.clip!r}")
        for name in ("max_onehot", "rare_min_count"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"recipe.{name} is a whole number from 1, not {value!r}")

    @property
    def scales(self) -> bool:
        """Whether numbers are scaled; then no feature is ever missing."""
        return self.numbers != "raw"

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Recipe:
        """The inverse of `to_dict`.

        Raises:
            ArtifactError: a field is missing, unknown or outside its list.
        """
        expected = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != expected:
            raise ArtifactError(f"a recipe has the fields {sorted(expected)}; publish it again")
        try:
            return cls(**value)
        except (ValueError, TypeError) as error:
            raise ArtifactError(f"{error}; publish the model again") from error


_KNOWN: dict[str, tuple[str, ...]] = {
    "numbers": get_args(NumberCoding),
    "categories": get_args(CategoryCoding),
    "dates": get_args(DateCoding),
}
