"""The windows of sampled production, as the ingestion has them."""

from pathlib import Path

from pydantic import TypeAdapter

from refsys.services.common.settings import read_file
from refsys.services.ingestion.stations.sampling import Sampling


def load_sampling(path: Path | None) -> Sampling:
    """The windows by mission; without a file everything is taken."""
    if path is None:
        return {}
    parse = TypeAdapter(Sampling).validate_python
    return read_file(path, lambda document: parse(document or {}), setting="REFSYS_PREPARATION_SAMPLING_FILE")
