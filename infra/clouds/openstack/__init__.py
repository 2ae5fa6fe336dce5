"""The `openstack` cloud: nodes, networks and load balancer in a project of an OpenStack."""
