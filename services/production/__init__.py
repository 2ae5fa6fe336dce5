"""What preparation and execution share: chains as data, job orders, the table of jobs."""
