"""What differs between an environment and what its config says: resources by the engine, nodes by Ansible."""
