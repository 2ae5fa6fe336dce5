"""Sessions of all missions become products whose packets are those of the session's truth, one by one."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.means.downlink import SOME, START, Faults, Made, expected, generate
from tests.means.memory_store import MemoryObjects

from refsys.services.catalogue.documents import metadata_documents
from refsys.services.catalogue.files import Folder
from refsys.services.catalogue.metadata import read_metadata
from refsys.services.common.names import parse_name
from refsys.services.processors import quality
from refsys.services.processors.errors import ProcessorError
from refsys.services.processors.level0 import __main__ as command
from refsys.services.processors.level0 import channel
from refsys.services.processors.level0.framing import Framing
from refsys.services.processors.level0.job import Options, run
from refsys.services.processors.level0.streams import RECORD

SIZE = 3_000_000
BLOCK = 1_400_000  # several files a channel
NOW = datetime(2024, 6, 1, tzinfo=UTC)
NAMED = {
    "S1C": {"HK_RAW__0N": 1, "IW_RAW__0S": 2},
    "S2B": {"MSI_L0__DS": 1, "PRD_HKTM__": 1},
    "S3A": {"OL_0_EFR___": 1, "SL_0_SLT___": 1, "SR_0_SRA___": 1, "MW_0_MWR___": 1, "TM_0_HKM___": 1},
}


def packets_in(products: list[Path]) -> dict[int, Counter[tuple[int, ...]]]:
    """All packets by channel: virtual channel, process, sequence count, length, CRC, first and last frame, time."""
    found: dict[int, Counter[tuple[int, ...]]] = {1: Counter(), 2: Counter()}
    for product in products:
        for annotation in product.glob("measurement/*-annot.dat"):
            name = annotation.name.removesuffix("-annot.dat")
            data = (annotation.parent / f"{name}.dat").read_bytes()
            number, virtual, process = (int(part.lstrip("chvapid")) for part in name.rsplit("-", 3)[1:])
            for record in np.fromfile(annotation, RECORD):
                offset, length = int(record["offset"]), int(record["length"])
                content = zlib.crc32(data[offset : offset + length])
                found[number][virtual, process, int(record["sequence"]), length, content] += 1
    return found


def wanted(made: Made) -> dict[int, Counter[tuple[int, ...]]]:
    return {
        number: Counter((row[0], row[1], *row[3:]) for row in expected(truth)) for number, truth in made.truths.items()
    }


def tree(folder: Path) -> dict[str, str]:
    """Digests of all files of products, and of what lies beside them."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".level0" not in path.parts and path.suffix != ".LIST"
    }


def report(products: list[Path]) -> list[dict[str, Any]]:
    return [json.loads((product / "report.json").read_text()) for product in products]


@pytest.fixture(autouse=True)
def _fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same time in all products, small blocks, and no waiting for the disk, which only a power cut would need."""
    monkeypatch.setattr("refsys.services.processors.level0.job.utc_now", lambda: NOW)
    monkeypatch.setattr(channel, "BLOCK_BYTES", 2**19)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.parametrize("satellite", NAMED)
@pytest.mark.parametrize("faults", [Faults(), SOME], ids=["clean", "faults"])
def test_packets_one_by_one(tmp_path: Path, satellite: str, faults: Faults) -> None:
    made = generate(tmp_path / "in", satellite, SIZE, seed=5, faults=faults, block_bytes=BLOCK)
    outcome = run(Options((tmp_path / "in",), tmp_path / "out", station="MTI"))
    products = [tmp_path / "out" / name for name in outcome.products]
    assert (tmp_path / "out/out.LIST").read_text().split() == [each.name for each in products]
    assert Counter(parse_name(each.name).product_type for each in products) == NAMED[satellite]
    found, truth = packets_in(products), wanted(made)
    for number in (1, 2):
        assert found[number] == truth[number], f"channel {number}"
    assert outcome.degraded == (faults == SOME)
    for product in products:
        assert quality.check(product) == []
    missing = sum(stream["missingPackets"] for each in report(products) for stream in each["streams"])
    cut = sum(int(np.count_nonzero(~each["received"])) for each in made.truths.values())
    if faults == SOME:
        assert 0 < missing <= cut
        assert not all(each["complete"] for each in report(products))
        counts = json.loads((tmp_path / "out/level0-report.json").read_text())["channels"]
        for each in counts:
            assert each["reception"]["corrected"] > 0
            assert each["reception"]["uncorrectable"] > 0
            assert each["lock"]["losses"] > 0
            assert sum(virtual["repeats"] for virtual in each["virtual"].values()) > 0
        events = [json.loads(line) for line in (tmp_path / "out/level0-ch1-events.jsonl").read_text().splitlines()]
        assert {each["event"] for each in events} == {"gap", "repeat", "lock lost"}
    else:
        assert missing == 0
        assert (tmp_path / "out/level0-ch1-events.jsonl").read_text() == ""


def test_annotations(tmp_path: Path) -> None:
    made = generate(tmp_path / "in", "S1A", 1_400_000, faults=Faults(errors=0.05))
    outcome = run(Options((tmp_path / "in",), tmp_path / "out"))
    product = next(tmp_path / "out" / each for each in outcome.products if "_HK_" in each)
    for annotation in product.glob("measurement/*ch1*-annot.dat"):
        process = int(annotation.name.split("apid")[1][:4])
        truth = made.truths[1]
        truth = truth[(truth["process"] == process) & truth["received"]]
        records = np.fromfile(annotation, RECORD)
        assert records["sequence"].tolist() == truth["sequence"].tolist()
        assert records["frame"].tolist() == (truth["first"] % 2**24).tolist()
        assert records["frames"].tolist() == (truth["last"] - truth["first"] + 1).tolist()
        assert (np.abs(records["sensing"] - truth["sensing"]) <= 16).all()  # a bit of the fine time
        assert ((records["sensing"] == -1) == (truth["sensing"] == -1)).all()
    science = next(tmp_path / "out" / each for each in outcome.products if "_IW_" in each)
    records = np.fromfile(next(science.glob("measurement/*ch1*-annot.dat")), RECORD)
    assert records["corrected"].sum() > 0
    assert (records["corrected"] <= records["frames"]).all()


def test_the_catalogue_reads_the_products(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    for satellite in NAMED:
        generate(tmp_path / satellite, satellite, 1_400_000)
        options = Options((tmp_path / satellite,), tmp_path / f"{satellite}-out", station="MTI", timeliness="NRT")
        for name in run(options).products:
            store, folder = MemoryObjects(tmp_path / "store"), tmp_path / f"{satellite}-out" / name
            for path in folder.rglob("*"):
                if path.is_file():
                    content = path.read_bytes()
                    store.put("b", f"{name}/{path.relative_to(folder)}", [content], len(content))
            metadata = read_metadata(parse_name(name), metadata_documents(Folder(store, "b", name)))
            values = {each.name: each.value for each in metadata.attributes}
            assert START <= metadata.start <= metadata.end <= START + timedelta(minutes=1)
            assert values["platformSerialIdentifier"] == satellite[2]
            assert values["orbitNumber"] == 12345
            assert values["processorName"] == "refsys-level0"
            if satellite == "S1C" and "_IW_" in name:
                assert values["polarisationChannels"] == "VV&VH"
                assert values["datatakeID"] in (0x2A1B7, 0x2A1C9)
                assert values["qualityStatus"] == "NOMINAL"


@pytest.mark.parametrize("framing", [Framing(check=False), Framing(fecf=True, ocf=True), Framing(depth=4)])
def test_other_frames(tmp_path: Path, framing: Framing) -> None:
    made = generate(tmp_path / "in", "S3B", SIZE, framing=framing, faults=Faults(gap=0.02, repeat=0.02, junk=0.01))
    outcome = run(Options((tmp_path / "in",), tmp_path / "out", framing=framing))
    assert packets_in([tmp_path / "out" / name for name in outcome.products]) == wanted(made)


def test_a_missing_file(tmp_path: Path) -> None:
    made = generate(tmp_path / "in", "S2A", 6_000_000, block_bytes=BLOCK)
    next((tmp_path / "in/ch_1").glob("*_DSDB_00002.raw")).unlink()
    outcome = run(Options((tmp_path / "in",), tmp_path / "out"))
    found, truth = packets_in([tmp_path / "out" / name for name in outcome.products]), wanted(made)
    assert found[2] == truth[2]
    assert not found[1] - truth[1]
    assert 0.5 < found[1].total() / truth[1].total() < 0.9
    assert outcome.degraded
    first = json.loads((tmp_path / "out/level0-report.json").read_text())["channels"][0]
    assert [name[-14:] for name in first["missing_blocks"]] == ["DSDB_00002.raw"]
    assert "DSIB says" in first["problems"][0]


class _StoppedError(Exception):
    pass


def test_stopped_anywhere_it_ends_with_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path / "in", "S3A", SIZE, faults=SOME, block_bytes=BLOCK)
    options = Options((tmp_path / "in",), tmp_path / "whole")
    calls, worked, limit = 0, 0, 10**9
    real_rename = Path.rename

    def counted() -> None:
        nonlocal calls
        calls += 1
        if calls == limit:
            raise _StoppedError

    def sync(_: int) -> None:
        counted()

    def rename(path: Path, target: Path) -> Path:
        counted()
        return real_rename(path, target)

    def progress(octets: int) -> None:
        nonlocal worked
        worked += octets

    monkeypatch.setattr(channel, "CHECKPOINT_BYTES", 2**19)
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    outcome = run(options, progress)
    steps, whole, size = calls, tree(tmp_path / "whole"), worked
    assert steps > 100
    for stop in (*range(3, steps, steps // 5), steps - 1, steps):
        folder, calls, limit, worked = tmp_path / f"stopped-{stop}", 0, stop, 0
        with pytest.raises(_StoppedError):
            run(replace(options, output=folder), progress)
        limit = 10**9
        assert run(replace(options, output=folder), progress) == outcome
        assert tree(folder) == whole
        assert worked <= size + 2 * channel.CHECKPOINT_BYTES, "what was done is done again"
        assert run(replace(options, output=folder), progress) == outcome
        assert worked <= size + 2 * channel.CHECKPOINT_BYTES


def test_killed_it_goes_on(tmp_path: Path) -> None:
    generate(tmp_path / "in", "S1B", 6_000_000, faults=SOME)
    whole = run(Options((tmp_path / "in",), tmp_path / "whole"))
    program = (
        "import os, sys; from refsys.services.processors.level0 import channel, __main__ as level0;"
        "os.fsync = lambda _: None; channel.BLOCK_BYTES = channel.CHECKPOINT_BYTES = 2**19;"
        "sys.exit(level0.main(sys.argv[1:]))"
    )
    output = tmp_path / "killed"
    call = [sys.executable, "-c", program, "--input", str(tmp_path / "in"), "--output", str(output)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL)
    checkpoint, deadline = output / ".level0/streams/ch2.npz", time.monotonic() + 60
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it was killed"
    assert subprocess.run(call, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 1
    assert len((output / "killed.LIST").read_text().split()) == len(whole.products)
    ours, theirs = tree(output), tree(tmp_path / "whole")
    measured = [digest for name, digest in ours.items() if name.endswith(".dat")]
    assert sorted(measured) == sorted(digest for name, digest in theirs.items() if name.endswith(".dat"))


JOB_ORDER = """<?xml version="1.0"?>
<Ipf_Job_Order>
  <Ipf_Conf><Processor_Name>LEVEL0</Processor_Name><Processing_Station>WILE</Processing_Station>
    <List_of_Dynamic_Processing_Parameters count="2">
      <Processing_Parameter><Name>Satellite</Name><Value>S3B</Value></Processing_Parameter>
      <Processing_Parameter><Name>Orbit_Number</Name><Value>{orbit}</Value></Processing_Parameter>
    </List_of_Dynamic_Processing_Parameters></Ipf_Conf>
  <List_of_Ipf_Procs count="1"><Ipf_Proc><Task_Name>L0</Task_Name>
    <List_of_Inputs count="1"><Input><File_Type>SESSION</File_Type><File_Name_Type>Physical</File_Name_Type>
      <List_of_File_Names count="2"><File_Name>in/ch_1</File_Name><File_Name>in/ch_2</File_Name></List_of_File_Names>
    </Input></List_of_Inputs>
    <List_of_Outputs count="1"><Output><File_Type>L0</File_Type><File_Name_Type>Directory</File_Name_Type>
      <File_Name>out</File_Name></Output></List_of_Outputs>
  </Ipf_Proc></List_of_Ipf_Procs>
</Ipf_Job_Order>
"""


def test_a_job_order(tmp_path: Path) -> None:
    generate(tmp_path / "in", "S3B", 1_400_000)
    order = tmp_path / "JobOrder.7.xml"
    order.write_text(JOB_ORDER.format(orbit=77))
    assert command.main([str(order)]) == 0
    names = (tmp_path / "out/out.LIST").read_text().split()
    assert len(names) == 5
    assert all("_WIL_O_NR_001.SEN3" in name for name in names)
    assert "77</safe:orbitNumber>" in (tmp_path / "out" / names[0] / "xfdumanifest.xml").read_text()
    assert command.main([str(order)]) == 0
    order.write_text(JOB_ORDER.format(orbit=78))
    assert command.main([str(order)]) == 200


def test_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path / "in", "S3B", 1_400_000)
    given = ["--input", str(tmp_path / "in"), "--output"]
    assert command.main([]) == 200
    assert command.main(["--wrong"]) == 200
    assert command.main([str(tmp_path / "nothing.xml")]) == 200
    assert command.main(["--input", str(tmp_path / "nothing"), "--output", str(tmp_path / "a")]) == 200
    assert command.main([*given, str(tmp_path / "b"), "--satellite", "S4A"]) == 200
    assert command.main([*given, str(tmp_path / "c"), "--satellite", "S1A"]) == 200  # the session is of another one
    (tmp_path / "missions.yml").write_text("S3: {time: {offset: 10, coarse: 4}}")
    assert command.main([*given, str(tmp_path / "d"), "--missions", str(tmp_path / "missions.yml")]) == 200
    stream = "{channels: [1], processes: [1, 2], type: TM_0_HKM___, label: x}"
    other = f"S3: {{time: {{offset: 10, coarse: 4, fine: 2}}, streams: [{stream}]}}"
    (tmp_path / "missions.yml").write_text(other)
    assert command.main([*given, str(tmp_path / "e"), "--missions", str(tmp_path / "missions.yml")]) == 201
    monkeypatch.setattr(command, "run", lambda *_: 1 / 0)
    assert command.main([*given, str(tmp_path / "f")]) == 255


def test_noise_has_no_products(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    noise = np.random.default_rng(1).bytes(3_000_000)
    (folder / "DCS_01_S1A_20240506070809012345_ch1_DSDB_00001.raw").write_bytes(noise)
    with pytest.raises(ProcessorError, match="no packet of a known kind"):
        run(Options((folder,), tmp_path / "out"))
