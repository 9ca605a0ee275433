"""HTTP, by what is asked."""
