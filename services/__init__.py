"""The services of the production chain: ingestion, catalogue, distribution, and what they share."""
