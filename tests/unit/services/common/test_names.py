import pytest

from refsys.services.common.names import InvalidNameError, parse_name, shown

GOOD = {
    "S1A_OPER_AUX_RESORB_OPOD_20171213T143838_V20171213T102737_20171213T134507.EOF": ("S1", "A", "AUX_RESORB"),
    "S1D_OPER_AUX_POEORB_OPOD_20240101T000000_V20240101T000000_20240102T000000.EOF": ("S1", "D", "AUX_POEORB"),
    "S1A_OPER_MPL_ORBPRE_20210101T000000_20210108T000000_0001.EOF": ("S1", "A", "MPL_ORBPRE"),
    "S1A_OPER_AUX_OBMEMC_PDMC_20140201T000000.xml": ("S1", "A", "AUX_OBMEMC"),
    "S1__OPER_MSK__LAND__V20160101T000000_G20160102T000000.EOF": ("S1", "", "MSK__LAND_"),
    "S1A_AUX_CAL_V20171017T080000_G20171013T101200.SAFE.zip": ("S1", "A", "AUX_CAL"),
    "S1__AUX_WND_V20160423T120000_G20160422T060059.SAFE.zip": ("S1", "", "AUX_WND"),
    "S1C_AUX_INS_V20240101T000000_G20240101T000000.SAFE": ("S1", "C", "AUX_INS"),
    "S1A_IW_RAW__0SDV_20171213T121623_20171213T121656_019684_021735_C6DB.SAFE.zip": ("S1", "A", "IW_RAW__0S"),
    "S2__OPER_AUX_ECMWFD_PDMC_20190216T120000_V20190217T090000_20190217T210000.TGZ": ("S2", "", "AUX_ECMWFD"),
    "S2A_OPER_AUX_SADATA_EPAE_20190222T003515_V20190221T190438_20190221T204519_A019158_WF_LN.tar": (
        "S2",
        "A",
        "AUX_SADATA",
    ),
    "S2C_MSIL1C_20240101T000000_N0510_R022_T31TCJ_20240101T000000.SAFE.zip": ("S2", "C", "MSIL1C"),
    "S3A_AX___BA__AX_20040702T223000_20040704T042158_20171130T082116___________________WER_D_AL____.SEN3.zip": (
        "S3",
        "A",
        "AX___BA__AX",
    ),
    "S3D_OL_1_EFR____20240101T000000_20240101T000300_20240101T010000_0179_100_022_1980_PS1_O_NR_004.SEN3.zip": (
        "S3",
        "D",
        "OL_1_EFR___",
    ),
}
RESORB = next(iter(GOOD))


@pytest.mark.parametrize("name", GOOD)
def test_a_name_tells_mission_satellite_and_type(name: str) -> None:
    parsed = parse_name(name)
    assert (parsed.mission, parsed.satellite, parsed.product_type) == GOOD[name]
    assert parsed.satellite_id == parsed.mission + parsed.satellite


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../etc/passwd", "path"),
        (f"../{RESORB}", "path"),
        (f"a\\{RESORB}", "path"),
        (f"{RESORB}\n", "control"),
        (f"{RESORB}\x00", "control"),
        (RESORB.replace("S1A", "S1\u0661"), "non-ASCII"),
        (RESORB.replace("2017", "\u0662\u0660\u0661\u0667"), "non-ASCII"),
        (RESORB + "A" * 300, "characters"),
        (RESORB.replace("S1A", "S1E"), "conventions"),
        (RESORB.replace(".EOF", ".exe"), "conventions"),
        ("", "conventions"),
        ("README.txt", "conventions"),
    ],
)
def test_any_other_name_is_refused_with_a_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidNameError, match=reason):
        parse_name(name)


def test_an_untrusted_name_is_shown_harmlessly() -> None:
    assert shown("a\n\x00\u202eb") == "a\\n\\x00\\u202eb"
    assert len(shown("x" * 9999)) == 255
