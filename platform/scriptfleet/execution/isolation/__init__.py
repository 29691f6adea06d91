"""What this machine can do to set a run apart, and how a run's wishes become steps that the shim takes."""
