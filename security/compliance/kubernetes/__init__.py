"""The CIS Kubernetes Benchmark (1.12, clusters made by kubeadm): its checks as data, what is seen, what is waived."""

from refsys.security.compliance.kubernetes.examination import examine
from refsys.security.compliance.kubernetes.report import KubernetesReport, Result

__all__ = ["KubernetesReport", "Result", "examine"]
