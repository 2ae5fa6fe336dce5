"""How long products are kept: retention, eviction, and what operators may change about it."""
