"""The sample recommender: a team's own code, named by dotted path in its pipeline and its stream."""
