"""The resource types that are served, by the vendor's type token."""

from refsys.infra.plugins.openstack.kinds import balancing, compute, instances, networking, ports, storage
from refsys.infra.plugins.openstack.kinds.base import Kind

KINDS: dict[str, Kind] = {
    kind.urn_type: kind
    for kind in (
        networking.Network(),
        networking.Subnet(),
        networking.Router(),
        networking.RouterInterface(),
        networking.SecGroup(),
        networking.SecGroupRule(),
        ports.Port(),
        ports.FloatingIp(),
        ports.FloatingIpAssociate(),
        compute.Keypair(),
        compute.ServerGroup(),
        compute.VolumeAttach(),
        instances.Instance(),
        storage.Volume(),
        storage.Image(),
        storage.Container(),
        balancing.LoadBalancer(),
        balancing.Listener(),
        balancing.Pool(),
        balancing.Member(),
        balancing.Monitor(),
    )
}
