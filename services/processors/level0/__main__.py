"""The level-0 processor: `python -m refsys.services.processors.level0 JobOrder.xml`, or with options."""

import argparse
import sys
import traceback
from pathlib import Path

from refsys.services.common import logs
from refsys.services.processors.errors import UNEXPECTED, ProcessorError
from refsys.services.processors.jobs import read_job_order
from refsys.services.processors.level0.framing import Framing
from refsys.services.processors.level0.job import Options, run
from refsys.services.processors.level0.missions import SHIPPED
from refsys.services.processors.level0.session import read_session

_TRUE = ("true", "yes", "1")


def main(arguments: list[str]) -> int:
    """Do a job; return the exit code (reference-system.md §2.4)."""
    logs.configure("level0")
    log = logs.get_logger()
    try:
        options = _options(_parser().parse_args(arguments))
        satellite = options.satellite or read_session(options.inputs).satellite
        with logs.task(
            "ProcessingTask",
            chain="level0",
            mission=satellite[:2],
            satellite=satellite,
            inputs=[str(path) for path in options.inputs],
        ) as task:

            def progress(octets: int) -> None:
                task.size_bytes += octets

            outcome = run(options, progress)
            task.output = {"products": list(outcome.products)}
            task.quality = {"degraded_boolean": outcome.degraded}
        log.info("products are made", products=list(outcome.products), degraded=outcome.degraded)
    except ProcessorError as error:
        log.error(str(error))
        return error.code
    except Exception:  # an exit code below 128 would mean success
        log.error(traceback.format_exc())
        return UNEXPECTED
    return outcome.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="level0", description="Downlink session to level-0 products.")
    parser.error = _refuse  # type: ignore[method-assign, assignment]
    parser.add_argument("job_order", nargs="?", type=Path, help="job order; the options stand for what it says")
    parser.add_argument("--input", dest="inputs", action="append", type=Path, help="folder or file of the session")
    parser.add_argument("--output", type=Path, help="folder of the products, and of the work")
    parser.add_argument("--satellite", default="", help="S1A …; told by most sessions' ids")
    parser.add_argument("--orbit", type=int, help="told by most sessions' ids")
    parser.add_argument("--station", default="", help="site in names and manifests")
    parser.add_argument("--timeliness", default="", help="of Sentinel-3: NRT, STC or NTC")
    parser.add_argument("--no-reed-solomon", dest="check", action="store_false", help="frames were checked already")
    parser.add_argument("--interleaving", type=int, default=5, choices=range(1, 9), help="depth of the code")
    parser.add_argument("--ocf", action="store_true", help="frames have an operational control field")
    parser.add_argument("--fecf", action="store_true", help="frames have an error control field")
    parser.add_argument("--missions", type=Path, default=SHIPPED, help="another table of missions")
    return parser


def _refuse(message: str) -> None:
    raise ProcessorError(message, fix="see --help")


def _options(given: argparse.Namespace) -> Options:
    if given.job_order is None:
        if not given.inputs or not given.output:
            raise ProcessorError("neither a job order, nor --input and --output", fix="see --help")
        framing = Framing(given.interleaving, given.check, given.ocf, given.fecf)
        return Options(
            tuple(given.inputs),
            given.output,
            given.satellite,
            given.orbit,
            given.station,
            given.timeliness,
            framing,
            given.missions,
        )
    order = read_job_order(given.job_order)
    known = order.parameters
    try:
        orbit = int(known["Orbit_Number"]) if known.get("Orbit_Number") else None
        framing = Framing(
            int(known.get("Interleaving", "5")),
            known.get("Reed_Solomon", "true").lower() in _TRUE,
            known.get("Operational_Control_Field", "false").lower() in _TRUE,
            known.get("Frame_Error_Control_Field", "false").lower() in _TRUE,
        )
    except ValueError as error:
        raise ProcessorError(f"job order: {error}", fix="correct its processing parameters") from None
    return Options(
        tuple(path for paths in order.inputs.values() for path in paths),
        next(iter(order.outputs.values()), order.work_folder),
        known.get("Satellite", ""),
        orbit,
        order.station,
        known.get("Timeliness", ""),
        framing,
        given.missions,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
