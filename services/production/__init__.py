"""What preparation and execution of production jobs share: states, tables, the job order."""
