"""Counts are exact whatever was asked before, while products are published, changed and removed."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Engine, delete, event, func, select, text

from refsys.services.distribution.counts import Counts
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.filter import where

FIRST, DAYS = datetime(2024, 1, 1, tzinfo=UTC), 300
# Twice a day one is published; every seventh has no sensing period, and many start at midnight, also of the first.
INSERT = text("""
INSERT INTO distribution.product (
  id, name, content_type, content_length, publication_date, content_start, content_end, checksums, production_type,
  online, bucket, object_key, mission, product_type, attributes, trace)
SELECT md5(n::text)::uuid, 'S1A_' || n, 'x', n, :first + n * interval '12 hours', start, start, '[]',
  'systematic_production', true, 'b', n, CASE n % 3 WHEN 0 THEN 'S2' ELSE 'S1' END, 'T', '{}', '{}'
FROM (
  SELECT n, CASE WHEN n % 7 > 0 THEN :first + n * 37 % :days * interval '1 day' END AS start
  FROM generate_series(CAST(:begin AS int), CAST(:end AS int)) AS n
) AS made
""")


def add(engine: Engine, begin: int, end: int) -> None:
    with engine.begin() as connection:
        connection.execute(INSERT, {"first": FIRST, "days": DAYS, "begin": begin, "end": end})


def some_filter(random: Random) -> str:
    """Conditions of the usual forms: open and closed periods, long and short ones, also at borders of months."""

    def moment() -> str:
        found = FIRST + timedelta(days=random.randrange(-40, DAYS + 40), hours=random.choice((0, 0, 7)))
        return f"{found if random.random() < 0.6 else found.replace(day=1):%Y-%m-%dT%H:%M:%SZ}"

    date = random.choice(("ContentDate/Start", "PublicationDate"))
    after, before = random.choice(("gt", "ge")), random.choice(("lt", "le"))
    bounds = [f"{date} {after} {moment()}", f"{date} {before} {moment()}"]
    parts = random.choice((bounds, bounds[:1], bounds[1:], []))
    others = ("startswith(Name,'S1A_1')", "ContentLength gt 100", "Collection/Name eq 'SENTINEL-2'", f"{bounds[0]}")
    return " and ".join([*parts, *random.sample(others, random.choice((0, 0, 1, 2)))]) or "ContentLength ge 0"


@pytest.mark.parametrize("seed", range(3))
def test_counts_are_exact_whatever_was_asked_before(engine: Engine, seed: int) -> None:
    random, counts, added = Random(seed), Counts(), 200  # noqa: S311 - repeatable
    add(engine, 1, added)
    for _ in range(150):
        written = some_filter(random)
        with engine.connect() as connection:
            expected = connection.execute(select(func.count()).select_from(product).where(where(written))).scalar_one()
            assert counts.count(connection, where(written)) == expected, written
        match random.randrange(12):
            case 0 | 1:
                add(engine, added + 1, added + 5)
                added += 5
            case 2:
                with engine.begin() as connection:
                    connection.execute(delete(product).where(product.c.object_key == str(random.randrange(added))))
            case _:
                pass
    assert added > 200


def test_with_another_date_only_new_periods_are_counted(engine: Engine) -> None:
    add(engine, 1, 500)
    counts = Counts()

    def ranges(written: str) -> int:
        """How many ranges of periods a count looks at; what is newer than the last count is one of them."""
        seen: list[int] = []
        with engine.connect() as connection:

            def note(*call: object) -> None:
                seen.append(str(call[2]).count("GROUP BY date_bin("))

            event.listen(connection, "before_cursor_execute", note)
            counts.count(connection, where(written))
        return sum(seen)

    assert ranges("ContentDate/Start gt 2024-03-10T00:00:00Z") == 1
    assert ranges("ContentDate/Start ge 2024-06-20T00:00:00Z") == 1
    assert ranges("ContentDate/Start ge 2024-02-01T00:00:00Z and ContentDate/Start lt 2024-05-03T00:00:00Z") == 2
    assert ranges("ContentDate/Start ge 2024-02-01T00:00:00Z") == 1


@pytest.mark.parametrize("moment", ["1000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "1899-12-31T00:00:00Z"])
def test_dates_far_away_are_taken(engine: Engine, moment: str) -> None:
    add(engine, 1, 3)
    with engine.connect() as connection:
        found = [Counts().count(connection, where(f"PublicationDate {each} {moment}")) for each in ("ge", "lt")]
    assert sum(found) == 3
