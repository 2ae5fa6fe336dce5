"""Paths of tree stations and lines of FTP listings, by tables."""

from datetime import UTC, datetime

import pytest

from refsys.services.ingestion.source import SessionFile
from refsys.services.ingestion.sources.ftplist import FtpEntry, UnusableLineError, list_entry, mlsd_entry
from refsys.services.ingestion.sources.paths import UnusablePathError, checked, session_of

SESSION = "S1A_20200105072204051312"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("channel", ["ch_1", "ch01", "ch1", "ch_01"])
@pytest.mark.parametrize("mode", ["NOMINAL", "RETRANSFER"])
@pytest.mark.parametrize("station", ["", "MTI_/", "WILE/"])
def test_the_forms_of_a_session_s_tree(mode: str, station: str, channel: str) -> None:
    path = f"{mode}/{station}S1A/{SESSION}/{channel}/DCS_02_{SESSION}_ch1_DSDB_00012.raw"
    assert session_of(path) == SessionFile(
        session_id=SESSION,
        satellite="S1A",
        station_unit="02",
        channel=1,
        block_number=12,
        final_block=False,
        retransfer=mode == "RETRANSFER",
    )


@pytest.mark.parametrize(
    ("path", "session", "satellite", "channel", "block", "retransfer"),
    [
        (f"NOMINAL/S1C/{SESSION}/ch2/DCS_01_{SESSION}_ch2_DSIB.xml", SESSION, "S1C", 2, None, False),
        (f"NOMINAL/S2C/{SESSION}/ch_2/DCS_01_{SESSION}_ch2_DSDB_000123.RAW", SESSION, "S2C", 2, 123, False),
        (
            "NOMINAL/S1A/L20200105162204009000001/ch_1/DCS_04_L20200105162204009000001_ch1_DSDB_00001.raw",
            "L20200105162204009000001", "S1A", 1, 1, False,
        ),
        (f"DCS_01_{SESSION}_dat/ch_1/DCS_01_{SESSION}_ch1_DSDB_00001.raw", SESSION, "S1A", 1, 1, False),
        ("DCS_01_L2020_dat/ch_1/DCS_01_L2020_ch1_DSIB.xml", "L2020", "", 1, None, False),
        (f"RETRANSFER/S1A/DCS_01_{SESSION}_dat/ch1/DCS_01_{SESSION}_ch1_DSIB.xml", SESSION, "S1A", 1, None, True),
    ],
)  # fmt: skip
def test_what_a_path_tells(  # noqa: PLR0917  # a table
    path: str, session: str, satellite: str, channel: int, block: int | None, retransfer: bool
) -> None:
    found = session_of(path)
    assert found is not None
    assert (found.session_id, found.satellite, found.channel) == (session, satellite, channel)
    assert (found.block_number, found.retransfer, found.final_block) == (block, retransfer, False)


@pytest.mark.parametrize(
    "path",
    [
        "S2_L0_DS/S2B_OPER_MSI_L0__DS_X.tar",
        f"OTHER/S1A/{SESSION}/ch_1/DCS_01_{SESSION}_ch1_DSDB_00001.raw",
        f"{SESSION}/ch_1/DCS_01_{SESSION}_ch1_DSDB_00001.raw",
        f"NOMINAL/{SESSION}/ch_1/DCS_01_{SESSION}_ch1_DSDB_00001.raw",
        f"NOMINAL/S1A/{SESSION}/ch_1/readme.txt",
        f"NOMINAL/S1A/{SESSION}/ch_1/DCS_01_{SESSION}_ch3_DSDB_00001.raw",
        f"NOMINAL/S1A/{SESSION}/ch_1/DCS_01_{SESSION}_ch1_DSDB_0001.raw",
        f"NOMINAL/S1A/{SESSION}/ch_1/DCS_01_{SESSION}_ch1_DSDB_00001.raw.part",
        f"NOMINAL/S1A/{SESSION}/DCS_01_{SESSION}_ch1_DSDB_00001.raw",
    ],
)
def test_what_is_no_file_of_a_session(path: str) -> None:
    assert session_of(path) is None


@pytest.mark.parametrize(
    "path",
    [
        f"NOMINAL/S1A/{SESSION}/ch_2/DCS_01_{SESSION}_ch1_DSDB_00001.raw",
        f"NOMINAL/S1A/OTHER/ch_1/DCS_01_{SESSION}_ch1_DSDB_00001.raw",
        f"DCS_01_OTHER_dat/ch_1/DCS_01_{SESSION}_ch1_DSDB_00001.raw",
    ],
)
def test_a_path_that_contradicts_itself_is_refused(path: str) -> None:
    with pytest.raises(UnusablePathError):
        session_of(path)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../b", "a/./b", "a//b", "a/", "a\\b", "a\nb", "a\x00b", "a\u202eb", "x" * 1025,
     "ä" * 600, "/".join("abcdefghijklmnopq")],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(UnusablePathError):
        checked(path)


MODIFIED = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("type=file;size=7;modify=20260203040506; a b", FtpEntry("a b", False, 7, MODIFIED)),
        ("Type=File;Modify=20260203040506.123;Perm=r; x", FtpEntry("x", False, None, MODIFIED)),
        ("type=dir;modify=20260203040506;unique=1g2; d", FtpEntry("d", True, None, MODIFIED)),
        ("type=dir; d", FtpEntry("d", True, None, datetime(1970, 1, 1, tzinfo=UTC))),
        ("type=cdir;modify=20260203040506; .", None),
        ("type=OS.unix=slink:/etc;modify=20260203040506; l", None),
    ],
)
def test_lines_of_mlsd(line: str, entry: FtpEntry | None) -> None:
    assert mlsd_entry(line) == entry


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("-rw-r--r--   1 user group 12345 Jan 05 07:22 a b",
         FtpEntry("a b", False, 12345, datetime(2026, 1, 5, 7, 22, tzinfo=UTC))),
        ("-rw-r--r-- 1 0 0 0 Dec 31 23:59 x", FtpEntry("x", False, 0, datetime(2025, 12, 31, 23, 59, tzinfo=UTC))),
        ("-rw-r--r-- 1 0 0 9 Feb 29  2024 x", FtpEntry("x", False, 9, datetime(2024, 2, 29, tzinfo=UTC))),
        ("drwxr-xr-x. 2 0 0 4096 Mar  1 12:30 d", FtpEntry("d", True, None, datetime(2026, 3, 1, 12, 30, tzinfo=UTC))),
        ("lrwxrwxrwx 1 0 0 4 Jan 05 07:22 l -> /etc", None),
        ("drwxr-xr-x 2 0 0 4096 Mar  1 12:30 ..", None),
        ("total 12", None),
    ],
)  # fmt: skip
def test_lines_of_list(line: str, entry: FtpEntry | None) -> None:
    assert list_entry(line, NOW) == entry


@pytest.mark.parametrize(
    "line",
    ["", "x", "type=file;size=7; x", "type=file;size=-7;modify=20260203040506; x",
     "type=file;size=9999999999999999999;modify=20260203040506; x", "type=file;modify=20261303040506; x"],
)  # fmt: skip
def test_unusable_lines_of_mlsd(line: str) -> None:
    with pytest.raises(UnusableLineError):
        mlsd_entry(line)


@pytest.mark.parametrize(
    "line",
    ["x", "-rw-r--r-- 1 0 0 9 Foo 29 2024 x", "-rw-r--r-- 1 0 0 9 Feb 31 2024 x", "-rw-r--r-- 1 0 0 9 Feb 01 25:61 x",
     "-rw-r--r-- 1 0 0 9999999999999999999 Jan 05 2020 x", "-rw-r--r-- 1 0 0 9 Feb 01 0000 x"],
)  # fmt: skip
def test_unusable_lines_of_list(line: str) -> None:
    with pytest.raises(UnusableLineError):
        list_entry(line, NOW)
