"""Runs of a server, or of this machine, for scripts and notebooks."""
