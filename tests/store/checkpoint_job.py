"""A training job's part of a checkpoint: 32 tensors of float32 in 8 files, each flushed to disk.

For each folder named on standard input it saves a checkpoint there, and says each file's name once
the file is complete.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

SHARDS, TENSORS, NUMBERS = 8, 4, 8 << 20  # 1 GiB in all


def main() -> None:
    """Save where told to, until standard input ends."""
    made = torch.Generator().manual_seed(0)
    layers = {f"layer-{n}": torch.rand(NUMBERS, generator=made) for n in range(TENSORS)}
    for line in sys.stdin:
        for number in range(SHARDS):
            path = Path(line.strip()) / f"shard-{number}.pt"
            with path.open("wb") as file:
                torch.save(layers, file)
                file.flush()
                os.fsync(file.fileno())
            print(path.name, flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    main()
