"""The bench of embedding compares two workers with one process, over the same shards and with the same choice."""

from __future__ import annotations

import json

import pytest

from fgssl_edu import bench, coreset
from fgssl_edu.bench import embed

pytest.importorskip("webdataset")
pytest.importorskip("distributed")


@pytest.mark.slow
def test_reports_rates_on_the_clock_and_of_cpu_and_what_a_worker_holds():
    result = embed.run("ci")
    assert list(result["tables"]) == ["4e1", "8e1"]
    for table in result["tables"].values():
        assert all(rate > 0 for row in table["images_per_second"].values() for rate in row.values())
        assert 50 < table["megabytes"]["a worker, at most"] < 5000
    assert set(result["ratios"]) == set(embed.BARS)
    assert json.loads(json.dumps(result)) == result
    text = bench.report({"bench": "embed", "scale": "ci", "environment": {"threads": 1}, **result})
    assert "two workers to one process" in text


def test_other_choices_of_the_workers_are_told(monkeypatch: pytest.MonkeyPatch):
    class Client:
        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None:
            pass

    choices = iter([[0], [1], [2]])

    def measured(index: object, client: object) -> tuple[dict[str, float], coreset.Coreset]:
        chosen = coreset.random_selection(9, 1, seed=0)
        chosen.indices[:] = next(choices)[0]
        return {"wall": 1.0, "cpu": 1.0}, chosen

    monkeypatch.setattr(embed, "open_cluster", lambda *_, **__: Client())
    monkeypatch.setattr(embed, "_written", lambda *_: None)
    monkeypatch.setattr(embed, "_measured", measured)
    with pytest.raises(RuntimeError, match="40 images: the selections differ"):
        embed.run("ci")
