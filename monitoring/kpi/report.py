"""The report of a month: what the operators' API tells, summed up for people and for spreadsheets."""

import calendar
import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

Row = dict[str, Any]
COUNTS = (
    "expected", "arrived", "missing", "missingExcused", "published", "duplicates",
    "limited", "late", "lateOneDay", "lateTwoDays", "lateThreeDays", "lateExcused",
)  # fmt: skip
SHARES = ("completeness", "completenessCorrected", "timeliness", "timelinessCorrected")
COLUMNS = ("day", "mission", "station", "level", *COUNTS, *SHARES)


@dataclass(frozen=True)
class Month:
    """All that the report of a month is made of."""

    environment: str
    month: str
    figures: Row
    """The answer of `/operations/v1/kpi/month`."""
    late: Sequence[Row]
    missing: Sequence[Row]
    duplicates: Sequence[Row]
    invalidations: Sequence[Row]
    costs: Row | None = None
    """The answer of `/operations/v1/costs`: as they are when the report is made."""

    @property
    def title(self) -> str:
        """Its name for people: `November 2026`."""
        return f"{date.fromisoformat(f'{self.month}-01'):%B %Y}"

    @property
    def days(self) -> list[str]:
        """Its days."""
        year, month = map(int, self.month.split("-"))
        return [f"{self.month}-{day:02}" for day in range(1, calendar.monthrange(year, month)[1] + 1)]

    @property
    def missions(self) -> list[str]:
        """The missions of which there is anything."""
        return sorted({row["mission"] for row in self.figures["value"]})

    def rows(self, mission: str, *names: str) -> list[Row]:
        """The mission's sums by the fields of these names."""
        of_mission = [row for row in self.figures["value"] if row["mission"] == mission]
        keys = sorted({tuple(row[name] for name in names) for row in of_mission})
        return [
            dict(zip(names, key, strict=True))
            | summed(row for row in of_mission if tuple(row[name] for name in names) == key)
            for key in keys
        ]

    def by_day(self, mission: str) -> list[Row]:
        """The mission's sums of each day of the month, also of those with nothing."""
        found = {row["day"]: row for row in self.rows(mission, "day")}
        return [found.get(day, {"day": day} | summed([])) for day in self.days]

    def delays(self, mission: str) -> list[Row]:
        """How long the mission's products took."""
        return [row for row in self.figures["delays"] if row["mission"] == mission]


def summed(rows: Iterable[Row]) -> Row:
    """The sums of counts, with their shares."""
    listed = list(rows)
    row: Row = {name: sum(each[name] for each in listed) for name in COUNTS}
    timely = row["limited"] - row["late"]
    return row | {
        "completeness": percent(row["arrived"], row["expected"]),
        "completenessCorrected": percent(row["arrived"], row["expected"] - row["missingExcused"]),
        "timeliness": percent(timely, row["limited"]),
        "timelinessCorrected": percent(timely, row["limited"] - row["lateExcused"]),
    }


def percent(part: int, whole: int) -> float | None:
    """A share; None of nothing."""
    return round(100 * part / whole, 2) if whole > 0 else None


def as_csv(month: Month) -> str:
    """A line a day, mission, station and level."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in month.figures["value"])
    return text.getvalue()


def _harmless(value: object) -> object:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@"} else value
