"""What clouds whose nodes are virtual machines have in common."""
