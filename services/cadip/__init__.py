"""CADIP: the sessions that the chain has received, offered downstream the way a station offers them."""
