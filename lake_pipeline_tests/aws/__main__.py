"""The server process: prints its port, serves until its stdin ends, so that it never outlives whoever started it."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from lake_pipeline_tests.aws.athena import Athena
from lake_pipeline_tests.aws.copying import copy_bucket, drop_bucket
from lake_pipeline_tests.aws.faults import Faults
from lake_pipeline_tests.aws.glue import Glue
from lake_pipeline_tests.aws.recording import Recording
from lake_pipeline_tests.aws.strict import Strict

CONTROL = "/_test/"


class Handler(MotoRequestHandler):
    """Quiet, and without another request on a connection that a fault has broken."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 # the name is that of the base class
        """Thousands of lines that nobody reads."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:  # noqa: ARG002
        self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True  # the socket is gone: a fault took it


class Control:
    """What tests tell the server, under /_test/: faults to make, buckets to copy, what was recorded, forget it."""

    def __init__(self, moto: Any, latency: float) -> None:
        self._latency = latency
        self._athena = Athena(Strict(moto))
        self.glue = Glue(self._athena)
        self._faults = Faults(self.glue)
        self._recording = Recording(self._faults)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(CONTROL):
            time.sleep(self._latency)
            return self._recording(environ, start_response)
        answer = self._answer(path.removeprefix(CONTROL), Request(environ))
        return Response(json.dumps(answer), content_type="application/json")(environ, start_response)

    def _answer(self, what: str, request: Request) -> Any:
        match what:
            case "faults":
                self._faults.configure(**json.loads(request.get_data()))
                return {}
            case "faults-made":
                return self._faults.made
            case "requests":
                return self._recording.counts()
            case "athena":
                self._athena.configure(**json.loads(request.get_data()))
                return {}
            case "glue":
                self.glue.configure(**json.loads(request.get_data()))
                return {}
            case "glue-run":
                self.glue.set_state(**json.loads(request.get_data()))
                return {}
            case "copy-bucket":
                copy_bucket(**json.loads(request.get_data()))
                return {}
            case "drop-bucket":
                drop_bucket(**json.loads(request.get_data()))
                return {}
            case "forget":
                self._recording.forget()
                return {}
            case _:
                raise ValueError(what)


def main() -> None:
    # A person's Ctrl-C is for whoever started it, who may need AWS to end in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    app = Control(DomainDispatcherApplication(create_backend_app), latency=float(sys.argv[1]) / 1000)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    app.glue.endpoint = f"http://127.0.0.1:{server.port}"
    print(server.port, flush=True)
    sys.stdin.read()
    app.glue.end()


if __name__ == "__main__":
    main()
