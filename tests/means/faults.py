"""Faults that tree stations make on request, beside those of every station."""

from dataclasses import dataclass

from tests.means.station import Faults


@dataclass
class TreeFaults(Faults):
    """May be changed while the station runs."""

    error_code: int = 503  # of the answers that `errors` makes
    refuse_infinity: int = 0  # the code for PROPFIND with Depth: infinity; 0 lists the whole tree
    flat_infinity: bool = False  # Depth: infinity is answered as Depth: 1
    skew_seconds: int = 0  # of the station's clock
    no_mlsd: bool = False
    no_rest: bool = False
    cut_count: int = 0  # so many downloads end early
    cut_bytes: int = 700_000  # after so many bytes

    def cuts_now(self) -> bool:
        """Whether this download is cut; each of `cut_count` once."""
        with self._lock:
            if self.cut_count > 0:
                self.cut_count -= 1
                return True
        return self.happens(self.cuts)
