"""The store's routes below `/api/v1`, each described where it stands."""
