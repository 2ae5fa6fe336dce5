"""The STAC collection of each product, and the index that searches within a collection run on."""

from alembic import op

revision = "0008_stac_collections"
down_revision = "0007_delivery"
branch_labels = None
depends_on = None

# Mission, product type as a regular expression, collection; the first that fits counts.
# The collections that are known by title are in refsys.services.distribution.stac.collections.
COLLECTIONS = (
    ("S1", r"^[A-Z0-9]{2}_RAW", "sentinel-1-raw"),
    ("S1", r"^[A-Z0-9]{2}_SLC", "sentinel-1-slc"),
    ("S1", r"^[A-Z0-9]{2}_GRD", "sentinel-1-grd"),
    ("S1", r"^[A-Z0-9]{2}_OCN", "sentinel-1-ocn"),
    ("S1", r"^[A-Z0-9]{2}_ETA", "sentinel-1-etad"),
    ("S1", r"^(MPL_(?!ORB(PRE|RES|SCT))|REP_|SRA_|SER_|TLM_)", "sentinel-1-plans"),
    ("S2", r"^MSI_L0_", "sentinel-2-l0"),
    ("S2", r"^MSI_L1A", "sentinel-2-l1a"),
    ("S2", r"^MSI_L1B", "sentinel-2-l1b"),
    ("S2", r"^MSI_?L1C", "sentinel-2-l1c"),
    ("S2", r"^MSI_?L2A", "sentinel-2-l2a"),
    ("S2", r"^PRD_HKTM", "sentinel-2-hktm"),
    ("S3", r"AX$", "sentinel-3-aux"),
    ("S3", r"^OL_0_", "sentinel-3-olci-l0"),
    ("S3", r"^OL_1_", "sentinel-3-olci-l1"),
    ("S3", r"^OL_2_", "sentinel-3-olci-l2"),
    ("S3", r"^SL_0_", "sentinel-3-slstr-l0"),
    ("S3", r"^SL_1_", "sentinel-3-slstr-l1"),
    ("S3", r"^SL_2_", "sentinel-3-slstr-l2"),
    ("S3", r"^SR_0_", "sentinel-3-sral-l0"),
    ("S3", r"^SR_1_", "sentinel-3-sral-l1"),
    ("S3", r"^SR_2_", "sentinel-3-sral-l2"),
    ("S3", r"^MW_0_", "sentinel-3-mwr-l0"),
    ("S3", r"^MW_1_", "sentinel-3-mwr-l1"),
    ("S3", r"^SY_1_", "sentinel-3-syn-l1"),
    ("S3", r"^SY_2_", "sentinel-3-syn-l2"),
    ("S3", r"^DO_0_", "sentinel-3-doris-l0"),
    ("S3", r"^GN_0_", "sentinel-3-gnss-l0"),
    ("S3", r"^TM_0_", "sentinel-3-tm-l0"),
)


def upgrade() -> None:
    """Make the function, the generated column and its index."""
    cases = "".join(
        f"WHEN mission = '{mission}' AND product_type ~ '{pattern}' THEN '{name}' "
        for mission, pattern, name in COLLECTIONS
    )
    op.execute(
        "CREATE FUNCTION distribution.collection_of(mission text, product_type text) RETURNS text "
        "LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ "
        f"SELECT CASE {cases} ELSE 'sentinel-' || lower(substr(mission, 2)) || '-aux' END $$"
    )
    op.execute(
        'ALTER TABLE distribution.product ADD COLUMN collection text COLLATE "C" NOT NULL '
        "GENERATED ALWAYS AS (distribution.collection_of(mission, product_type)) STORED"
    )
    op.execute(
        "CREATE INDEX IF NOT EXISTS ix_product_stac_collection "
        "ON distribution.product (collection, content_start, name)"
    )
    op.execute("CREATE INDEX IF NOT EXISTS ix_product_stac_start ON distribution.product (content_start, name)")


def downgrade() -> None:
    """Remove them."""
    op.execute("DROP INDEX IF EXISTS distribution.ix_product_stac_start")
    op.execute("ALTER TABLE distribution.product DROP COLUMN collection")
    op.execute("DROP FUNCTION distribution.collection_of(text, text)")
