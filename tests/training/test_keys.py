"""The keys of a checkpoint."""

import torch

from forecast.reading.reading import read, read_as
from forecast.settings import TableSettings, TrainSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.synthetic import synthesize
from forecast.training.keys import data_key, plan_key
from forecast.training.plan import Member, Plan


def test_keys_follow_all_that_decides_a_fit_and_nothing_else() -> None:
    frame = synthesize("seasonal", series=2, length=60)
    schema = read(table_from_frame(frame, "t"), TableSettings()).schema

    def data(changed: dict[str, object]) -> str:
        frame_of = frame.copy()
        for column, value in changed.items():
            frame_of.loc[7, column] = value
        return data_key(read_as(table_from_frame(frame_of, "t"), schema, horizon=5).panel, schema)

    assert data({}) == data({})
    assert data({"value": frame["value"][7] + 0.25}) != data({})
    other = schema.model_copy(update={"season": (3,)})
    assert data_key(read_as(table_from_frame(frame, "t"), other, horizon=5).panel, other) != data({})
    member = Member(model="gru", lookback=4, batch_size=8, steps=5, refit_steps=0, validate_every=10)
    cpu = torch.device("cpu")
    keys = [
        plan_key(TrainSettings(), None, cpu),
        plan_key(TrainSettings(seed=1), None, cpu),
        plan_key(TrainSettings(steps=7), None, cpu),
        plan_key(TrainSettings(budget=7), None, cpu),
        plan_key(TrainSettings(params={"hidden_size": 4}), None, cpu),
        plan_key(TrainSettings(), Plan(members=(member,)), cpu),
        plan_key(TrainSettings(), None, torch.device("cuda")),
    ]
    assert len(set(keys)) == len(keys)
    assert plan_key(TrainSettings(jobs=2, device="cpu", plan="elsewhere"), None, cpu) == keys[0]
