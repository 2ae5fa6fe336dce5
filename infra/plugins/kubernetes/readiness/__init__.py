"""When is an object ready? One check per kind, and the reasons of what never gets ready."""

from refsys.infra.plugins.kubernetes.readiness.checks import check_for
from refsys.infra.plugins.kubernetes.readiness.diagnosis import diagnose
from refsys.infra.plugins.kubernetes.readiness.state import Check, Reader, State

__all__ = ["Check", "Reader", "State", "check_for", "diagnose"]
