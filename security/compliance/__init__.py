"""What tools that others wrote say of the nodes, beside the rules and waivers of the hardening."""
