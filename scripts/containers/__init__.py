"""Containers made by hand: what scripts/try-containers is made of."""
