"""The frozen types that cross the borders between observation, decision, actuation and reporting."""
