"""On-demand production: users order products by OGC API - Processes, and jobs of the chain are planned from it."""
