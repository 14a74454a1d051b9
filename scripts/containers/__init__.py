"""Containers without Docker, for scripts/try-containers."""
