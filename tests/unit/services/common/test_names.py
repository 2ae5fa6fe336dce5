"""File names of all missions, satellites and forms; and whatever else stations may send."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsys.services.common.families import Family
from refsys.services.common.names import InvalidNameError, parse_name, shown
from refsys.services.common.patterns import PATTERNS

T1, T2, T3 = "20240102T030405", "20240102T030425", "20240103T000000"
S1, S2, S3 = ("S1A", "S1B", "S1C", "S1D"), ("S2A", "S2B", "S2C", "S2D"), ("S3A", "S3B", "S3C", "S3D")
START, STOP, MADE = (datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for text in (T1, T2, T3))

S1_PRODUCTS = {
    "IW_RAW__0SDV": Family.L0_SLICE,
    "EW_RAW__0SDH": Family.L0_SLICE,
    "S3_RAW__0SSV": Family.L0_SLICE,
    "WV_RAW__0SSV": Family.L0_SEGMENT,
    "RF_RAW__0SDV": Family.L0_SEGMENT,
    "GP_RAW__0___": Family.L0_SEGMENT,
    "HK_RAW__0___": Family.L0_SEGMENT,
    "AI_RAW__0___": Family.L0_SEGMENT,
    "IW_RAW__0ADV": Family.L0_ACN,
    "IW_RAW__0CDV": Family.L0_ACN,
    "IW_RAW__0NDV": Family.L0_ACN,
    "IW_SLC__1SDV": Family.L1_SLICE,
    "IW_GRDH_1SDV": Family.L1_SLICE,
    "EW_GRDM_1SDH": Family.L1_SLICE,
    "IW_SLC__1ADV": Family.L1_ACN,
    "IW_ETA__AXDV": Family.L1_ETAD,
    "IW_OCN__2SDV": Family.L2_SLICE,
    "WV_OCN__2ASV": Family.L2_ACN,
}
S1_AUX = ("CAL", "INS", "PP1", "PP2", "SCS", "SCF", "ITC", "ICE", "WND", "WAV", "ECE", "TEC", "TRO", "ATT")
FILES = {
    f"OPER_AUX_POEORB_OPOD_{T3}_V{T1}_{T2}.EOF": "AUX_POEORB",
    f"OPER_AUX_RESORB_OPOD_{T3}_V{T1}_{T2}.EOF": "AUX_RESORB",
    f"OPER_AUX_PREORB_OPOD_{T3}_V{T1}_{T2}.EOF": "AUX_PREORB",
    f"OPER_AUX_RESATT_OPOD_{T3}_V{T1}_{T2}.EOF": "AUX_RESATT",
    f"OPER_MPL_ORBPRE_{T1}_{T2}_0001.EOF": "MPL_ORBPRE",
    f"OPER_MPL_ORBRES_{T1}_{T2}_0001.EOF": "MPL_ORBRES",
    f"OPER_MPL_ORBSCT_{T1}_{T2}_0001.EOF": "MPL_ORBSCT",
    f"OPER_MSK__LAND__V{T1}_G{T3}.EOF": "MSK__LAND_",
    f"OPER_MSK__OCEAN_V{T1}_G{T3}.EOF": "MSK__OCEAN",
    f"OPER_MSK_EW_SLC_V{T1}_G{T3}.EOF": "MSK_EW_SLC",
    f"OPER_AUX_OBMEMC_PDMC_{T1}.xml": "AUX_OBMEMC",
    f"OPER_AMV_ERRMAT_MPC__{T3}_V{T1}_{T2}.EOF": "AMV_ERRMAT",
    f"OPER_AMH_ERRMAT_MPC__{T3}_V{T1}_{T2}.EOF": "AMH_ERRMAT",
}
PLANS = {
    f"OPER_MPL_SPMPS__PDMC_{T3}_V{T1}_{T2}.EOF": "MPL_SPMPS_",
    f"OPER_REP_MP_MP__PDMC_{T3}_V{T1}_{T2}.EOF": "REP_MP_MP_",
    f"OPER_REP_STNACQ_SGS__{T3}_V{T1}_{T2}.EOF": "REP_STNACQ",
    f"OPER_REP__SUP___{T1}_{T2}_0001.EOF": "REP__SUP__",
    f"OPER_SRA_EDRS_A_PDMC_{T3}_V{T1}_{T2}.EOF": "SRA_EDRS_A",
    f"OPER_SRA_BANSEG_PDMC_{T3}_V{T1}_{T2}.EOF": "SRA_BANSEG",
    f"OPER_TLM__REQ_A_{T1}_{T2}_0001.EOF": "TLM__REQ_A",
    f"TEST_REP__SMPR__{T1}_{T2}_0001.EOF": "REP__SMPR_",
}
S2_ITEMS = {
    f"OPER_MSI_L0__GR_SGS__{T3}_S{T1}_D01_N02.08": Family.S2_L0_GR,
    f"OPER_MSI_L0__DS_SGS__{T3}_S{T1}_N02.08": Family.S2_L0_DS,
    f"OPER_MSI_L1A_GR_MPS__{T3}_S{T1}_D12_N05.10": Family.S2_L1A_GR,
    f"OPER_MSI_L1B_GR_MPS__{T3}_S{T1}_D12_N05.10": Family.S2_L1B_GR,
    f"OPER_MSI_L1B_DS_MPS__{T3}_S{T1}_N05.10": Family.S2_L1B_DS,
    f"OPER_MSI_L1C_DS_MTI__{T3}_S{T1}_N05.10": Family.S2_L1C_DS,
    f"OPER_MSI_L1C_TL_MTI__{T3}_A022326_T36UXV_N05.10": Family.S2_L1C_TL,
    f"OPER_MSI_L1C_TC_MTI__{T3}_A022326_T36UXV_N05.10": Family.S2_L1C_TC,
    f"OPER_MSI_L2A_TL_MTI__{T3}_A022326_T36UXV_N05.10": Family.S2_L2A_TL,
    f"OPER_AUX_SADATA_EPAE_{T3}_V{T1}_{T2}_A019158_WF_LN": Family.S2_SAD,
    f"OPER_PRD_HKTM___{T1}_{T2}_0001": Family.S2_HKTM,
    f"OPER_GIP_TILPAR_MPC__{T3}_V{T1}_{T2}_B00": Family.S2_AUX,
    f"OPER_GIP_R2PARA_MPC__{T3}_V{T1}_{T2}_B8A": Family.S2_AUX,
    f"OPER_AUX_ECMWFD_PDMC_{T3}_V{T1}_{T2}": Family.S2_AUX,
}
S3_PRODUCTS = {
    f"OL_1_EFR____{T1}_{T2}_{T3}_0179_100_022_1980_PS1_O_NR_004.SEN3": Family.S3_L1_NRT,
    f"OL_2_LFR____{T1}_{T2}_{T3}_0179_100_022_1980_PS1_O_NT_002.SEN3": Family.S3_L2_NTC,
    f"SL_1_RBT____{T1}_{T2}_{T3}_0179_100_022_1980_PS2_O_ST_004.SEN3": Family.S3_L1_STC,
    f"SR_2_LAN____{T1}_{T2}_{T3}_0179_100_022_1980_PS2_O_ST_004.SEN3": Family.S3_L2_STC,
    f"OL_0_EFR____{T1}_{T2}_{T3}_0179_100_022_1980_PS1_O_NR_004.SEN3": Family.S3_L0,
    f"DO_0_NAV____{T1}_{T2}_{T3}_0179_100_022_1980_PS1_O_NR_004.ISIP": Family.S3_GRANULES,
    f"AX___MA__AX_{T1}_{T2}_{T3}_{'_' * 17}_ECW_O_SN_001.SEN3": Family.S3_AUX,
    f"SL_1_PCP_AX_{T1}_{T2}_{T3}_{'_' * 17}_MPC_O_AL_001.SEN3": Family.S3_AUX,
}
SESSIONS = ("S1A_20200105072204051312", "S2C_20240105072204051312", "L20171109175634707000125", "SESSION1")
PACKED = ("", ".zip", ".tar", ".tgz", ".TGZ", ".tar.gz")

GOOD: dict[str, tuple[str, str, str, Family]] = {}
for number in range(4):
    for middle, family in S1_PRODUCTS.items():
        name = f"{S1[number]}_{middle}_{T1}_{T2}_019684_021735_C6DB.SAFE{PACKED[number]}"
        GOOD[name] = ("S1", "ABCD"[number], middle[:10], family)
    for kind in S1_AUX:
        GOOD[f"{S1[number]}_AUX_{kind}_V{T1}_G{T3}.SAFE{PACKED[number]}"] = (
            "S1",
            "ABCD"[number],
            f"AUX_{kind}",
            Family.AUXILIARY_FILE,
        )
    for rest, kind in FILES.items():
        GOOD[f"{S1[number]}_{rest}"] = ("S1", "ABCD"[number], kind, Family.AUXILIARY_FILE)
    for rest, kind in PLANS.items():
        GOOD[f"{S1[number]}_{rest}"] = ("S1", "ABCD"[number], kind, Family.PLAN_AND_REPORT)
    for rest, family in S2_ITEMS.items():
        GOOD[f"{S2[number]}_{rest}{PACKED[number]}"] = ("S2", "ABCD"[number], rest[5:15], family)
    for level, family in {"L1C": Family.S2_L1C_TL, "L2A": Family.S2_L2A_TL}.items():
        name = f"{S2[number]}_MSI{level}_{T1}_N0510_R022_T31TCJ_{T3}.SAFE{PACKED[number]}"
        GOOD[name] = ("S2", "ABCD"[number], f"MSI{level}", family)
    for rest, family in S3_PRODUCTS.items():
        GOOD[f"{S3[number]}_{rest}{PACKED[number]}"] = ("S3", "ABCD"[number], rest[:11], family)
    for channel in "12":
        session = SESSIONS[number]
        mission, satellite = (
            (session[:2], session[2]) if session.startswith("S1A_") or session[0:3] == "S2C" else ("", "")
        )
        GOOD[f"DCS_02_{session}_ch{channel}_DSIB.xml"] = (mission, satellite, "DSIB", Family.EDRS_SESSION)
        GOOD[f"DCS_02_{session}_ch{channel}_DSDB_0000{channel}.raw"] = (mission, satellite, "DSDB", Family.EDRS_SESSION)
GOOD |= {
    f"S1__AUX_WND_V{T1}_G{T3}.SAFE.zip": ("S1", "", "AUX_WND", Family.AUXILIARY_FILE),
    f"S1__OPER_MSK__LAND__V{T1}_G{T3}.EOF": ("S1", "", "MSK__LAND_", Family.AUXILIARY_FILE),
    f"EDR_OPER_MPL_RQ_____PDMC_{T3}_V{T1}_{T2}.EOF": ("EDR", "", "MPL_RQ____", Family.PLAN_AND_REPORT),
    f"EDR_OPER_SER_SR1____{T1}_{T2}_0001.EOF.zip": ("EDR", "", "SER_SR1___", Family.PLAN_AND_REPORT),
    f"S2__OPER_AUX_UT1UTC_PDMC_{T3}_V{T1}_{T2}.HDR": ("S2", "", "AUX_UT1UTC", Family.S2_AUX),
    f"S2__OPER_AUX_UT1UTC_PDMC_{T3}_V{T1}_{T2}.DBL": ("S2", "", "AUX_UT1UTC", Family.S2_AUX),
    f"S2A_OPER_PRD_MSIL1C_PDMC_{T3}_R065_V{T1}_{T2}.SAFE": ("S2", "A", "PRD_MSIL1C", Family.S2_L1C_TL),
    f"S3__AX___MF1_AX_{T1}_{T2}_{T3}_{'_' * 17}_ECW_O_SN_001.SEN3.zip": ("S3", "", "AX___MF1_AX", Family.S3_AUX),
}
RESORB = f"S1A_OPER_AUX_RESORB_OPOD_{T3}_V{T1}_{T2}.EOF"


@pytest.mark.parametrize("name", GOOD)
def test_a_name_tells_mission_satellite_type_and_family(name: str) -> None:
    parsed = parse_name(name)
    assert (parsed.mission, parsed.satellite, parsed.product_type, parsed.families[0]) == GOOD[name]
    assert parsed.satellite_id == parsed.mission + parsed.satellite
    assert parsed.unpacked + name[len(parsed.unpacked) :] == name
    assert not parsed.unpacked.endswith(PACKED[1:])
    assert parsed.start in (START, None)
    assert parsed.stop in (STOP, None)
    assert parsed.generated in (MADE, None)


def test_there_are_enough_examples_of_every_convention() -> None:
    kinds = [parse_name(name).kind for name in GOOD]
    assert set(kinds) == {pattern.kind for pattern in PATTERNS}
    assert len(kinds) > 250


def test_a_name_tells_times_and_more() -> None:
    slice_name = parse_name(f"S1C_IW_RAW__0SDV_{T1}_{T2}_019684_021735_C6DB.SAFE")
    assert (slice_name.start, slice_name.stop) == (START, STOP)
    assert int(slice_name.fields["datatake"], 16) == 137013
    assert slice_name.fields["polarisation"] == "DV"
    orbit = parse_name(RESORB)
    assert (orbit.start, orbit.stop, orbit.generated) == (START, STOP, MADE)
    mask = parse_name(f"S1__OPER_MSK__LAND__V{T1}_G{T3}.EOF")
    assert (mask.start, mask.stop, mask.generated) == (START, None, MADE)
    tile = parse_name(f"S2B_OPER_MSI_L1C_TL_MTI__{T3}_A022326_T36UXV_N05.10.tar")
    assert (tile.fields["tile"], tile.fields["baseline"], tile.fields["orbit"]) == ("36UXV", "05.10", "022326")
    timeliness = {parse_name(name).timeliness for name in GOOD if name.startswith("S3")}
    assert timeliness == {"NRT", "STC", "NTC", ""}
    block = parse_name("DCS_02_S1A_20200105072204051312_ch2_DSDB_000001.raw")
    assert (block.fields["session"], block.fields["channel"]) == ("S1A_20200105072204051312", "2")
    open_end = parse_name(f"S1A_OPER_AUX_RESORB_OPOD_{T3}_V{T1}_99999999T999999.EOF")
    assert open_end.stop is None
    no_time = parse_name("S1A_OPER_AUX_OBMEMC_PDMC_20241399T000000.xml")
    assert no_time.start is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../../etc/passwd", "path"),
        (f"../{RESORB}", "path"),
        (f"a\\{RESORB}", "path"),
        (f"{RESORB}\n", "control"),
        (f"{RESORB}\x00", "control"),
        (RESORB.replace("S1A", "S1\u0661"), "non-ASCII"),
        (RESORB.replace("2024", "\u0662\u0660\u0662\u0664"), "non-ASCII"),
        (RESORB + "A" * 300, "characters"),
        (RESORB.replace("S1A", "S1E"), "conventions"),
        (RESORB.replace("S1A", "S1"), "conventions"),
        (RESORB.replace(".EOF", ".exe"), "conventions"),
        (f"S3A_OL_1_EFR____{T1}_{T2}_{T3}_short_PS1_O_NR_004.SEN3", "conventions"),
        ("DCS_02_S1A_20200105072204051312_ch3_DSDB_00001.raw", "conventions"),
        ("", "conventions"),
        ("README.txt", "conventions"),
    ],
)
def test_any_other_name_is_refused_with_a_reason(name: str, reason: str) -> None:
    with pytest.raises(InvalidNameError, match=reason):
        parse_name(name)


PARTS = st.sampled_from(["S1A", "DCS_02", "_", "OPER", "AUX", T1, "V", "G", ".SAFE", ".EOF", "ch1", "DSDB", "A" * 20])
ODD = st.one_of(st.text(max_size=300), st.lists(PARTS, max_size=20).map("".join), st.lists(PARTS).map("_".join))


@settings(deadline=None)
@given(ODD)
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        assert parse_name(text).name == text
    except InvalidNameError as error:
        assert str(error)


@settings(deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_a_changed_name_is_a_name_or_refused(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    changed = name[:at] + data.draw(st.sampled_from("A_0.TVGSZ\u0660/")) + name[at + 1 :]
    try:
        assert parse_name(changed).name == changed
    except InvalidNameError as error:
        assert str(error)


def test_matching_takes_linear_time() -> None:
    hostile = [part * (250 // len(part)) for part in ("_", "A_", "_ch1_", "S1A_", f"_{T1}", "DCS_02_", "_V", "0")]
    hostile += [prefix + part for prefix in ("DCS_02_", "S1A_OPER_", "S3A_OL_1_EFR___") for part in hostile]

    def seconds(length: int) -> float:
        started = time.process_time()
        for _ in range(20):
            for each in hostile:
                for pattern in PATTERNS:
                    pattern.expression.fullmatch((each * 100)[:length])
        return time.process_time() - started

    seconds(100)
    assert seconds(4000) < 100 * max(seconds(200), 0.001)


def test_an_untrusted_name_is_shown_harmlessly() -> None:
    assert shown("a\n\x00\u202eb") == "a\\n\\x00\\u202eb"
    assert len(shown("x" * 9999)) == 255
