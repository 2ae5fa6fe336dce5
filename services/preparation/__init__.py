"""Preparation: jobs are made by catalogue events, and wait until their inputs are there."""
