"""Runs the ONNX checker on every graph of a bundle, external data included.

python check_onnx.py BUNDLE
"""

from __future__ import annotations

import sys
from pathlib import Path

import onnx


def main(bundle: Path) -> None:
    graphs = sorted(bundle.glob("*.onnx"))
    if not graphs:
        sys.exit(f"{bundle} holds no graphs")
    for graph in graphs:
        onnx.checker.check_model(str(graph), full_check=False)
        model = onnx.load(str(graph), load_external_data=False)
        opsets = ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import)
        print(f"valid     {graph.name}: {len(model.graph.node)} nodes, {opsets}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
