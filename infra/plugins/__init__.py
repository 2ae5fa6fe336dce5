"""Pulumi resource plugins that stand in where the vendor's cannot be had."""
