"""Dashboards of Grafana as code; `python -m refsys.monitoring.dashboards FOLDER` writes and provisions them."""

from refsys.monitoring.dashboards.board import Board, Logs, Panel, Query
from refsys.monitoring.dashboards.boards import BOARDS
from refsys.monitoring.dashboards.provisioning import Sources, write

__all__ = ["BOARDS", "Board", "Logs", "Panel", "Query", "Sources", "write"]
