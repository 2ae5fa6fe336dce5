"""The metadata documents of made-up products of Sentinel-1, -2 and -3 and of downlink sessions."""

from datetime import datetime

from tests.means.documents import COMPACT, ISO, Times

FRAME = "10.0,20.0 10.0,22.0 12.0,22.0 12.0,20.0"
"""Two by two degrees, as `lat,lon`."""


def s1_manifest(satellite: str, times: Times, *, level: int = 0, frame: str = FRAME, store: int = 24) -> str:
    """`manifest.safe` of an IW slice, level 0 or 1."""
    created, start, stop = times
    product = (
        f'<packetStoreID dataObjectID="measurementData1">{store}</packetStoreID>'
        "<productConsolidation>SLICE</productConsolidation>"
        if level == 0
        else "<productComposition>Slice</productComposition>"
        "<productTimelinessCategory>Fast-24h</productTimelinessCategory>"
        f"<segmentStartTime>{start:{ISO}}.250000</segmentStartTime><totalSlices>23</totalSlices>"
    )
    software = '<safe:software name="Sentinel-1 IPF" version="003.71"/>' if level else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel-1.0"
    xmlns:s1="http://www.esa.int/safe/sentinel-1.0/sentinel-1" xmlns:gml="http://www.opengis.net/gml">
  <metadataSection>
    <safe:processing name="Generation" start="{created:{ISO}}.000000" stop="{created:{ISO}}.500000">
      <safe:facility name="WILE" site="DLR-Oberpfaffenhofen">{software}</safe:facility>
      <safe:resource name="input" role="Raw Data"><safe:processing stop="2001-01-01T00:00:00">
        <safe:facility name="other" site="other"><safe:software name="other" version="0"/></safe:facility>
      </safe:processing></safe:resource>
    </safe:processing>
    <safe:platform><safe:familyName>SENTINEL-1</safe:familyName><safe:number>{satellite}</safe:number>
      <safe:instrument><safe:familyName abbreviation="SAR">Synthetic Aperture Radar</safe:familyName>
        <s1:instrumentMode><s1:mode>IW</s1:mode><s1:swath>IW1</s1:swath><s1:swath>IW2</s1:swath></s1:instrumentMode>
      </safe:instrument></safe:platform>
    <standAloneProductInformation>
      <instrumentConfigurationID>7</instrumentConfigurationID>
      <missionDataTakeID>137013</missionDataTakeID>
      <transmitterReceiverPolarisation>VH</transmitterReceiverPolarisation>
      <transmitterReceiverPolarisation>VV</transmitterReceiverPolarisation>
      <productClass>S</productClass>
      <sliceProductFlag>TRUE</sliceProductFlag><sliceNumber>13</sliceNumber>
      {product}
    </standAloneProductInformation>
    <safe:acquisitionPeriod><safe:startTime>{start:{ISO}}.250000Z</safe:startTime>
      <safe:stopTime>{stop:{ISO}}.750000Z</safe:stopTime>
      <s1:timeANX><s1:startTimeANX>1.642788e+05</s1:startTimeANX><s1:stopTimeANX>193284.4</s1:stopTimeANX></s1:timeANX>
    </safe:acquisitionPeriod>
    <safe:orbitReference>
      <safe:orbitNumber type="start">19684</safe:orbitNumber><safe:orbitNumber type="stop">19685</safe:orbitNumber>
      <safe:relativeOrbitNumber type="start">12</safe:relativeOrbitNumber>
      <safe:relativeOrbitNumber type="stop">13</safe:relativeOrbitNumber>
      <safe:cycleNumber>127</safe:cycleNumber><s1:pass>ASCENDING</s1:pass>
    </safe:orbitReference>
    <safe:footPrint><gml:coordinates>{frame}</gml:coordinates></safe:footPrint>
    <s1:qualityProperties><s1:numOfMissingElements>0</s1:numOfMissingElements>
      <s1:numOfCorruptedElements>{level}</s1:numOfCorruptedElements></s1:qualityProperties>
  </metadataSection>
</xfdu:XFDU>
"""


def s2_inventory(name: str, kind: str, times: Times, *, parent: str = "") -> str:
    """`Inventory_Metadata.xml` of a product data item over two by two degrees."""
    created, start, stop = times
    corners = [pair.split(",") for pair in FRAME.split()]
    points = "".join(
        f"<Geo_Pnt><LATITUDE>{lat}</LATITUDE><LONGITUDE>{lon}</LONGITUDE></Geo_Pnt>" for lat, lon in corners
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Inventory_Metadata xmlns="https://psd-12.sentinel2.eo.esa.int/PSD/Inventory_Metadata.xsd">
  <File_ID>{name}</File_ID><Parent_ID>{parent}</Parent_ID><Group_ID>GS2A_20191001T082741_022326_N05.10</Group_ID>
  <File_Name>{name}</File_Name><Source>L1C_Processor</Source><Source_Sw_Version>5.1.0</Source_Sw_Version>
  <Generation_Time>UTC={created:{ISO}}.000000</Generation_Time>
  <Validity_Start>UTC={start:{ISO}}.000000</Validity_Start><Validity_Stop>UTC={stop:{ISO}}.000000</Validity_Stop>
  <Start_Orbit_Number>022326</Start_Orbit_Number><Stop_Orbit_Number>022327</Stop_Orbit_Number>
  <Geographic_Localization><List_Of_Geo_Pnt count="4">{points}</List_Of_Geo_Pnt></Geographic_Localization>
  <Quality_Info>99.5</Quality_Info><File_Type>{kind}</File_Type><File_Class>NOM</File_Class>
  <Sensor_Code>MSI</Sensor_Code><Sensor_Mode>NOM</Sensor_Mode><Processing_Station>MTI_</Processing_Station>
  <Ascending_Flag>false</Ascending_Flag><CloudPercentage>12.5</CloudPercentage>
</Inventory_Metadata>
"""


def s2_tile(datastrip: str, sensing: datetime) -> str:
    """`S2…_MTD_L1C_TL_….xml`."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-1C_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd">
  <n1:General_Info><TILE_ID>tile</TILE_ID><DATASTRIP_ID>{datastrip}</DATASTRIP_ID>
    <DOWNLINK_PRIORITY>NOMINAL</DOWNLINK_PRIORITY><SENSING_TIME>{sensing:{ISO}}.123456Z</SENSING_TIME>
    <Archiving_Info><ARCHIVING_TIME>{sensing:{ISO}}.5Z</ARCHIVING_TIME></Archiving_Info></n1:General_Info>
  <n1:Quality_Indicators_Info><CLOUDY_PIXEL_PERCENTAGE>12.25</CLOUDY_PIXEL_PERCENTAGE></n1:Quality_Indicators_Info>
</n1:Level-1C_Tile_ID>
"""


def s2_datastrip(times: Times) -> str:
    """`S2…_MTD_L1C_DS_….xml`."""
    created, start, stop = times
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-1C_DataStrip_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Datastrip_Metadata.xsd">
  <n1:General_Info>
    <Datatake_Info datatakeIdentifier="GS2C_20240102T030405_022326_N05.10">
      <SENSING_ORBIT_NUMBER>22</SENSING_ORBIT_NUMBER>
      <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION></Datatake_Info>
    <Datastrip_Time_Info><DATASTRIP_SENSING_START>{start:{ISO}}.100Z</DATASTRIP_SENSING_START>
      <DATASTRIP_SENSING_STOP>{stop:{ISO}}.200Z</DATASTRIP_SENSING_STOP></Datastrip_Time_Info>
    <Processing_Info><UTC_DATE_TIME>{created:{ISO}}.000Z</UTC_DATE_TIME><PROCESSING_CENTER>2BPS</PROCESSING_CENTER>
      <PROCESSING_BASELINE>05.10</PROCESSING_BASELINE></Processing_Info>
  </n1:General_Info>
  <quality_check checkType="FORMAT_CORRECTNESS">PASSED</quality_check>
</n1:Level-1C_DataStrip_ID>
"""


def s2_user_product(times: Times) -> str:
    """`MTD_MSIL2A.xml`."""
    created, start, stop = times
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
  <n1:General_Info><Product_Info><PRODUCT_START_TIME>{start:{ISO}}.024Z</PRODUCT_START_TIME>
    <PRODUCT_STOP_TIME>{stop:{ISO}}.024Z</PRODUCT_STOP_TIME><PROCESSING_BASELINE>05.10</PROCESSING_BASELINE>
    <GENERATION_TIME>{created:{ISO}}.000000Z</GENERATION_TIME>
    <Datatake datatakeIdentifier="GS2D_20240102T030405_022326_N05.10">
      <SENSING_ORBIT_NUMBER>22</SENSING_ORBIT_NUMBER>
    <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION></Datatake></Product_Info></n1:General_Info>
  <n1:Geometric_Info><EXT_POS_LIST>10.0 20.0 10.0 22.0 12.0 22.0 12.0 20.0 10.0 20.0 </EXT_POS_LIST></n1:Geometric_Info>
  <n1:Quality_Indicators_Info><Cloud_Coverage_Assessment>3.5</Cloud_Coverage_Assessment>
    <quality_check checkType="GENERAL_QUALITY">FAILED</quality_check></n1:Quality_Indicators_Info>
</n1:Level-2A_User_Product>
"""


def hktm_manifest(times: Times) -> str:
    """`manifest.safe` of Sentinel-2 housekeeping telemetry."""
    _, start, stop = times
    return f"""<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1"><acquisitionPeriod>
<startTime>{start:{ISO}}.5Z</startTime><stopTime>{stop:{ISO}}.5Z</stopTime></acquisitionPeriod></xfdu:XFDU>"""


def s3_manifest(satellite: str, kind: str, times: Times, timeliness: str = "NR", orbit: int = 9999) -> str:
    """`xfdumanifest.xml` of an OLCI product over two by two degrees."""
    created, start, stop = times
    positions = FRAME.replace(",", " ") + " 10.0 20.0"
    direction = 'groundTrackDirection="descending"'
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:sentinel-safe="http://www.esa.int/safe/sentinel/1.1"
    xmlns:sentinel3="http://www.esa.int/safe/sentinel/sentinel-3/1.0" xmlns:gml="http://www.opengis.net/gml">
  <metadataSection>
    <sentinel-safe:acquisitionPeriod><sentinel-safe:startTime>{start:{ISO}}.111000Z</sentinel-safe:startTime>
      <sentinel-safe:stopTime>{stop:{ISO}}.222000Z</sentinel-safe:stopTime></sentinel-safe:acquisitionPeriod>
    <sentinel-safe:platform><sentinel-safe:familyName>Sentinel-3</sentinel-safe:familyName>
      <sentinel-safe:number>{satellite}</sentinel-safe:number><sentinel-safe:instrument>
      <sentinel-safe:familyName abbreviation="OLCI">Ocean Land Colour Instrument</sentinel-safe:familyName>
      <sentinel-safe:mode identifier="EO">Earth Observation</sentinel-safe:mode></sentinel-safe:instrument>
    </sentinel-safe:platform>
    <sentinel3:generalProductInformation><sentinel3:productType>{kind}</sentinel3:productType>
      <sentinel3:timeliness>{timeliness}</sentinel3:timeliness>
      <sentinel3:baselineCollection>004</sentinel3:baselineCollection>
      <sentinel3:creationTime>{created:{COMPACT}}</sentinel3:creationTime>
      <sentinel3:dumpInformation><sentinel3:granuleNumber>5</sentinel3:granuleNumber>
      <sentinel3:granulePosition>FIRST</sentinel3:granulePosition></sentinel3:dumpInformation>
    </sentinel3:generalProductInformation>
    <sentinel-safe:orbitReference>
      <sentinel-safe:orbitNumber type="start" {direction}>{orbit}</sentinel-safe:orbitNumber>
      <sentinel-safe:relativeOrbitNumber type="start" {direction}>22</sentinel-safe:relativeOrbitNumber>
      <sentinel-safe:cycleNumber>100</sentinel-safe:cycleNumber></sentinel-safe:orbitReference>
    <sentinel3:onlineQualityCheck>PASSED</sentinel3:onlineQualityCheck>
    <sentinel3:cloudyPixels value="1234" percentage="54.5"/>
    <sentinel-safe:footPrint><gml:posList>{positions}</gml:posList></sentinel-safe:footPrint>
    <sentinel-safe:processing name="DataProcessing" stop="{created:{ISO}}.000000">
      <sentinel-safe:facility name="Svalbard Core Ground Station" site="Svalbard">
      <sentinel-safe:software name="PUG" version="03.47"/></sentinel-safe:facility></sentinel-safe:processing>
  </metadataSection>
</xfdu:XFDU>
"""


def session_information(session: str, channel: int, start: datetime, stop: datetime, blocks: int) -> str:
    """The session information block (DSIB) of a channel."""
    names = "".join(
        f"<dsdb_name>DCS_02_{session}_ch{channel}_DSDB_{number:05d}.raw</dsdb_name>" for number in range(1, blocks + 1)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<DCSU_Session_Information_Block><session_id>{session}</session_id><time_start>{start:{ISO}}Z</time_start>
<time_stop>{stop:{ISO}}Z</time_stop><time_created>{start:{ISO}}Z</time_created>
<time_finished>{stop:{ISO}}Z</time_finished><data_size>{blocks * 1000}</data_size>
<dsdb_list>{names}</dsdb_list></DCSU_Session_Information_Block>
"""
