"""Schema `distribution`: the published products, laid out for OData queries over millions of rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from refsys.services.common.database import Geometry

revision = "0003_distribution"
down_revision = "0002_catalogue"
branch_labels = None
depends_on = None

# As in refsys.services.distribution.model, which chooses these indexes when it translates a filter.
INDEXED_NUMBERS = ("orbitNumber", "relativeOrbitNumber")
INDEXED_TEXTS = (
    "beginningDateTime",
    "datastripId",
    "datatakeID",
    "endingDateTime",
    "processingDate",
    "productGroupId",
    "tileId",
)

# Immutable, so that they can be indexed; NULL where the attribute is absent or of another type.
ATTRIBUTE_NUMBER = """
CREATE FUNCTION distribution.attribute_number(attributes jsonb, name text) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE jsonb_typeof(attributes #> ARRAY[name, 'value'])
         WHEN 'number' THEN (attributes #>> ARRAY[name, 'value'])::numeric END
$$
"""
ATTRIBUTE_TEXT = """
CREATE FUNCTION distribution.attribute_text(attributes jsonb, name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT attributes #>> ARRAY[name, 'value'] $$
"""


def upgrade() -> None:
    """Make the schema, its functions, the table and its indexes."""
    op.execute("CREATE SCHEMA IF NOT EXISTS distribution")
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute(ATTRIBUTE_NUMBER)
    op.execute(ATTRIBUTE_TEXT)
    op.create_table(
        "product",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text(collation="C"), nullable=False, unique=True),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("content_length", sa.BigInteger, nullable=False),
        sa.Column("origin_date", sa.DateTime(timezone=True)),
        sa.Column("publication_date", sa.DateTime(timezone=True), nullable=False, unique=True),
        sa.Column("eviction_date", sa.DateTime(timezone=True)),
        sa.Column("content_start", sa.DateTime(timezone=True)),
        sa.Column("content_end", sa.DateTime(timezone=True)),
        sa.Column("checksums", JSONB, nullable=False),
        sa.Column("production_type", sa.Text, nullable=False),
        sa.Column("online", sa.Boolean, nullable=False),
        sa.Column("footprint", Geometry()),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("object_key", sa.Text, nullable=False),
        sa.Column("mission", sa.Text, nullable=False),
        sa.Column("product_type", sa.Text(collation="C")),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("trace", JSONB, nullable=False),
        schema="distribution",
    )
    _index("name_trigrams", "USING gin (name gin_trgm_ops)")
    _index("product_type", "(product_type, publication_date)")
    _index("mission", "(mission, publication_date)")
    _index("content_start", "(content_start)")
    _index("content_end", "(content_end)")
    _index("period", "USING gist (tstzrange(content_start, content_end, '[]'))")
    _index("origin_date", "(origin_date)")
    _index("eviction_date", "(eviction_date) WHERE eviction_date IS NOT NULL")
    _index("footprint", "USING gist (footprint) WHERE footprint IS NOT NULL")
    _index("attributes", "USING gin (attributes jsonb_path_ops)")
    for name in INDEXED_NUMBERS:
        _index(name.lower(), f"(distribution.attribute_number(attributes, '{name}'))")
    for name in INDEXED_TEXTS:
        _index(name.lower(), f"""((distribution.attribute_text(attributes, '{name}') COLLATE "C"))""")


def downgrade() -> None:
    """Remove the schema with everything in it."""
    op.execute("DROP SCHEMA distribution CASCADE")


def _index(name: str, definition: str) -> None:
    op.execute(f"CREATE INDEX ix_product_{name} ON distribution.product {definition}")
