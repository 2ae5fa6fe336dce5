"""`pulumi-resource-openstack`: serves the resources of `pulumi_openstack` in use, on openstacksdk."""
