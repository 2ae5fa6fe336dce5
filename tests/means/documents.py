"""The XML documents of made-up auxiliary files, after the product specifications of Sentinel-1, -2 and -3."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

COMPACT = "%Y%m%dT%H%M%S"
ISO = "%Y-%m-%dT%H:%M:%S"
_TAI_AHEAD = timedelta(seconds=37)
_ORBIT_SECONDS = 5924.0
_RADIUS_METRES = 7_071_000.0


class Times(NamedTuple):
    """When a file was made, and the period it is valid for."""

    created: datetime
    start: datetime
    stop: datetime


def _fixed_header(name: str, mission: str, kind: str, times: Times, system: str) -> str:
    created, start, stop = times
    return f"""    <Fixed_Header>
      <File_Name>{name}</File_Name>
      <File_Description>{kind} test file</File_Description>
      <Notes></Notes>
      <Mission>{mission}</Mission>
      <File_Class>OPER</File_Class>
      <File_Type>{kind}</File_Type>
      <Validity_Period>
        <Validity_Start>UTC={start:{ISO}}</Validity_Start>
        <Validity_Stop>UTC={stop:{ISO}}</Validity_Stop>
      </Validity_Period>
      <File_Version>0001</File_Version>
      <Source>
        <System>{system}</System>
        <Creator>{system}</Creator>
        <Creator_Version>1.4.0</Creator_Version>
        <Creation_Date>UTC={created:{ISO}}</Creation_Date>
      </Source>
    </Fixed_Header>
"""


def orbit_head(name: str, mission: str, kind: str, times: Times) -> str:
    """Everything of an orbit file before its data block."""
    return f"""<?xml version="1.0" ?>
<Earth_Explorer_File>
  <Earth_Explorer_Header>
{_fixed_header(name, mission, kind, times, "OPOD")}    <Variable_Header>
      <Ref_Frame>EARTH_FIXED</Ref_Frame>
      <Time_Reference>UTC</Time_Reference>
    </Variable_Header>
  </Earth_Explorer_Header>
"""


def state_vector(moment: datetime, orbit: int, phase: float) -> str:
    """One orbit state vector: a circle is good enough here."""
    angle = math.tau * (moment - datetime(2024, 1, 1)).total_seconds() / _ORBIT_SECONDS + phase
    speed = math.tau * _RADIUS_METRES / _ORBIT_SECONDS
    x, z = _RADIUS_METRES * math.cos(angle), _RADIUS_METRES * math.sin(angle)
    vx, vz = -speed * math.sin(angle), speed * math.cos(angle)
    return f"""    <OSV>
      <TAI>TAI={moment + _TAI_AHEAD:{ISO}}.000000</TAI>
      <UTC>UTC={moment:{ISO}}.000000</UTC>
      <UT1>UT1={moment:{ISO}}.231523</UT1>
      <Absolute_Orbit>+{orbit % 100_000:05d}</Absolute_Orbit>
      <X unit="m">{x:.6f}</X>
      <Y unit="m">0.000000</Y>
      <Z unit="m">{z:.6f}</Z>
      <VX unit="m/s">{vx:.6f}</VX>
      <VY unit="m/s">0.000000</VY>
      <VZ unit="m/s">{vz:.6f}</VZ>
      <Quality>NOMINAL</Quality>
    </OSV>
"""


def header_file(name: str, mission: str, kind: str, times: Times) -> str:
    """An Earth Explorer header in a file of its own (HDR)."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Earth_Explorer_Header>
{_fixed_header(name, mission, kind, times, "PDMC")}    <Variable_Header/>
</Earth_Explorer_Header>
"""


def safe_manifest(satellite: str, kind: str, times: Times, data: str, size: int) -> str:
    """`manifest.safe` of a Sentinel-1 auxiliary product."""
    created, valid, _ = times
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel-1.0"
    version="esa/safe/sentinel-1.0/sentinel-1/auxiliary/sar/{kind.lower()}">
  <informationPackageMap>
    <xfdu:contentUnit dmdID="platform" pdiID="processing" unitType="SAFE Archive Information Package"/>
  </informationPackageMap>
  <metadataSection>
    <metadataObject ID="processing" category="PDI" classification="PROVENANCE"><metadataWrap><xmlData>
      <safe:processing name="AUX_{kind} Generation" start="{created:{ISO}}.000000" stop="{created:{ISO}}.000000">
        <safe:facility country="France" name="Copernicus S1 Core Ground Segment - MPC" site="CLS-Brest"/>
      </safe:processing>
    </xmlData></metadataWrap></metadataObject>
    <metadataObject ID="platform" category="DMD" classification="DESCRIPTION"><metadataWrap><xmlData>
      <safe:platform>
        <safe:familyName>SENTINEL-1</safe:familyName>
        <safe:number>{satellite}</safe:number>
        <safe:instrument><safe:familyName abbreviation="SAR">Synthetic Aperture Radar</safe:familyName>
        </safe:instrument>
      </safe:platform>
    </xmlData></metadataWrap></metadataObject>
    <metadataObject ID="standAloneProductInformation" category="DMD" classification="DESCRIPTION"><metadataWrap>
      <xmlData><standAloneProductInformation
          xmlns="http://www.esa.int/safe/sentinel-1.0/sentinel-1/auxiliary/sar">
        <auxProductType>AUX_{kind}</auxProductType>
        <validity>{valid:{ISO}}.000000</validity>
        <generation>{created:{ISO}}.000000</generation>
        <instrumentConfigurationId>6</instrumentConfigurationId>
      </standAloneProductInformation></xmlData>
    </metadataWrap></metadataObject>
  </metadataSection>
  <dataObjectSection>
    <dataObject ID="auxData"><byteStream mimeType="text/xml" size="{size}">
      <fileLocation href="./data/{data}" locatorType="URL"/>
    </byteStream></dataObject>
  </dataObjectSection>
</xfdu:XFDU>
"""


def memory_configuration(created: datetime, start: datetime, random: Random) -> str:
    """On-board memory configuration (AUX_OBMEMC)."""
    kinds = ["Emergency", "RFC", "NRT", "Standard", "PassThrough", "HKTM", "GPS", "Filler"]
    stores = "\n".join(
        f"<PacketStoreAssociation>\n<PacketStoreId>PS-{number}</PacketStoreId>\n"
        f"<VirtualChannelId>VC-{number}</VirtualChannelId>\n"
        f"<PacketStoreType>{random.choice(kinds)}</PacketStoreType>\n</PacketStoreAssociation>"
        for number in range(51)
    )
    return f"""<?xml version="1.0" standalone="yes"?>
<OnBoardMemoryConfigurationUpdate>
<Creation_Time>UTC={created:{ISO}}</Creation_Time>
<Validity_Start>UTC={start:{ISO}}</Validity_Start>
<Validity_Stop>UTC=2099-12-31T23:59:59</Validity_Stop>
<List_of_PacketStoreAssociations>
{stores}
</List_of_PacketStoreAssociations>
</OnBoardMemoryConfigurationUpdate>
"""


def xfdu_manifest(satellite: str, times: Times, size: int) -> str:
    """`xfdumanifest.xml` of a Sentinel-3 auxiliary product."""
    created, start, stop = times
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1">
  <metadataSection>
    <metadataObject ID="generalProductInformation"><metadataWrap><xmlData>
      <generalProductInformation xmlns="http://www.esa.int/safe/sentinel/1.1/sentinel-3/adf">
        <timeliness>AL</timeliness>
        <baselineCollection>001</baselineCollection>
        <creationTime>{created:{COMPACT}}</creationTime>
        <productSize>{size}</productSize>
        <familyName>Sentinel-3</familyName>
        <number>{satellite}</number>
        <validityStartTime>{start:{ISO}}.000000Z</validityStartTime>
        <validityStopTime>{stop:{ISO}}.000000Z</validityStopTime>
      </generalProductInformation>
    </xmlData></metadataWrap></metadataObject>
    <metadataObject ID="processing"><metadataWrap><xmlData>
      <processing xmlns="http://www.esa.int/safe/sentinel/1.1">
        <facility name="European Centre for Medium-Range Weather Forecasts" site="Reading"/>
        <resource name="reformatter" role="software" version="1.0"/>
      </processing>
    </xmlData></metadataWrap></metadataObject>
  </metadataSection>
  <dataObjectSection>
    <dataObject ID="measurementData1"><byteStream mimeType="application/octetstream" size="{size}">
      <fileLocation locatorType="URL" href="./ISPData.dat"/>
    </byteStream></dataObject>
  </dataObjectSection>
</xfdu:XFDU>
"""


def information_block(session: str, start: datetime, stop: datetime, blocks: Sequence[str], size: int) -> str:
    """The DSIB of a channel of a downlink session: its blocks, and their bytes together."""
    names = "\n".join(f"    <dsdb_name>{name}</dsdb_name>" for name in blocks)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<DCSU_Session_Information_Block>
  <session_id>{session}</session_id>
  <time_start>{start:{ISO}}Z</time_start>
  <time_stop>{stop:{ISO}}Z</time_stop>
  <time_created>{start:{ISO}}Z</time_created>
  <time_finished>{stop:{ISO}}Z</time_finished>
  <data_size>{size}</data_size>
  <dsdb_list>
{names}
  </dsdb_list>
</DCSU_Session_Information_Block>
"""
