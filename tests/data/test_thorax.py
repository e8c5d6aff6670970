import numpy as np
import pandas as pd
import pytest
import torch

from lib.data import thorax
from lib.data.thorax_physics import MU, display, half_chord, magnification, overlap, quantum_noise, scatter


def people(n: int = 12, seed: int = 0, severity: str = "easy") -> pd.DataFrame:
    return thorax.sample_patients(n, rng=np.random.default_rng(seed), severity=severity)


@pytest.fixture(scope="module")
def patients() -> pd.DataFrame:
    return people(48)


@pytest.fixture(scope="module")
def films(patients: pd.DataFrame):
    return thorax.render(patients, size=64)


def test_chord_of_a_sphere_and_mean_over_its_disc() -> None:
    axis = torch.linspace(-1, 1, 401)
    half = half_chord(axis[:, None] * 1.0, axis[None] * 1.0, 1.0)
    volume = 2 * half.sum() * (axis[1] - axis[0]) ** 2
    assert abs(volume - 4 / 3 * np.pi) < 0.01  # 401 x 401 Riemann sum
    assert half_chord(torch.tensor(2.0), torch.tensor(0.0), 3.0) == 0


INTERVALS = [((0, 2), (1, 2)), ((0, 3), (1, 1)), ((0, 1), (5, 1)), ((0, 1), (0, 1)), ((-1, 0), (0, 4))]


@pytest.mark.parametrize(("a", "b"), INTERVALS)
def test_overlap_is_that_of_intervals(a: tuple[int, int], b: tuple[int, int]) -> None:
    truth = max(0, min(a[0] + a[1], b[0] + b[1]) - max(a[0] - a[1], b[0] - b[1]))
    ours = overlap(float(a[0]), torch.tensor(float(a[1])), float(b[0]), torch.tensor(float(b[1])))
    assert float(ours) == truth


def test_a_heart_far_from_the_detector_is_larger() -> None:
    body = torch.tensor(22.0)
    pa = magnification(4.0, source_cm=torch.tensor(180.0), body_cm=body, to_front=torch.tensor(1.0))
    ap = magnification(4.0, source_cm=torch.tensor(100.0), body_cm=body, to_front=torch.tensor(-1.0))
    assert float(pa) == pytest.approx(180 / (180 - 7.4))
    assert float(ap) == pytest.approx(100 / (100 - 15.4))


def test_scatter_of_a_uniform_field_is_uniform() -> None:
    ratio = torch.full((1, 1, 1), 0.5)
    out = scatter(torch.full((1, 24, 24), 0.2), pixel_cm=torch.full((1, 1, 1), 0.6), ratio=ratio)
    torch.testing.assert_close(out, torch.full((1, 24, 24), 0.1))


def test_display_keeps_the_order_of_densities() -> None:
    intensity = torch.logspace(0, -2, 50)[None, None]
    one = torch.ones(1, 1, 1)
    grey = display(intensity, low=0.3 * one, high=3.5 * one, gamma=one)[0, 0]
    assert (grey.diff() >= 0).all() and grey.min() == 0 and grey.max() <= 1


def test_noise_is_standard_normal_and_belongs_to_the_patient() -> None:
    noise = quantum_noise(np.array([1, 2, 1]), (64, 64))
    assert torch.equal(noise[0], noise[2]) and not torch.equal(noise[0], noise[1])
    assert abs(noise[:2].std() - 1) < 0.05  # 8,192 draws: standard error 0.008


def test_radiographs_are_complete(films, patients: pd.DataFrame) -> None:
    assert films.x.shape == (48, 1, 64, 64) and films.x.dtype == torch.float32
    assert films.x.min() >= 0 and films.x.max() <= 1 and torch.isfinite(films.x).all()
    assert list(films.findings.columns) == list(thorax.FINDINGS)
    assert all(mask.shape == (48, 64, 64) and mask.dtype == torch.bool for mask in films.masks.values())
    wanted = {"lung_right", "lung_left", "lung_right_aerated", "heart", "ribs", "spine", "drain", "nodule", "effusion"}
    assert wanted <= set(films.masks)
    assert not patients["image_id"].duplicated().any()


def test_a_mask_is_empty_exactly_without_its_finding_or_device(films) -> None:
    for name in ("effusion", "pneumothorax", "consolidation", "nodule", "edema", *thorax.DEVICES):
        seen = films.masks[name].flatten(1).any(1).numpy()
        assert (seen == (films.patients[name] == 1).to_numpy()).mean() > 0.95, name  # a lesion may hide in the heart
        assert not (seen & (films.patients[name] == 0).to_numpy()).any(), name


def test_densities_have_the_order_of_a_chest_film(films) -> None:
    grey, masks = films.x[:, 0], films.masks
    lung = masks["lung_right_aerated"] | masks["lung_left_aerated"]
    air = ~masks["body"] & ~masks["marker"]
    means = [grey[region].mean() for region in (air, lung, masks["heart"], masks["spine"])]
    assert means == sorted(means)
    assert not (masks["lung_right"] & masks["lung_left"]).any()
    assert not (masks["lung_left_aerated"] & ~masks["lung_left"]).any()
    width = masks["lung_right"].shape[2] // 2
    assert masks["lung_right"][:, :, : width - 4].sum() > 20 * masks["lung_right"][:, :, width + 4 :].sum()


def test_batch_size_does_not_change_the_result(patients: pd.DataFrame, films) -> None:
    for batch in (1, 7):
        again = thorax.render(patients.iloc[:9], size=64, batch=batch)
        torch.testing.assert_close(again.x, films.x[:9], atol=2e-5, rtol=0)  # matrix products round by batch
        assert all((again.masks[k] ^ films.masks[k][:9]).float().mean() < 1e-4 for k in again.masks)


def test_rendering_twice_is_bit_equal_and_another_seed_differs(patients: pd.DataFrame, films) -> None:
    assert torch.equal(thorax.render(patients, size=64).x, films.x)
    other = patients.assign(seed=patients["seed"] + 1)
    assert not torch.equal(thorax.render(other.iloc[:2], size=64).x, films.x[:2])


@pytest.mark.parametrize("device", thorax.DEVICES)
def test_a_device_changes_only_the_pixels_it_covers(patients: pd.DataFrame, device: str) -> None:
    without = thorax.render(thorax.twin(patients.iloc[:16], device, 0), size=48)
    with_it = thorax.render(thorax.twin(patients.iloc[:16], device, 1), size=48)
    change = (with_it.x - without.x)[:, 0].abs()
    assert (change[~with_it.masks[device]] < 0.02).all()  # a mask starts where the optical depth passes 0.02
    assert change[with_it.masks[device]].mean() > 0.01
    untouched = with_it.masks[device] == 0
    far = ~torch.nn.functional.max_pool2d((~untouched)[:, None].float(), 3, 1, 1).bool()[:, 0]
    assert (change[far] < 1e-6).all()


@pytest.mark.parametrize("finding", ["effusion", "pneumothorax", "consolidation", "nodule"])
def test_a_lesion_acts_on_its_own_side_and_elsewhere_only_through_scatter(patients: pd.DataFrame, finding: str) -> None:
    clean = patients.iloc[:16].assign(**{name: 0 for name in thorax.FINDINGS})
    without = thorax.render(clean, size=48)
    ill = thorax.render(thorax.twin(clean, finding, 1), size=48)
    change = (ill.x - without.x)[:, 0]
    left = torch.tensor((clean[f"{finding}_side"] == "L").to_numpy())[:, None, None]
    other = torch.where(left, ill.masks["lung_right"], ill.masks["lung_left"])
    inside = change[ill.masks[finding]]
    assert inside.abs().mean() > 4 * change[other].abs().mean()
    assert (inside.mean() < 0) == (finding == "pneumothorax")  # air darkens, the others whiten


def test_cardiomegaly_widens_the_heart_by_what_the_table_says(patients: pd.DataFrame) -> None:
    upright = patients[patients["view"] == "PA"].iloc[:12].assign(effusion=0)

    def widths(table: pd.DataFrame) -> np.ndarray:
        columns = thorax.render(table, size=128).masks["heart"].any(1).numpy()
        return np.array([np.ptp(np.flatnonzero(row)) + 1 for row in columns], float)

    ratio = widths(thorax.twin(upright, "cardiomegaly", 1)) / widths(thorax.twin(upright, "cardiomegaly", 0))
    truth = 1 + (upright["cardiomegaly_excess"] / upright["ctr"]).to_numpy()
    np.testing.assert_allclose(ratio, truth, rtol=0.06)  # a pixel is 2 % of the heart, the mask's rim another


def test_attributes_act(patients: pd.DataFrame) -> None:
    def mean(factor: str, value: object, mask: str | None = None) -> float:
        films = thorax.render(thorax.twin(patients.iloc[:12], factor, value), size=48)
        return float(films.masks[mask].float().mean() if mask else films.x.mean())

    assert mean("view", "AP", "heart") > mean("view", "PA", "heart")
    assert mean("bones", 0.0) < mean("bones", 1.0)
    for factor, values in (("sex", "FM"), ("group", "AC"), ("age_years", (25, 85)), ("bmi", (20, 35))):
        assert mean(factor, values[0]) != mean(factor, values[1]), factor


def test_finer_pixels_show_the_same_chest(patients: pd.DataFrame) -> None:
    table = patients.iloc[:8].assign(group="A", marker=0)
    coarse = thorax.render(table, size=48).x
    fine = torch.nn.functional.avg_pool2d(thorax.render(table, size=96).x, 2)
    assert (coarse - fine).abs().mean() < 0.02  # lines thinner than a pixel are widened, edges are sampled


def test_findings_are_independent_and_drains_follow_their_dials() -> None:
    table = thorax.sample_patients(
        4000, rng=np.random.default_rng(1), p_drain_given_pneumothorax=0.9, p_drain_given_none=0.1
    )
    correlation = table[[*thorax.FINDINGS, "age_years", "bmi"]].corr().to_numpy()
    assert np.abs(correlation - np.eye(8)).max() < 0.06  # four standard errors of 4,000 pairs
    rates = table.groupby("pneumothorax")["drain"].mean()
    assert rates[1] == pytest.approx(0.9, abs=0.03) and rates[0] == pytest.approx(0.1, abs=0.03)
    weaker = thorax.assign_drains(table, p_drain_given_pneumothorax=0.5, p_drain_given_none=0.5)
    sick = table["pneumothorax"] == 1
    assert (weaker["drain"] <= table["drain"])[sick].all() and (weaker["drain"] >= table["drain"])[~sick].all()


def test_severity_scales_what_it_says() -> None:
    easy, hard = people(50, severity="easy"), people(50, severity="hard")
    for name in thorax.SEVERITIES["easy"]:
        assert easy[name].min() >= hard[name].max(), name


def test_the_same_generator_state_gives_the_same_table() -> None:
    pd.testing.assert_frame_equal(people(5, 3), people(5, 3))
    assert not people(5, 3).equals(people(5, 4))


def test_twin_leaves_its_input_alone() -> None:
    table = people(3)
    copy = table.copy()
    changed = thorax.twin(table, "age_years", 80.0)
    pd.testing.assert_frame_equal(table, copy)
    pd.testing.assert_frame_equal(changed.drop(columns="age_years"), table.drop(columns="age_years"))


def test_soft_tissue_attenuates_more_than_lung() -> None:
    assert MU["air"] < MU["lung"] < MU["fat"] < MU["soft"] < MU["blood"] < MU["rib"]


def test_errors_name_the_argument() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="n must be at least 1"):
        thorax.sample_patients(0, rng=rng)
    with pytest.raises(ValueError, match="fraction"):
        thorax.sample_patients(3, rng=rng, p_drain_given_pneumothorax=90)
    with pytest.raises(ValueError, match="severity must be one of easy"):
        thorax.sample_patients(3, rng=rng, severity="mild")
    with pytest.raises(ValueError, match="finding in prevalence"):
        thorax.sample_patients(3, rng=rng, prevalence={"fracture": 0.1})
    with pytest.raises(ValueError, match="known: patient_id"):
        thorax.twin(people(2), "tube", 1)
    with pytest.raises(ValueError, match="who the patient is"):
        thorax.twin(people(2), "seed", 1)
    with pytest.raises(ValueError, match="at least one row"):
        thorax.render(people(2).iloc[:0])
    with pytest.raises(ValueError, match="size must be at least 16"):
        thorax.render(people(2), size=8)
    with pytest.raises(ValueError, match="got none of"):
        thorax.render(people(2).drop(columns="drain"))


def test_a_table_in_reverse_order_gives_the_films_in_reverse_order(patients: pd.DataFrame) -> None:
    table = patients.iloc[:6]
    forward, backward = (thorax.render(each, size=32, batch=1) for each in (table, table.iloc[::-1]))
    assert torch.equal(backward.x, forward.x.flip(0))
    assert all(torch.equal(backward.masks[name], forward.masks[name].flip(0)) for name in forward.masks)


def test_device_twins_are_what_two_renderings_make():
    people = thorax.sample_patients(5, rng=np.random.default_rng(3))
    for present, films in enumerate(thorax.render_device_twins(people, "drain", size=32, batch=2)):
        apart = thorax.render(thorax.twin(people, "drain", present), size=32)
        assert torch.equal(films.x, apart.x)
        assert films.masks.keys() == apart.masks.keys()
        assert all(torch.equal(films.masks[name], apart.masks[name]) for name in apart.masks)
        assert films.patients.equals(apart.patients)


def test_only_devices_have_device_twins():
    with pytest.raises(ValueError, match="device must be one of drain"):
        thorax.render_device_twins(thorax.sample_patients(1, rng=np.random.default_rng(0)), "edema")
