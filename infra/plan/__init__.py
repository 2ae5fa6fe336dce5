"""What the engine is going to do, read from the events of a preview."""
