"""What changes a chest radiograph: findings in the lungs, devices on the patient, and the sum of all path lengths.

Every finding acts through its own columns of the patient table (0/1, size, side, place) and leaves a mask; devices add
optical depth on top. Ranges are those of thorax.SEVERITIES. Unlike in clinical life, a pneumothorax shrinks the lung
evenly about the hilum, an effusion is a level with a lateral meniscus, consolidation is one soft ellipsoid.

Conventions: as in thorax_anatomy; masks are bool (n, h, w).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from pandas import DataFrame
from torch import Tensor

from lib.data import thorax_anatomy as anatomy
from lib.data.thorax_anatomy import Scene, look_up, stroke
from lib.data.thorax_physics import MU, half_chord, overlap

LUNG_Y = -0.8  # cm, depth of the lungs' centre
GLYPHS = {
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
}


@dataclass
class Exposure:
    """Optical depth of the anatomy and of the devices, the body's outline, and all masks; maps (n, h, w)."""

    anatomy: Tensor
    devices: Tensor
    body: Tensor
    masks: dict[str, Tensor]


def _column(patients: DataFrame, name: str) -> Tensor:
    """Numeric column as float (n, 1, 1)."""
    return torch.from_numpy(patients[name].to_numpy().astype(np.float32, order="C"))[:, None, None]


def _is_left(patients: DataFrame, name: str) -> Tensor:
    """Whether a side column says "L": bool (n, 1, 1)."""
    return torch.tensor((patients[name] == "L").to_numpy())[:, None, None]


def where_present(s: Scene, patients: DataFrame, name: str, draw: Callable[[Scene, DataFrame], Tensor]) -> Tensor:
    """Evaluate a finding or device only for the patients who have it; 0 for all others, float (n, h, w)."""
    present = (patients[name] > 0).to_numpy()
    out = torch.zeros_like(s.x)
    if present.any():
        out[torch.tensor(present)] = draw(s.rows(present), patients[present])
    return out


def vessels(s: Scene) -> tuple[Tensor, Tensor]:
    """Blood in the vessels of the lung along the ray (cm) and distance from the hilum (cm), float (n, h, w)."""
    p = s.p
    hilum_z = p["apex"] + 9.3 + 0.5 * p["g_hilum"] - 0.9 * s.left
    dx, dz = s.x.abs() - 3.9, s.z - hilum_z
    r = (dx * dx + dz * dz).sqrt()
    bend = 0.13 * torch.sin(0.5 * r + 2 * p["g_vessels"])
    angle = torch.remainder(torch.atan2(dz, dx) + bend, 2 * torch.pi) * ((anatomy.TABLE - 1) / (2 * torch.pi))
    total = 2.4 * torch.exp(-((r / 1.7) ** 2))
    for level, (near, far) in enumerate(((0.8, 4.5), (3.0, 8.0), (6.0, 15.0))):
        window = torch.sigmoid((r - near) / 0.5) * torch.sigmoid((far - r) / 1.2)
        total = total + look_up(s.profiles[f"vessels_{level}"], angle, s.left) * window * 3.2
    lower = 0.75 + 0.5 * torch.sigmoid(dz / 3) * (1 - 0.5 * p["supine"])  # upright, the lower lobes get more blood
    return total * lower, r


def lungs(s: Scene, patients: DataFrame) -> dict[str, Tensor]:
    """Lengths along the ray: `room` the pleural space, `lung` aerated lung, `gap` air of a pneumothorax, and masks."""
    whole = anatomy.cavity(s)
    heart, centre = anatomy.heart(s), anatomy.mediastinum(s)
    belly = anatomy.abdomen(s)
    blocked = torch.maximum(overlap(LUNG_Y, whole, s.p["heart_mid"], heart), overlap(LUNG_Y, whole, 0.0, centre))
    floor = s.side("dome") + s.p["dome_rise"] + 1.5
    open_below = torch.sigmoid((floor - s.z) / 0.5)
    blocked = blocked + overlap(LUNG_Y, whole, -0.5, belly)
    room = (2 * whole - blocked).clamp_min(0) * open_below

    def gap_of(part: Scene, people: DataFrame) -> Tensor:
        shrunk = anatomy.cavity(part, 1 - _column(people, "pneumothorax_shrink"))
        keep = torch.tensor((patients["pneumothorax"] > 0).to_numpy())
        smaller = (2 * shrunk - blocked[keep]).clamp_min(0) * open_below[keep]
        return torch.where(_is_left(people, "pneumothorax_side") == part.left, (room[keep] - smaller).clamp_min(0), 0.0)

    gap = where_present(s, patients, "pneumothorax", gap_of)
    hull = (room > 0.45 * 2 * whole) & (room > 1.2) & (heart <= 0) & (centre <= 0.5)
    return {"room": room, "lung": room - gap, "gap": gap, "hull": hull, "heart": heart, "whole": whole}


def effusion(s: Scene, patients: DataFrame) -> Tensor:
    """Share of the pleural space that fluid fills, float (n, h, w) in [0, 1]: a level with a lateral meniscus."""
    side = _is_left(patients, "effusion_side") == s.left
    litres = _column(patients, "effusion_ml") / 1000
    level = s.side("dome") + s.p["dome_rise"] - 0.8 - 9.0 * litres**0.62
    wall = (s.p["inner"] - s.x.abs()).clamp_min(0)
    surface = level - (1.2 + 2.5 * litres) * torch.exp(-wall / 2.2) + 0.12 * wall
    upright = torch.sigmoid((s.z - surface) / (0.35 + 0.25 * wall.clamp_max(5) / 5))
    veil = 0.35 * torch.sigmoid((s.z - level + 4) / 4)
    share = upright * (1 - 0.4 * s.p["supine"]) + veil * s.p["supine"] * (1 - upright)
    return torch.where(side, share, 0.0)


def _offset(s: Scene, patients: DataFrame, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Distances from a lesion's centre (cm) along x and z, and whether the pixel lies on its side."""
    x0 = s.p["inner"] * (0.36 + 0.42 * _column(patients, f"{name}_x"))
    z0 = s.p["apex"] + 4.5 + (s.p["dome_R"] - s.p["apex"] - 6.5) * _column(patients, f"{name}_z")
    return s.x.abs() - x0, s.z - z0, _is_left(patients, f"{name}_side") == s.left


def nodule(s: Scene, patients: DataFrame) -> Tensor:
    """Half the chord (cm) of a ball, averaged over about a pixel at equal volume, float (n, h, w)."""
    dx, dz, here = _offset(s, patients, "nodule")
    radius = _column(patients, "nodule_radius_cm")
    wide = (radius**2 + (0.5 * s.px) ** 2).sqrt()
    return torch.where(here, half_chord(dx / wide, dz / wide, radius**3 / wide**2), 0.0)


def consolidation(s: Scene, patients: DataFrame) -> Tensor:
    """Half the chord (cm) of a ragged, soft-edged patch of lung, float (n, h, w)."""
    dx, dz, here = _offset(s, patients, "consolidation")
    ragged = 0.056 * anatomy.texture(s, slice(2, 4))
    half = 5.0 * (1 - (dx / 4.2) ** 2 - (dz / 3.4) ** 2 + ragged).clamp(0, 1)
    return torch.where(here, half, 0.0)


def drain(s: Scene, patients: DataFrame) -> Tensor:
    """Optical depth of a chest tube with its opaque stripe, from the lateral wall up to the apex, float (n, h, w)."""
    p, X = s.p, s.x.abs()
    t = ((s.z - p["apex"] - 2.0) / (17.0 + p["g_wall"])).clamp(0, 1.2)
    axis = 4.6 + 0.5 * p["g_apex"] + (p["inner"] - 2.0) * t * t + 0.5 * torch.sin(5 * t + p["g_lean"])
    slope = (1 + ((p["inner"] - 2.0) * 2 * t / 17).square()).sqrt()
    reach = (s.z > p["apex"] + 2.0) & (t < 1.2) & (_is_left(patients, "drain_side") == s.left)
    distance = (X - axis) / slope
    tube = 0.42 * stroke(distance, 0.36, s.px) + 0.6 * stroke(distance - 0.15, 0.12, s.px)
    return torch.where(reach, tube, 0.0)


def ecg_leads(s: Scene, patients: DataFrame) -> Tensor:
    """Optical depth of three electrodes and their wires, float (n, h, w)."""
    p, X = s.p, s.x.abs()
    out = torch.zeros_like(X)
    for k, (name, start) in enumerate((("lean", -7.0), ("x", -5.0), ("apex", 3.5))):
        course = start + 1.2 * p[f"g_{name}"] + (4.0 - 3 * k) * torch.sin((s.x + 6 * k) / (6.5 + k)) + 0.1 * s.x
        out = out + 1.6 * stroke(s.z - course, 0.14, s.px) * torch.sigmoid((X - 2.0 - k) / 0.2)
    for x0, z0 in ((-8.5, -7.0), (9.0, -6.5), (10.0, 5.0)):
        out = out + 0.5 * half_chord((s.x - x0 - 0.6 * p["g_x"]) / 0.9, (s.z - z0 - 0.6 * p["g_z"]) / 0.9, 0.9)
    return torch.where(out > 0.02, out, 0.0)


def pacemaker(s: Scene, patients: DataFrame) -> Tensor:
    """Optical depth of a generator below the left clavicle and its lead to the heart, float (n, h, w)."""
    p = s.p
    box = half_chord(((s.x - 8.8 - 0.6 * p["g_arm"]) / 2.4) ** 2, ((s.z - p["apex"] - 6.5) / 2.1) ** 2, 2.6)
    u = ((s.z - p["apex"] - 5) / (p["dome_R"] - p["apex"] - 6)).clamp(0, 1)
    lead = 2.2 * stroke(s.x - 7.5 + 11.5 * u - 6.0 * u**3, 0.16, s.px) * ((u > 0) & (u < 1))
    return box + lead


def marker(s: Scene, patients: DataFrame) -> Tensor:
    """Lead letter in the upper corner on its own side of the film, as optical depth, float (n, h, w)."""
    letters = np.array([[list(map(float, row)) for row in GLYPHS[side]] for side in patients["marker_side"]])
    glyph = torch.tensor(letters, dtype=torch.float32)  # (n, 7, 5)
    sign = torch.where(_is_left(patients, "marker_side"), 1.0, -1.0)
    at = s.px * (torch.arange(s.size) + 0.5 - s.size / 2)  # cm from the film's centre, (n, 1, size)
    half = 0.5 * s.p["field"]
    column = ((at - sign * (0.86 * half + 0.3 * s.p["g_crop_x"])) / 2.1 + 0.5) * 5
    row = ((at + 0.62 * half + 1.2 * s.p["g_crop_z"]) / 2.9 + 0.5) * 7

    def covered(place: Tensor, cells: int, half_pixel: Tensor) -> Tensor:  # share of each pixel in each cell
        cell = torch.arange(float(cells))[:, None]
        shared = torch.minimum(place + half_pixel, cell + 1) - torch.maximum(place - half_pixel, cell)
        return shared.clamp_min(0) / (2 * half_pixel)  # (n, cells, size)

    down, across = covered(row, 7, 0.5 * s.px * 7 / 2.9), covered(column, 5, 0.5 * s.px * 5 / 2.1)
    return 4.0 * (down.transpose(1, 2) @ glyph @ across)


def devices(s: Scene, patients: DataFrame) -> dict[str, Tensor]:
    """Optical depth of each device, {name: float (n, h, w)}; exactly 0 where there is none."""
    draws = {"drain": drain, "ecg_leads": ecg_leads, "pacemaker": pacemaker, "marker": marker}
    return {name: where_present(s, patients, name, draw) for name, draw in draws.items()}


def expose(s: Scene, patients: DataFrame) -> Exposure:
    """Sum the attenuation of all tissues along every ray, and name what lies where."""
    trunk = 2 * anatomy.body(s)
    parts = lungs(s, patients)
    lung, gap = parts["lung"], parts["gap"]
    wet = where_present(s, patients, "effusion", effusion)
    fluid = wet * (lung + gap)
    dry = lung * (1 - wet)
    solid = torch.minimum(2 * where_present(s, patients, "consolidation", consolidation), dry)
    fill = _column(patients, "consolidation_fill")
    ball = torch.minimum(2 * where_present(s, patients, "nodule", nodule), dry)
    blood, r = vessels(s)
    swollen = _column(patients, "edema") * _column(patients, "edema_gain")
    blood = blood * (1 + 0.9 * swollen) * (dry / (1.3 * s.p["lung_depth"])).clamp(0, 1)
    haze = swollen * 0.22 * torch.exp(-((r / 6.5) ** 2)) * (1 + 0.25 * anatomy.texture(s, slice(0, 2)))
    rib, rib_shape = anatomy.ribs(s)
    shoulder, spine = anatomy.girdle(s)
    dense = 1 + 1.5 * (parts["room"] - lung) / parts["room"].clamp_min(0.5)  # the same blood in a smaller lung
    inside = MU["lung"] * dense * (1 + 0.06 * anatomy.texture(s, slice(2, 4))) + haze * (MU["soft"] - MU["lung"])
    tau = MU["soft"] * (trunk * (1 + 0.012 * anatomy.texture(s, slice(0, 2))) + anatomy.breasts(s) * (trunk > 0))
    tau = tau + (MU["blood"] - MU["soft"]) * 2 * parts["heart"]
    tau = tau - MU["soft"] * (lung + gap + anatomy.airway(s) + anatomy.gas(s))
    tau = tau + inside * dry + MU["water"] * fluid
    tau = tau + (MU["soft"] - MU["lung"]) * (fill * solid + ball) + (MU["blood"] - MU["lung"]) * blood
    line = (gap > 0.05) & (lung > 0)
    tau = tau + torch.where(line, 0.035 * torch.exp(-(gap / 1.5)), 0.0)  # visceral pleura, seen edge on
    body = trunk > 0.2
    tau = (tau + (MU["rib"] - MU["soft"]) * s.p["bone"] * (rib + shoulder + 1.5 * spine) * body).clamp_min(0)
    masks = _masks(s, parts, wet=wet, solid=solid, ball=ball, haze=haze, rib=rib_shape, spine=spine, body=body)
    return equip(Exposure(anatomy=tau, devices=torch.zeros(()), body=body, masks=masks), s, patients)


def equip(exposure: Exposure, s: Scene, patients: DataFrame) -> Exposure:
    """The same bodies with the devices that ``patients`` names, and no others."""
    extra = devices(s, patients)
    masks = exposure.masks | {name: value > 0.02 for name, value in extra.items()}
    return replace(exposure, devices=sum(extra.values(), torch.zeros(())), masks=masks)


def _masks(
    s: Scene,
    parts: dict[str, Tensor],
    *,
    wet: Tensor,
    solid: Tensor,
    ball: Tensor,
    haze: Tensor,
    rib: Tensor,
    spine: Tensor,
    body: Tensor,
) -> dict[str, Tensor]:
    """Ground truth regions, {name: bool (n, h, w)}."""
    hull = parts["hull"]
    aerated = hull & (parts["lung"] * (1 - wet) > 0.5 * parts["room"])
    masks = {
        "lung_right": hull & ~s.left,
        "lung_left": hull & s.left,
        "lung_right_aerated": aerated & ~s.left,
        "lung_left_aerated": aerated & s.left,
        "heart": parts["heart"] > 0.3,
        "ribs": (rib > 0.45) & body,
        "spine": (spine > 0.8) & body,
        "effusion": (wet > 0.5) & (parts["room"] > 0.3),
        "pneumothorax": (parts["gap"] > 0.4 * parts["room"]) & (parts["room"] > 0.3),
        "consolidation": solid > 0.5,
        "nodule": ball > 0.05,
        "edema": (haze > 0.03) & hull,
        "body": body,
    }
    return masks
