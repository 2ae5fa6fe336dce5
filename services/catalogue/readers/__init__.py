"""One module for each format that product metadata comes in."""
