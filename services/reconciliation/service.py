"""The `reconcile` process: one run from the command line or the CronJob; its report goes to stdout."""

import argparse
import json
import sys
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Row, select
from sqlalchemy.exc import OperationalError

from refsys.services.common import logs
from refsys.services.common.bus import Producer
from refsys.services.common.database import open_database
from refsys.services.common.settings import (
    DatabaseSettings,
    KafkaSettings,
    ReconciliationSettings,
    S3Settings,
    load,
)
from refsys.services.common.store import ObjectStore
from refsys.services.reconciliation.report import render
from refsys.services.reconciliation.runs import Reconciler, request
from refsys.services.reconciliation.tables import REQUESTED, RUNNING, run

CONNECTIONS = 4


def main(arguments: list[str]) -> int:
    """Compare, repair if told to, print the report; 1 if the run failed."""
    options = _options(arguments)
    settle = load(ReconciliationSettings).settle_seconds
    database, kafka, s3 = load(DatabaseSettings), load(KafkaSettings), load(S3Settings)
    logs.configure("reconcile")
    engine = open_database(database, "reconcile", pool_size=CONNECTIONS)
    reconciler = Reconciler(engine, ObjectStore(s3), Producer(kafka, "reconcile"), settle)
    identifier = request(engine, repair=options.repair, delete_orphans=options.delete_orphans)
    while (row := _row(engine, identifier)).state in (REQUESTED, RUNNING):
        try:
            reconciler.carry_out_requested()
        except OperationalError as error:  # another process carries out a run, perhaps this one
            logs.get_logger().warning("reconciliation waits", reason=str(error.orig))
    engine.dispose()
    if row.report is None:
        sys.stderr.write(f"reconcile: the run failed: {row.reason}\n")
        return 1
    sys.stdout.write(json.dumps(row.report, indent=1) + "\n" if options.format == "json" else render(row.report))
    return 0


def _row(engine: Engine, identifier: UUID) -> Row[Any]:
    with engine.connect() as connection:
        return connection.execute(select(run).where(run.c.id == identifier)).one()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m refsys.services reconcile", description=__doc__)
    parser.add_argument("--repair", action="store_true", help="do the safe thing for each disagreement")
    parser.add_argument(
        "--delete-orphans", action="store_true", help="with --repair: delete objects that an earlier run quarantined"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="of the report")
    options = parser.parse_args(arguments)
    if options.delete_orphans and not options.repair:
        parser.error("--delete-orphans needs --repair")
    return options
