"""The table of compression rules: what becomes what, and how urgent it is."""

import pytest
from tests.services.published import attributes, event

from refsys.services.common.families import BUCKETS, Family, storage_path
from refsys.services.common.messages import Direction
from refsys.services.compression.filter import job_of
from refsys.services.compression.rules import published_as_archive, rule_of, topic_of

S1_L0 = "S1A_IW_RAW__0SDV_20171213T121623_20171213T121656_019684_021735_C6DB.SAFE"
S3_L0 = "S3A_OL_0_EFR____20171213T121623_20171213T121656_20171213T131656_0033_025_052______LN1_O_{}_002.SEN3"
EOF = "S1A_OPER_AUX_RESORB_OPOD_20171213T143838_V20171213T102737_20171213T134507.EOF"
S2_EO = "S2__OPER_AUX_ECMWFD_PDMC_20171213T143838_V20171213T102737_20171213T134507"
S2_DS = "S2A_OPER_MSI_L0__GR_SGS__20191001T101733_S20191001T083650_D01_N02.08"


@pytest.mark.parametrize(
    ("family", "name", "output"),
    [
        (Family.L0_SLICE, S1_L0, f"{S1_L0}.zip"),
        (Family.L1_ACN, S1_L0, f"{S1_L0}.zip"),
        (Family.AUXILIARY_FILE, "S1A_AUX_CAL_V20171017T080000_G20171013T101200.SAFE", "*.SAFE.zip"),
        (Family.AUXILIARY_FILE, EOF.replace(".EOF", ".HDR"), EOF.replace(".EOF", ".zip")),
        (Family.S2_AUX, f"{S2_EO}.HDR", f"{S2_EO}.TGZ"),
        (Family.S2_AUX, f"{S2_EO}.EOF", f"{S2_EO}.TGZ"),
        (Family.S2_L0_GR, S2_DS, f"{S2_DS}.tar"),
        (Family.S2_L1C_TL, "S2A_MSIL1C_20191001T083650_N0208_R064_T34TFN_20191001T101733.SAFE", "*.SAFE.tar"),
        (Family.S3_L0, S3_L0.format("NR"), f"{S3_L0.format('NR')}.zip"),
        (Family.S3_L2_NTC, S3_L0.format("NT"), f"{S3_L0.format('NT')}.zip"),
    ],
)
def test_products_become_archives(family: Family, name: str, output: str) -> None:
    given = event(name, product_family=family)
    job = job_of(given)
    assert job is not None
    assert job.output_key_object_storage == output.replace("*", name.rpartition(".")[0])
    assert job.output_product_family == f"{family}_ZIP"
    assert job.compression_direction is Direction.COMPRESS
    assert published_as_archive(given)
    assert job == job_of(given)


@pytest.mark.parametrize(
    ("family", "name"),
    [
        (Family.AUXILIARY_FILE, EOF),
        (Family.AUXILIARY_FILE, "S1A_OPER_AUX_OBMEMC_PDMC_20140201T000000.xml"),
        (Family.AUXILIARY_FILE, "S1A_AUX_CAL_V20171017T080000_G20171013T101200.SAFE.zip"),
        (Family.AUXILIARY_FILE, EOF.replace(".EOF", ".DBL")),
        (Family.PLAN_AND_REPORT, "S1A_OPER_REP__SUP___20181208T070000_20181208T111500_0001.EOF"),
        (Family.S2_AUX, f"{S2_EO}.TGZ"),
        (Family.S3_AUX, "S3A_AX___BA__AX.SEN3.zip"),
        (Family.EDRS_SESSION, "DCS_02_SESSION1_ch1_DSIB.xml"),
    ],
)
def test_auxiliary_files_and_archives_take_the_direct_way(family: Family, name: str) -> None:
    given = event(name, product_family=family)
    assert rule_of(family, name) is None
    assert job_of(given) is None
    assert not published_as_archive(given)


@pytest.mark.parametrize(
    ("family", "name", "output"),
    [
        (Family.L0_SLICE, f"{S1_L0}.zip", S1_L0),
        (Family.S2_L0_GR, f"{S2_DS}.tar", S2_DS),
        (Family.S2_L0_GR, f"{S2_DS}.TGZ", S2_DS),
        (Family.S3_L0, f"{S3_L0}.zip", S3_L0),
        (Family.S3_CAL, f"{S3_L0}.tar.gz", S3_L0),
    ],
)
def test_archives_of_products_are_unpacked_and_published_as_they_are(family: Family, name: str, output: str) -> None:
    given = event(name, product_family=family)
    job = job_of(given)
    assert job is not None
    assert (job.compression_direction, job.output_product_family) == (Direction.UNCOMPRESS, family)
    assert job.output_key_object_storage == output
    assert not published_as_archive(given)


@pytest.mark.parametrize(
    ("mission", "timeliness", "priority"),
    [
        ("S1", "PT", "high"),
        ("S1", "NRT", "medium"),
        ("S1", "FAST24", "low"),
        ("S1", "", "low"),
        ("S3", "NRT", "high"),
        ("S3", "NR", "high"),
        ("S3", "STC", "medium"),
        ("S3", "NTC", "low"),
        ("S2", "NRT", "low"),
    ],
)
def test_priorities(mission: str, timeliness: str, priority: str) -> None:
    given = event("S1A", mission_id=mission, timeliness=timeliness)
    assert topic_of(given) == f"compression-job-{priority}"
    told = event("S1A", mission_id=mission, attributes=attributes(timeliness=timeliness))
    assert topic_of(told) == f"compression-job-{priority}"


@pytest.mark.parametrize(("letters", "priority"), [("NR", "high"), ("ST", "medium"), ("NT", "low")])
def test_priority_by_the_name_of_a_sentinel_3_product(letters: str, priority: str) -> None:
    assert topic_of(event(S3_L0.format(letters))) == f"compression-job-{priority}"


def test_every_family_has_two_buckets_of_its_own() -> None:
    assert len(set(BUCKETS.values())) == len(BUCKETS) == 2 * len(Family)
    assert storage_path("L0_SLICE_ZIP", "x") == "s3://rs-s1-l0-slices-zip/x"
    assert BUCKETS["S2_L0_GR"] == "rs-s2-l0-gr"
