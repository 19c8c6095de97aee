"""The recipe of a model: which configurations answer, with what weights and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenfold.errors import ArtifactError
from tenfold.models import FAMILIES
from tenfold.models.blend import BLEND
from tenfold.models.calibration import NO_CALIBRATION, Calibration

__all__ = ["Answer", "Part", "grown"]

MOST_GROWTH = 2.0
"""Rounds of a last fit for each of a fold's, at most: what lies beyond was not measured."""


def grown(family: str, more_rows: float) -> float:
    """Rounds of a last fit for each round of a fold's fit.

    Args:
        family: name in the table of families.
        more_rows: rows of the last fit for each row of a fold's, see `Question.more_rows`.

    >>> round(grown("boosting", 1.39), 2), round(grown("network", 1.39), 2), grown("boosting", 9.0)
    (1.48, 1.1, 2.0)
    """
    return float(min(more_rows ** FAMILIES[family].growth, MOST_GROWTH))


@dataclass(frozen=True, slots=True)
class Part:
    """One configuration of an answer.

    Attributes:
        family: name in the table of families.
        params: of a last fit on all rows, see `Part.of`.
        weight: above 0; those of an answer sum to 1.
        seeds: fits with different seeds whose mean answers; 1 where a seed changes nothing.
    """

    family: str
    params: Mapping[str, Any]
    weight: float = 1.0
    seeds: int = 1

    @classmethod
    def of(
        cls,
        family: str,
        params: Mapping[str, Any],
        *,
        rounds: int = 0,
        more_rows: float = 1.0,
        weight: float = 1.0,
        seeds: int = 1,
    ) -> Part:
        """The part of a configuration that was tried.

        Args:
            family: name in the table of families.
            params: of the configuration.
            rounds: mean rounds of its folds, 0 if ``params`` are those of a last fit already.
            more_rows: rows of the last fit for each row of a fold's, see `Question.more_rows`.
            weight: of the part.
            seeds: of the part.

        >>> dict(Part.of("boosting", {"eta": 0.1}, rounds=100, more_rows=1.25).params)
        {'eta': 0.1, 'rounds': 131}
        """
        chosen = FAMILIES[family]
        final = dict(params)
        if rounds and chosen.stops_early:
            rounds = round(rounds * grown(family, more_rows))
            final = dict(chosen.freeze(params, rounds))
        return cls(family, final, weight, seeds if chosen.random else 1)


@dataclass(frozen=True, slots=True)
class Answer:
    """Parts, the heaviest first, and the calibration of their mean.

    >>> Answer.single("linear", {"c": 1.0}).words
    'linear'
    """

    parts: tuple[Part, ...]
    calibration: Calibration = NO_CALIBRATION

    @classmethod
    def single(
        cls, family: str, params: Mapping[str, Any], *, rounds: int = 0, more_rows: float = 1.0
    ) -> Answer:
        """One configuration with one seed, see `Part.of`."""
        return cls((Part.of(family, params, rounds=rounds, more_rows=more_rows),))

    @classmethod
    def from_lineage(cls, family: str, params: Mapping[str, Any]) -> Answer:
        """The inverse of ``family`` and `params`, out of a manifest.

        Raises:
            ArtifactError: they are not what a manifest holds.
        """
        if family != BLEND:
            return cls((Part(family, dict(params)),))
        try:
            parts = tuple(
                Part(
                    str(part["family"]), dict(part["params"]), float(part["weight"]),
                    int(part["seeds"]),
                )
                for part in params["parts"]
            )  # fmt: skip
            return cls(parts, Calibration.from_dict(params["calibration"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"the manifest's lineage must name the parts of its blend: {error!r}; "
                "train the model again"
            ) from error

    @property
    def is_plain(self) -> bool:
        """Whether one model answers as it is."""
        return len(self.parts) == 1 and self.parts[0].seeds == 1 and self.calibration.is_none

    @property
    def family(self) -> str:
        """Of the model: how its native files are read."""
        return self.parts[0].family if self.is_plain else BLEND

    @property
    def params(self) -> dict[str, Any]:
        """For manifest and card: JSON values."""
        if self.is_plain:
            return dict(self.parts[0].params)
        return {
            "calibration": self.calibration.to_dict(),
            "parts": [
                {"family": p.family, "weight": p.weight, "seeds": p.seeds, "params": dict(p.params)}
                for p in self.parts
            ],
        }

    @property
    def words(self) -> str:
        """For people, e.g. ``boosting x 4 seeds (0.7) + linear (0.3)``."""
        return " + ".join(
            part.family
            + (f" x {part.seeds} seeds" if part.seeds > 1 else "")
            + (f" ({part.weight:.2g})" if len(self.parts) > 1 else "")
            for part in self.parts
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What a card says of it: parameters of one model, or of each part."""
        if self.is_plain:
            return dict(self.parts[0].params)
        facts: dict[str, Any] = {}
        for number, part in enumerate(self.parts, start=1):
            what = f"{number}. {part.family}"
            facts[f"{what}: weight"] = round(part.weight, 4)
            facts[f"{what}: seeds"] = part.seeds
            facts |= {f"{what}: {name}": value for name, value in part.params.items()}
        return facts | {"calibration": self.calibration.words}

    def with_seeds(self, seeds: int) -> Answer:
        """The same with so many seeds for every part that a seed changes."""
        return replace(
            self,
            parts=tuple(
                replace(p, seeds=seeds if FAMILIES[p.family].random else 1) for p in self.parts
            ),
        )
