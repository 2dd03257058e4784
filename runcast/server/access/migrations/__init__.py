"""Changes of access's tables, by Alembic; see `runcast.store.migrations`."""
