"""The STAC API 1.0 over the published products."""
