"""The double's `modules`."""
