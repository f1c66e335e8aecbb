"""``segserve-server doctor``: one page on whether this machine can serve, and what to do where it cannot."""

from segserve_server.doctor.facts import Facts
from segserve_server.doctor.findings import Finding, Status
from segserve_server.doctor.gather import gather_facts
from segserve_server.doctor.judging import judge
from segserve_server.doctor.page import as_json, as_text

__all__ = ["Facts", "Finding", "Status", "as_json", "as_text", "gather_facts", "judge"]
