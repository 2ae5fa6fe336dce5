"""The search over the catalogue for processing and operators, and what operators do with catalogued products."""
