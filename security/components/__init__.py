"""Security's Pulumi components."""

from refsys.security.components.admission import Admission, AdmissionArgs
from refsys.security.components.roles import OperatorRoles

__all__ = ["Admission", "AdmissionArgs", "OperatorRoles"]
