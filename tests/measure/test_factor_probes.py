import math

import numpy as np
import pytest
import torch
from pandas import DataFrame

from lib.data.one_finding import SUBTYPES, one_finding_patients
from lib.measure.factor_probes import FACTORS, factor_aucs, factor_labels, probe, shuffled_labels


def people(seed: int = 0, n: tuple[int, int] = (90, 180)) -> DataFrame:
    return one_finding_patients(*n, rng=np.random.default_rng(seed), severity="easy")


def truths(table: DataFrame) -> torch.Tensor:
    """A code that holds every label as it is."""
    kinds = np.eye(3)[table["kind"]]
    severe = kinds * (table["severity"].to_numpy() > 0.5)[:, None]
    binary = [table["sex"] == "F", table["age_years"] > 55, table["view"] == "AP", table["bmi"] > 26]
    columns = [kinds, severe, np.stack(binary, axis=1), table[["target"]].to_numpy()]
    return torch.tensor(np.concatenate(columns, axis=1).astype(float))


def test_who_is_asked() -> None:
    table = people()
    labels = factor_labels(table)
    target = table["target"].to_numpy() == 1
    assert ((labels["subtype"] >= 0) == target).all() and ((labels["sex"] >= 0) == target).all()
    assert (labels["target"] == target).all()
    parts = [labels[f"severity of {name}"] >= 0 for name in SUBTYPES]
    assert (sum(part.astype(int) for part in parts) == target).all()


def test_a_code_that_holds_everything_scores_one_and_a_constant_one_half() -> None:
    seen, asked = people(), people(1)
    labels, truth = factor_labels(seen), factor_labels(asked)
    aucs, balanced = factor_aucs(truths(seen), labels, truths(asked), truth, penalty=1e-3)
    assert len(aucs) == len(FACTORS) and min(aucs) > 0.999 and balanced == 1.0
    nothing = factor_aucs(torch.zeros(270, 2), labels, torch.zeros(270, 2), truth, penalty=1e-3)
    assert nothing[0] == pytest.approx([0.5] * len(FACTORS)) and nothing[1] == pytest.approx(1 / 3)


def test_shuffled_labels_keep_their_numbers_and_tell_nothing() -> None:
    labels = factor_labels(people())
    mixed = shuffled_labels(labels, rng=np.random.default_rng(0))
    for name, values in labels.items():
        assert ((mixed[name] >= 0) == (values >= 0)).all()
        assert sorted(mixed[name]) == sorted(values)
    assert (mixed["sex"] != labels["sex"]).any()


def test_few_patients_have_no_number_and_unasked_factors_neither() -> None:
    seen, few = people(), people(1, n=(30, 45))
    labels, truth = factor_labels(seen), factor_labels(few)
    aucs, balanced = factor_aucs(truths(seen), labels, truths(few), truth, penalty=1e-3, left_out=("target",))
    named = dict(zip(FACTORS, aucs, strict=True))
    assert all(math.isnan(named[name]) for name in ("subtype", "severity", "target")) and math.isnan(balanced)


def test_class_auc_is_that_of_the_class_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    rows = torch.tensor(rng.normal(size=(120, 2)) + np.array([[0, 0], [1, 0], [0, 1]])[labels])
    found, balanced = probe(rows, labels, rows, labels, penalty=0.01)
    assert 0.6 < found < 0.95 and 1 / 3 < balanced < 0.9
    turned = probe(rows @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double(), labels, rows, labels, penalty=0.01)
    assert turned[0] < found  # the probe is asked about rows in the axes that it has learnt


def test_readable_errors() -> None:
    with pytest.raises(ValueError, match="pair up"):
        probe(torch.zeros(3, 1), np.zeros(4, dtype=np.int64), torch.zeros(3, 1), np.zeros(3, dtype=np.int64), penalty=1)
