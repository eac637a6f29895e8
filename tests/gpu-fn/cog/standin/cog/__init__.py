"""As much of the `cog` package as the runner uses, for machines where it cannot be installed."""

import pathlib

Path = pathlib.Path


def Input(default=None, **_constraints):
    return default


def streaming(method):
    return method


class BaseRunner:
    def __init__(self):
        self.metrics = {}

    def record_metric(self, key, value, mode="replace"):
        self.metrics[key] = value
