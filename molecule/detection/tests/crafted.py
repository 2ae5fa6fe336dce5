"""Crafted packets as a pcap file, made of nothing but the standard library."""

import struct
from pathlib import Path

ATTACKER, NODE = b"\xcb\x00\x71\x05", b"\xcb\x00\x71\x63"
LINK_RAW = 101


def _sum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data)) if len(data) % 2 == 0 else _sum(data + b"\0") ^ 0xFFFF
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip(protocol: int, payload: bytes, source: bytes, target: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + source + target
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + payload


def _with_sum(protocol: int, segment: bytes, at: int, source: bytes, target: bytes) -> bytes:
    pseudo = source + target + struct.pack("!BBH", 0, protocol, len(segment))
    return segment[:at] + struct.pack("!H", _sum(pseudo + segment)) + segment[at + 2 :]


def tcp(
    flags: int, port: int, *, data: bytes = b"", source_port: int = 40_000, sequence: int = 1, acknowledge: int = 0
) -> bytes:
    """A packet to the node."""
    head = struct.pack("!HHIIBBHHH", source_port, port, sequence, acknowledge, 5 << 4, flags, 65_535, 0, 0)
    return _ip(6, _with_sum(6, head + data, 16, ATTACKER, NODE), ATTACKER, NODE)


def tcp_answer(flags: int, port: int, *, source_port: int, sequence: int, acknowledge: int) -> bytes:
    """A packet of the node."""
    head = struct.pack("!HHIIBBHHH", port, source_port, sequence, acknowledge, 5 << 4, flags, 65_535, 0, 0)
    return _ip(6, _with_sum(6, head, 16, NODE, ATTACKER), NODE, ATTACKER)


def request(data: bytes, port: int, source_port: int) -> list[bytes]:
    """A TCP connection to the node with one request."""
    ack, psh_ack, syn = 0x10, 0x18, 0x02
    return [
        tcp(syn, port, source_port=source_port, sequence=100),
        tcp_answer(syn | ack, port, source_port=source_port, sequence=500, acknowledge=101),
        tcp(ack, port, source_port=source_port, sequence=101, acknowledge=501),
        tcp(psh_ack, port, data=data, source_port=source_port, sequence=101, acknowledge=501),
        tcp_answer(ack, port, source_port=source_port, sequence=501, acknowledge=101 + len(data)),
        tcp(0x11, port, source_port=source_port, sequence=101 + len(data), acknowledge=501),
        tcp_answer(0x11, port, source_port=source_port, sequence=501, acknowledge=102 + len(data)),
    ]


def ping(size: int) -> bytes:
    """An echo request to the node."""
    packet = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + b"x" * size
    return _ip(1, packet[:2] + struct.pack("!H", _sum(packet)) + packet[4:], ATTACKER, NODE)


def query(name: str, number: int) -> bytes:
    """A question to a name server."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    data = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack("!HH", 16, 1)
    head = struct.pack("!HHHH", 40_000 + number, 53, 8 + len(data), 0)
    return _ip(17, _with_sum(17, head + data, 6, NODE, ATTACKER), NODE, ATTACKER)


def write(file: Path, packets: list[bytes]) -> None:
    """Write the packets, a millisecond between them."""
    with file.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, LINK_RAW))
        for number, packet in enumerate(packets):
            out.write(struct.pack("<IIII", 1_800_000_000, number * 1000, len(packet), len(packet)) + packet)
