"""What the supervisor asks of its tritonserver over HTTP: is it ready, and load this model again."""

import http.client
import json

from segserve_server.embedded.flags import ServerSettings
from segserve_server.embedded.ports import LOOPBACK

#: Seconds for a question about readiness.
_ANSWER_S = 5.0


class Admin:
    """A client of the loopback HTTP endpoint that holds the key of the model repository API."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    def is_ready(self, models: tuple[str, ...]) -> bool:
        """Whether the server and each of `models` say they can take requests."""
        paths = ["/v2/health/ready", *(f"/v2/models/{name}/ready" for name in models)]
        return all(self._status("GET", path, timeout_s=_ANSWER_S) == 200 for path in paths)

    def load(self, model: str, *, timeout_s: float) -> bool:
        """Load `model`, again if its files have changed; True once it has been loaded."""
        return self._status("POST", f"/v2/repository/models/{model}/load", timeout_s=timeout_s) == 200

    def unload(self, model: str, *, timeout_s: float) -> bool:
        """Unload `model`; True once the server has begun to."""
        return self._status("POST", f"/v2/repository/models/{model}/unload", timeout_s=timeout_s) == 200

    def _status(self, method: str, path: str, *, timeout_s: float) -> int | None:
        """The status code of the answer, or None if there was none."""
        connection = http.client.HTTPConnection(LOOPBACK, self._settings.ports.http, timeout=timeout_s)
        headers = {"Content-Type": "application/json", "admin-key": self._settings.admin_key}
        try:
            connection.request(method, path, json.dumps({}) if method == "POST" else None, headers)
            response = connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
