"""Made-up products, packed as they occur in the chain."""

import io
import tarfile
import zipfile
from pathlib import Path


def zip_product(path: Path, **members: str) -> Path:
    """Write `path` with the folder of the product in it; `_` before an extension stands for the dot."""
    folder = path.name.removesuffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{folder}/{_file_name(name)}", content)
    return path


def tar_product(path: Path, **members: str) -> Path:
    """As `zip_product`, as tar."""
    folder = path.name.removesuffix(".tar")
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{folder}/{_file_name(name)}")
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def _file_name(name: str) -> str:
    stem, _, extension = name.rpartition("_")
    return f"{stem}.{extension}"
