"""The load over time, for a headless locust: given beside ``locustfile.py``, whose options it reads.

A file of its own because locust's web page offers no number of users where it finds one.
"""

from locust import LoadTestShape

from loadtest.shapes import Plan, Shape


class Timetable(LoadTestShape):
    """Users as the plan says; all that are due start at once, since each waits for its own moment."""

    def tick(self) -> tuple[int, float] | None:
        """The number of users and how many to start per second; None ends the run."""
        options = self.runner.environment.parsed_options if self.runner else None
        if options is None:
            return None
        plan = Plan(Shape(options.load), seconds=options.seconds, rate_per_s=options.rate)
        users = plan.users_at(self.get_run_time())  # type: ignore[no-untyped-call]
        return None if users is None else (users, float(users))
