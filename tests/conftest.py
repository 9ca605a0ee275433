"""What holds for every test: no property is timed, because speed is measured by benchmarks."""

from hypothesis import settings

settings.register_profile("untimed", parent=settings(), deadline=None)
settings.load_profile("untimed")
