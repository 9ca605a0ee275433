"""A Django site with one page that predicts."""
