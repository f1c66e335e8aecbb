"""Where the repository keeps what the load test needs."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = ROOT / "model_repository"
DEFAULT_MODEL = "fundus_hemorrhage"
