"""``data:`` and ``prepare:`` where the table comes from, what its columns mean, how it is cut."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tenfold.project.fields import ColumnName, Duration, Flag, Real, Section, Text
from tenfold.project.sources import Source
from tenfold.schema import MISSING_MARKERS, Kind, Role

__all__ = [
    "ColumnRule",
    "Data",
    "Join",
    "JoinTimes",
    "Prepare",
    "TimeOrder",
]

MAX_TEST_FRACTION = 0.5
"""Above one half, more rows would judge than teach."""


def _fault(law: str) -> PydanticCustomError:
    return PydanticCustomError("law", "{law}", {"law": law})


def _pairs(value: Any) -> Any:
    """``on: id``, ``on: [id, day]`` and ``on: {left: right}`` all mean pairs of columns."""
    if isinstance(value, str):
        return {value: value}
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return {name: name for name in value}
    return value


def _times(value: Any) -> Any:
    return {"left": value, "right": value} if isinstance(value, str) else value


class JoinTimes(Section):
    """The two columns of time of an as-of join; one name means both."""

    left: ColumnName
    """When a row of the table happened."""

    right: ColumnName
    """From when on a row of the joined source was known."""


class Join(Section):
    """How another source is joined to what stands before it."""

    source: Text
    """The name of the source to join."""

    on: Annotated[dict[ColumnName, ColumnName], BeforeValidator(_pairs)] = Field(min_length=1)
    """Columns that must be equal: names, or ``{left name: right name}``. Compared by meaning,
    so 17 meets " 17" and "17.0"; a missing value meets nothing."""

    how: Literal["left", "inner", "outer", "semi", "anti", "asof"] = "left"
    """``left`` keeps every row; ``inner`` those with a match; ``outer`` adds the source's rows
    without one; ``semi`` and ``anti`` keep rows with and without a match and add no column;
    ``asof`` takes the newest row of the source that is not later than the row: nothing from the
    future."""

    time: Annotated[JoinTimes | None, BeforeValidator(_times)] = None
    """as-of only: the columns of time."""

    tolerance: Duration | None = None
    """as-of only: older rows than that do not count, in seconds or as ``10m``; no limit if
    absent."""

    fan_out: Flag = False
    """Whether a row may match several rows of the source and so become several. No by default:
    such a join stops and names a key, since rows that multiply unseen are counted twice in
    training."""

    @model_validator(mode="after")
    def _asof_has_times(self) -> Join:
        if (self.how == "asof") != (self.time is not None):
            raise _fault("must name 'time' when, and only when, how is asof")
        if self.tolerance is not None and self.how != "asof":
            raise _fault("must have 'tolerance' only when how is asof")
        return self


class TimeOrder(Section):
    """What says which row came first: a column, or the order of the rows themselves."""

    column: ColumnName | None = None
    """A column of dates or numbers that grows with time."""

    order: Literal["rows"] | None = None
    """``rows``: the file is already in order of time."""


_SAID_ELSEWHERE = {
    Role.TARGET: "problem.target",
    Role.KEY: "data.key",
    Role.GROUP: "data.group",
    Role.TIME: "data.time",
}


def _declarable(role: Role | None) -> Role | None:
    if role in _SAID_ELSEWHERE:
        law = f"must be feature, ignored or weight; the {role} is named in {_SAID_ELSEWHERE[role]}"
        raise PydanticCustomError("law", "{law}", {"law": law})
    return role


class ColumnRule(Section):
    """What you know better than the inference, for one column; every field is optional."""

    kind: Kind | None = None
    """number, integer, boolean, category, datetime, text, identifier or constant."""

    role: Annotated[Role | None, AfterValidator(_declarable)] = None
    """feature, ignored or weight; target, key, group and time are said in their own places."""

    minimum: Real | None = None
    """Smallest allowed value, in the column's own unit; rows below go to quarantine."""

    maximum: Real | None = None
    """Largest allowed value; rows above go to quarantine."""

    decimal: Literal["point", "comma"] | None = None
    """The decimal mark of numbers in text; by default as the whole column tells."""

    dates: Literal["day_first", "month_first", "excel"] | None = None
    """How ``3/4/2021`` is read; by default as the whole column tells, and refused where nothing
    does. ``excel``: numbers are days since 1900 as spreadsheets count them."""

    text: Literal["words", "chars"] | None = None
    """Make the column a text and a feature, counted by words and pairs of words, or by runs of
    three and four characters: for codes, names, misspelled words, and languages without blanks."""

    monotone: Literal["increasing", "decreasing"] | None = None
    """Binary tasks and regression: the answer never falls (or never rises) as this number grows and
    all else stays. A law of the model, not a wish: families that cannot hold it are left out."""


def _time(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


def _one_or_many(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


class Data(Section):
    """The sources, how they become one table, and what its columns mean."""

    sources: tuple[Source, ...] = Field(min_length=1)
    """Where the table comes from. Sources that no join names are stacked: their rows one below the
    other, columns matched by name."""

    joins: tuple[Join, ...] = ()
    """How other sources are joined to it, one after the other."""

    time: Annotated[TimeOrder | None, BeforeValidator(_time)] = None
    """A column's name, or ``{order: rows}``: the test set is then the newest rows and nothing
    is fitted on the future. Absent: rows have no order and are split by hash."""

    group: ColumnName | None = None
    """A column whose rows belong together (a customer, a patient): never split between
    training and test."""

    key: Annotated[tuple[ColumnName, ...], BeforeValidator(_one_or_many)] = ()
    """The column or columns that name a row; never a feature."""

    columns: dict[ColumnName, ColumnRule] = Field(default_factory=dict)
    """What you know better than the inference, by column name."""

    @property
    def time_column(self) -> str | None:
        """The column of time, or None."""
        return self.time.column if self.time else None

    @property
    def ordered(self) -> bool:
        """Whether the split must follow time."""
        return self.time is not None


class Prepare(Section):
    """Cleaning and splitting."""

    missing_markers: tuple[Annotated[str, Field(strict=True)], ...] = MISSING_MARKERS
    """Cells that mean "missing", compared after trimming; texts of requests follow."""

    trim: Flag = True
    """Strip blanks around every cell: exports pad them, and " Male" is no class of its own."""

    drop_duplicates: Flag = False
    """Keep one of rows equal in every column. Left in, they are on one side of every split, but for
    splits by the order of the rows; where cases may well be alike, dropping them would make the
    frequent ones rare."""

    duplicate_keys: Literal["newest", "keep"] = "newest"
    """newest keeps one row of each ``data.key``: the latest by ``data.time``, else the last in the
    source. Rows without a key are never replaced. keep leaves all of them."""

    near_duplicates: Literal["off", "report", "group"] = "report"
    """Rows equal but for one column (of more than 32, a group of columns), numbers rounded to three
    digits: report counts them, group also keeps them on one side of every split."""

    max_bad_fraction: Annotated[Real, Field(ge=0, lt=1)] = 0.05
    """Share of rows, 0 up to 1, that may go to quarantine before preparing stops: a few bad
    rows are normal, one in twenty is a broken file."""

    on_bad_file: Literal["stop", "quarantine"] = "stop"
    """What a file that cannot be read does: stop the job, naming it, or go to the quarantine table
    with its path and what is wrong. Of a file that is broken in the middle only the broken piece
    is lost (about 1 MiB of CSV, the row groups of Parquet). ``max_bad_fraction`` holds for pieces
    too."""

    test_fraction: Annotated[Real, Field(gt=0, le=MAX_TEST_FRACTION)] = 0.2
    """Share of rows sealed away for the final judgment, above 0 up to 0.5; a fifth gives narrow
    intervals and costs little training."""
