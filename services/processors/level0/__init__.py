"""From the frames of a downlink session to products of its packets, as they left the instruments (docs/level0.md)."""
