"""Training on a snapshot with PyTorch: from which country does an order come, by the coordinates of its address?

    make install-torch && make demo && .venv/bin/python examples/train_country.py

It creates a snapshot (once), trains a linear model on all days except the last two, and prints the accuracy for the
orders of those two days. The snapshot has the same rows every time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow.compute as pc
import torch
from torch.utils.data import DataLoader

from lake_pipeline.composition import open_lake
from lake_pipeline.consume.dataset import CuratedDataset
from lake_pipeline.consume.torch_data import CuratedBatches
from lake_pipeline.model.selections import Selection
from lake_pipeline.settings import load_settings
from lake_pipeline.usecases.lake import Lake
from lake_pipeline.usecases.snapshots.create import create_snapshot

SNAPSHOT = "country"
COUNTRIES = ("PT", "PL", "JP", "CA", "KE")
COLUMNS = ("user_address_geo_lat", "user_address_geo_lon", "user_address_country")
LATITUDE, LONGITUDE, COUNTRY = COLUMNS
EPOCHS = 4


def main() -> float:
    """Train and score. Returns the accuracy."""
    with open_lake(load_settings()) as lake:
        if not any(snapshot.name == SNAPSHOT for snapshot in lake.ledger.snapshots.all()):
            create_snapshot(lake, SNAPSHOT, Selection())
        training, held_out = _split(lake)
    model = _train(training)
    score = _score(model, held_out)
    print(f"{score:.1%} of the orders of the last two days come from the country that the model says.")
    return score


def _split(lake: Lake) -> tuple[CuratedDataset, CuratedDataset]:
    last = max(file.partition.day for file in lake.ledger.snapshots.files(lake.ledger.snapshots.get(SNAPSHOT)))
    first = last - timedelta(days=1)
    complete = pc.field(LATITUDE).is_valid() & pc.field(LONGITUDE).is_valid() & pc.field(COUNTRY).isin(COUNTRIES)
    is_late = (pc.field("year") == first.year) & (pc.field("month") == first.month) & (pc.field("day") == first.day)
    is_late |= (pc.field("year") == last.year) & (pc.field("month") == last.month) & (pc.field("day") == last.day)
    training, held_out = (
        CuratedDataset.of_snapshot(lake, SNAPSHOT, columns=COLUMNS, where=complete & part, seed=1, batch_rows=256)
        for part in (~is_late, is_late)
    )
    return training, held_out


def _train(dataset: CuratedDataset) -> torch.nn.Linear:
    torch.manual_seed(1)
    model = torch.nn.Linear(2, len(COUNTRIES))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    source = CuratedBatches(dataset)
    for epoch in range(EPOCHS):
        source.set_epoch(epoch)
        for batch in DataLoader(source, batch_size=None):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(_features(batch)), _labels(batch))
            loss.backward()
            optimizer.step()
    return model


def _score(model: torch.nn.Linear, dataset: CuratedDataset) -> float:
    right = rows = 0
    with torch.no_grad():
        for batch in CuratedBatches(dataset):
            right += int((model(_features(batch)).argmax(dim=1) == _labels(batch)).sum())
            rows += len(batch[COUNTRY])
    return right / rows


def _features(batch: dict[str, Any]) -> torch.Tensor:
    """Latitude and longitude, scaled to about -1 to 1."""
    return torch.stack([batch[LATITUDE] / 90, batch[LONGITUDE] / 180], dim=1).float()


def _labels(batch: dict[str, Any]) -> torch.Tensor:
    return torch.tensor([COUNTRIES.index(country) for country in batch[COUNTRY]])


if __name__ == "__main__":
    main()
