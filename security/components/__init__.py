"""The security's Pulumi components."""

from refsys.security.components.admission import Admission, AdmissionArgs
from refsys.security.components.openbao import OpenBao, OpenBaoArgs
from refsys.security.components.openbao_config import SNAPSHOT, Holder
from refsys.security.components.roles import OperatorRoles

__all__ = ["SNAPSHOT", "Admission", "AdmissionArgs", "Holder", "OpenBao", "OpenBaoArgs", "OperatorRoles"]
