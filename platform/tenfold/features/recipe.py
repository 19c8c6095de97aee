"""What to make of each kind of column: a value that a model family proposes and a search varies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from tenfold.errors import ArtifactError
from tenfold.features.hashing import MAX_SLOTS

__all__ = ["CategoryCoding", "DateCoding", "Imputation", "NumberCoding", "Recipe"]

NumberCoding = Literal["raw", "standard", "robust", "minmax", "quantile", "power"]
CategoryCoding = Literal["ordinal", "onehot", "frequency", "target", "hashed", "native"]
Imputation = Literal["auto", "mean", "median", "mode", "constant"]
DateCoding = Literal["calendar", "epoch", "elapsed"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How features are made. The defaults suit trees: nothing scaled, missing stays missing.

    Attributes:
        numbers: ``raw`` keeps values and NaN; ``standard`` subtracts the mean and divides by the
            standard deviation; ``robust`` uses the median and the interquartile range; ``minmax``
            maps the training range to 0..1; ``quantile`` maps through fitted quantiles to normal
            scores; ``power`` is ``standard`` after a Yeo-Johnson transform.
        categories: ``ordinal`` keeps the code, -1 for unseen and rare; missing is NaN beside raw
            numbers and -2 beside scaled ones. ``onehot`` makes a 0/1 column per frequent category.
            ``frequency`` gives the share of rows in training. ``target`` gives how far the target's
            mean in the category lies from that of all rows, see `tenfold.features.target_coding`.
            ``hashed`` gives each column ``slots`` features and each text a place in them.
            ``native`` names a slot that trees split by sets, see `tenfold.features.native`.
        many: the coding of columns whose domain has at least ``many_from`` categories; None for
            the same as the others.
        dates: ``calendar`` adds month, day, weekday and hour to the time itself (as sine and cosine
            when numbers are scaled); ``epoch`` is the time alone; ``elapsed`` is ``calendar`` with
            the days between each two times, and, beside raw numbers, with each time told in days
            from the newest one of training, at most a century either way.
        missing_indicator: add a 0/1 column for each column that had missing values in training.
        clip: smooth bound of scaled numbers, in units of the scale: ``z / sqrt(1 + (z/clip)**2)``;
            None for no bound. Outliers then keep their order and lose their leverage.
        max_onehot: most categories of one column that get a 0/1 column; the rest share one.
        rare_min_count: categories seen less often in training are treated like unseen ones.
        many_from: from how many categories on ``many`` applies; the default is one more than
            ``max_onehot``, beyond which one-hot would throw the rest together.
        impute: what a missing number becomes. ``auto`` leaves it missing beside raw numbers; else
            it is the mean for ``standard``, and the median. ``mode`` is the most frequent value, of
            equals the smallest; ``constant`` is ``fill`` (the median for times).
        fill: see ``impute``, in the column's unit.
        winsorize: the share of rows at each end whose numbers are brought to the fitted quantile
            there, before the scale is fitted; None for none. Times and ``quantile`` are left as
            they are.
        slots: features of a hashed column. An identifier or a category without a domain (its texts
            are too many, or unknown) is always hashed: no other coding knows them.
        smoothing: rows that the target's mean over all rows counts for in each category's.

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
    many: CategoryCoding | None = None
    many_from: int = 65
    smoothing: float = 10.0
    impute: Imputation = "auto"
    fill: float = 0.0
    winsorize: float | None = None
    slots: int = 32

    def __post_init__(self) -> None:
        for name, known in _KNOWN.items():
            value = getattr(self, name)
            if value not in known and not (name == "many" and value is None):
                raise ValueError(f"recipe.{name} is one of {', '.join(known)}, not {value!r}")
        if not isinstance(self.missing_indicator, bool):
            raise ValueError(f"recipe.missing_indicator is true or false: {self.missing_indicator}")
        if self.clip is not None and not 0 < self.clip < float("inf"):
            raise ValueError(f"recipe.clip is a positive number or null, not {self.clip!r}")
        if not 0 < self.smoothing < float("inf"):
            raise ValueError(f"recipe.smoothing is a positive number, not {self.smoothing!r}")
        if not abs(self.fill) <= _MAX_FILL:
            raise ValueError(f"recipe.fill is a number up to {_MAX_FILL:g}, not {self.fill!r}")
        if self.winsorize is not None and not 0 < self.winsorize < 0.5:
            raise ValueError(
                f"recipe.winsorize is a share above 0 and below 0.5 or null, not {self.winsorize!r}"
            )
        if isinstance(self.slots, int) and self.slots > MAX_SLOTS:
            raise ValueError(f"recipe.slots is a whole number to {MAX_SLOTS}, not {self.slots!r}")
        for name in ("max_onehot", "rare_min_count", "many_from", "slots"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"recipe.{name} is a whole number from 1, not {value!r}")

    @property
    def scales(self) -> bool:
        """Whether numbers are scaled."""
        return self.numbers != "raw"

    @property
    def leaves_missing(self) -> bool:
        """Whether a missing value stays missing (NaN); otherwise no feature is ever missing."""
        return self.numbers == "raw" and self.impute == "auto"

    def coding_of(self, n_categories: int) -> CategoryCoding:
        """What becomes of a column with so many categories in its domain.

        >>> Recipe(categories="onehot", many="target").coding_of(1000)
        'target'
        """
        return self.many if self.many and n_categories >= self.many_from else self.categories

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON values: of the fields beyond the first ones, those that were set."""
        return {
            name: value
            for name, value in asdict(self).items()
            if name in _FIRST or value != getattr(_DEFAULT, name)
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Recipe:
        """The inverse of `to_dict`.

        Raises:
            ArtifactError: a field is missing, unknown or outside its list.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or not _FIRST <= set(value) <= known:
            raise ArtifactError(
                f"a recipe has the fields {sorted(_FIRST)} and maybe {sorted(known - _FIRST)}; "
                "publish it again, or upgrade tenfold"
            )
        try:
            return cls(**value)
        except (ValueError, TypeError) as error:
            raise ArtifactError(f"{error}; publish the model again") from error


_MAX_FILL = 3e38
"""Nearly the largest float32: a constant has to stand in a matrix of them."""

_KNOWN: dict[str, tuple[str, ...]] = {
    "numbers": get_args(NumberCoding),
    "categories": get_args(CategoryCoding),
    "many": get_args(CategoryCoding),
    "dates": get_args(DateCoding),
    "impute": get_args(Imputation),
}

_DEFAULT = Recipe()
_FIRST = frozenset(
    (
        "numbers",
        "categories",
        "dates",
        "missing_indicator",
        "clip",
        "max_onehot",
        "rare_min_count",
    )
)
"""The fields of the first format, always written. Later ones are written where they differ from
their default, so that an old file keeps its digest, and an old reader what it understands."""
