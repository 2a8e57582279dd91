"""A training's log: rows of log.csv, and TensorBoard's files next to it where they are asked for."""

import csv
from pathlib import Path
from typing import Any

from glpn.errors import ConfigError
from glpn.evaluation.scores import Score
from glpn.files import write_atomically


class TrainingLog:
    """Writes to `folder`/log.csv, and with `tensorboard` to `folder`/tensorboard as well.

    Raises `ConfigError` if TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self.path = folder / "log.csv"
        self._writer = _tensorboard(folder / "tensorboard") if tensorboard else None

    def write(self, row: dict[str, str], score: Score | None, step: int) -> None:
        """Add a row: `row` as it stands, and the metrics of a validation, if there was one."""
        metrics = score.to_row() if score else {}
        whole = row | dict.fromkeys(Score.COLUMNS, "") | metrics
        fresh = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(whole))
            if fresh:
                writer.writeheader()
            writer.writerow(whole)
        if self._writer is not None:
            for name, value in (row | metrics).items():
                self._writer.add_scalar(f"{'validation' if name in metrics else 'training'}/{name}", float(value), step)
            self._writer.flush()

    def forget_after(self, step: int) -> None:
        """Drop the rows of steps that a crash has undone: they come again."""
        if not self.path.exists():
            return
        header, *rows = self.path.read_bytes().decode().splitlines(keepends=True)
        kept = [row for row in rows if int(row.split(",", 1)[0]) <= step]
        write_atomically(self.path, "".join([header, *kept]).encode())


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("TensorBoard's log needs tensorboard: pip install 'glpn[tensorboard]'.") from error
    return SummaryWriter(str(folder))
