"""Processors in the distribution: they run as jobs, in a work folder, told by a job order."""
