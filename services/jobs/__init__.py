"""Production jobs as operators have them: looked at, submitted, controlled."""
