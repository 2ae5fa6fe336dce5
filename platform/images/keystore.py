"""Java's store of trusted certificates without the time at which it was made."""

import hashlib
import struct
from pathlib import Path

from refsys.platform.images.store import EPOCH

PLACE = Path("etc/ssl/certs/java/cacerts")
MAGIC = 0xFEEDFEED
TRUSTED = 2
# Debian's password for it, and the salt of the format (OpenJDK: sun.security.provider.JavaKeyStore).
SALT = "changeit".encode("utf-16-be") + b"Mighty Aphrodite"


def reset_dates(root: Path) -> None:
    """Give all entries of the tree's store of trusted certificates, if it has one, the same date."""
    path = root / PLACE
    if path.is_file():
        path.write_bytes(with_dates(path.read_bytes(), EPOCH * 1000))


def with_dates(store: bytes, milliseconds: int) -> bytes:
    """Return a JKS store of certificates in the order of their names, all with the same date."""
    magic, _, count = struct.unpack_from(">III", store)
    if magic != MAGIC:
        raise ValueError(f"{PLACE} is not a JKS store")
    position = 12
    entries = []
    for _ in range(count):
        tag, length = struct.unpack_from(">IH", store, position)
        if tag != TRUSTED:
            raise ValueError(f"{PLACE} holds a private key")
        name = store[position + 6 : position + 6 + length]
        body = position + 6 + length + 8
        (kind,) = struct.unpack_from(">H", store, body)
        (size,) = struct.unpack_from(">I", store, body + 2 + kind)
        end = body + 2 + kind + 4 + size
        entries.append(
            (name, store[position : position + 6] + name + struct.pack(">Q", milliseconds) + store[body:end])
        )
        position = end
    data = store[:12] + b"".join(entry for _, entry in sorted(entries))
    return data + hashlib.sha1(SALT + data, usedforsecurity=False).digest()
