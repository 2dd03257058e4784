"""A store behind routes and access checks: `runcast serve`."""
