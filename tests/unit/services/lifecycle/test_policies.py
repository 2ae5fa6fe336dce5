"""The retention of the distribution, rule by rule, and files that are refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from refsys.services.common.settings import LifecycleSettings, SettingsError, load
from refsys.services.lifecycle.policies import Policies, load_policies
from refsys.services.lifecycle.record import product_name, storage_of
from refsys.services.lifecycle.tables import Storage

INSERTED = datetime(2024, 1, 1, tzinfo=UTC)
TRO = "S1__AUX_TRO_V20240101T000000_G20240101T000000.SAFE"


@pytest.fixture(scope="module")
def policies() -> Policies:
    return load_policies(load(LifecycleSettings).policies_file)


@pytest.mark.parametrize(
    ("family", "name", "days"),
    [
        ("EDRS_SESSION", "DCS_01", 30),
        ("SESSION_RETRANSFER", "DCS_01", 30),
        ("L0_SEGMENT", "x", 30),
        ("L0_SLICE", "x", 30),
        ("L0_ACN", "x", 30),
        ("L0_BLANK", "x", 30),
        ("L1_SLICE", "x", 7),
        ("L1_ETAD", "x", 7),
        ("L2_ACN", "x", 7),
        ("S2_L1C_TL", "x", 7),
        ("S2_L2A_DS", "x", 7),
        ("S3_L1_NRT", "x", 7),
        ("S3_L2_STC", "x", 7),
        ("L0_SLICE_ZIP", "x", 7),
        ("AUXILIARY_FILE_ZIP", TRO, 7),
        ("S2_AUX_ZIP", "x", 7),
        ("AUXILIARY_FILE", "S1A_OPER_AUX_POEORB.EOF", None),
        ("AUXILIARY_FILE", TRO, 180),
        ("S2_AUX", "x", None),
        ("S2_SAD", "x", None),
        ("S2_HKTM", "x", None),
        ("S2_L0_GR", "x", 30),
        ("S2_L0_DS", "x", 30),
        ("S3_AUX", "x", None),
        ("S3_GRANULES", "x", 30),
        ("S3_L0", "x", 30),
        ("S3_CAL", "x", 30),
        ("S3_PUG", "x", 30),
        ("PLAN_AND_REPORT", "x", None),
        ("GHOST", "x", None),
    ],
)
def test_the_retention_of_the_interface_description(
    policies: Policies, family: str, name: str, days: int | None
) -> None:
    expected = None if days is None else INSERTED + timedelta(days=days)
    assert policies.eviction_date(family, name, INSERTED) == expected


def test_compression_shortens_but_never_prolongs(policies: Policies) -> None:
    in_30, in_3, compressed = (INSERTED + timedelta(days=days) for days in (30, 3, 1))
    assert policies.shortened(in_30, compressed) == compressed + timedelta(days=6)
    assert policies.shortened(in_3, compressed) == in_3
    assert policies.shortened(None, compressed) is None
    assert policies.shortened(in_30, None) == in_30


def test_a_product_has_one_name_in_both_storages() -> None:
    assert storage_of("L0_SLICE_ZIP") is Storage.COMPRESSED
    assert storage_of("L0_SLICE") is Storage.UNCOMPRESSED
    for ending in (".zip", ".tar", ".tgz", ".tar.gz"):
        assert product_name(f"S1A.SAFE{ending}", Storage.COMPRESSED) == "S1A.SAFE"
    assert product_name("S1A_AUX.SAFE.zip", Storage.UNCOMPRESSED) == "S1A_AUX.SAFE.zip"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("policies: [", "not YAML"),
        ("{days_after_compression: 6, policies: []}", "policies"),
        ("{days_after_compression: 6, policies: [{family: '(', days: 1}]}", r"policies.0.family"),
        ("{days_after_compression: 6, policies: [{family: x, days: 0}]}", "neither a number of days"),
        ("{days_after_compression: 6, policies: [{family: x, days: -2}]}", "neither a number of days"),
        ("{days_after_compression: 6, policies: [{family: x, dayz: 2}]}", "dayz"),
    ],
)
def test_a_wrong_file_is_refused_with_place_and_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=reason):
        load_policies(path)


def test_what_a_long_term_archive_has() -> None:
    policies = Policies.model_validate(
        {
            "days_after_compression": 6,
            "policies": [{"family": "L0_.*", "days": 30, "available_in_lta": True}, {"family": ".*", "days": 7}],
        }
    )
    assert policies.available_in_lta("L0_SLICE", "x")
    assert not policies.available_in_lta("L1_SLICE", "x")
