"""What each TensorBoard plugin logs, as typed values: one module a kind."""
