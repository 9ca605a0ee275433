"""Typed views of the resources that users write."""
