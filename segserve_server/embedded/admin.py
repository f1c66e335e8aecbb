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
        """Whether the server is ready, with each of `models`.

        Only a server that holds our key counts: another one that listens on the port may be ready too.
        """
        status, index = self._request("POST", "/v2/repository/index", {"ready": True}, timeout_s=_ANSWER_S)
        if status != 200 or not set(models) <= {entry["name"] for entry in json.loads(index)}:
            return False
        return self._request("GET", "/v2/health/ready", timeout_s=_ANSWER_S)[0] == 200

    def load(self, model: str, *, timeout_s: float) -> bool:
        """Load `model`, again if its files have changed; True once it has been loaded."""
        return self._request("POST", f"/v2/repository/models/{model}/load", {}, timeout_s=timeout_s)[0] == 200

    def unload(self, model: str, *, timeout_s: float) -> bool:
        """Unload `model`; True once the server has begun to."""
        return self._request("POST", f"/v2/repository/models/{model}/unload", {}, timeout_s=timeout_s)[0] == 200

    def _request(
        self, method: str, path: str, body: dict[str, bool] | None = None, *, timeout_s: float
    ) -> tuple[int | None, bytes]:
        """The status code and body of the answer; None and nothing if there was none."""
        connection = http.client.HTTPConnection(LOOPBACK, self._settings.ports.http, timeout=timeout_s)
        headers = {"Content-Type": "application/json", "admin-key": self._settings.admin_key}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return None, b""
        finally:
            connection.close()
