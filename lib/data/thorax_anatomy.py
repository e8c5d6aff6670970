"""Analytic anatomy of a chest: from a patient's latent values to path lengths and exact masks.

Ellipsoids and elliptic cylinders as in the FORBILD thorax phantom (Sourbelle). Differences: lung, heart, mediastinum
and diaphragm are intervals along the ray that are intersected, so nothing is counted twice; ribs are tilted ellipses
around the cage whose spacing, thickness and contrast are drawn per patient into one profile per side; vessels are
profiles in the angle around the hilum; sex, age and body mass index act on sizes as in thorax.py.

Depths along the ray, for a woman and a man of 50 years and BMI 25: the pleural cavity 16 and 18 cm deep in deep
inspiration, the chest wall 2.2 cm in front and behind, so the trunk 21 and 22 cm (adult chests: 20-26 cm; FORBILD: 20);
the heart about 11 cm (8-12; more in cardiomegaly), of blood and muscle, its middle 2 cm before the middle of the
cavity; the mediastinum from sternum to spine, so that no lung crosses the midline; vertebral bodies 3-4 cm. With these
the median transmission behind lung, heart and spine is about 0.090, 0.013 and 0.009.

Conventions: cm; x to the patient's left, z downwards, y to the front; `X` = |x| = distance from the midline, because
both sides are evaluated at once with the parameters of the side a pixel lies on; maps float32 (n, h, w).
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from pandas import DataFrame
from torch import Tensor

from lib.data.thorax_physics import SOURCE_DISTANCE_CM, half_chord, magnification, root

HABITUS = (
    "width", "height", "depth", "wall", "lean", "x", "z", "turn", "heart_tilt", "heart_shape", "heart_y", "knob",
    "dome_right", "dome_left", "sulcus", "shoulder", "neck", "breast_size", "breast_z", "breast_x", "clavicle_z",
    "clavicle_rise", "scapula", "gas_x", "gas_z", "gas_size", "hilum", "vessels", "rib_slope", "rib_gain",
    "spine_gain", "trachea", "mediastinum", "pulmonary", "apex", "crop_x", "crop_z", "exposure", "contrast", "arm",
)  # fmt: skip
TABLE = 320  # samples of a 1-D profile
RIB_RANGE_CM = (-24.0, 30.0)
WALL_CM = 2.2  # skin, fat and muscle outside the pleura, front and back each, at BMI 25
FIELD_CM = {"A": 36.5, "B": 38.5, "C": 34.5}


@dataclass
class Scene:
    """Coordinates and parameters of a batch: parameters (n, 1, 1), maps float (n, h, w), z float (n, h, 1)."""

    p: dict[str, Tensor]
    x: Tensor
    z: Tensor
    px: Tensor
    size: int
    profiles: dict[str, Tensor]
    left: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.x > 0

    def at(self, depth_cm: Tensor | float) -> tuple[Tensor, Tensor]:
        """Coordinates x (n, h, w) and z (n, h, 1) in the coronal plane at this depth, cm."""
        p = self.p
        m = magnification(depth_cm, source_cm=p["source"], body_cm=p["body"], to_front=p["to_front"])
        return self.x / m, self.z / m

    def rows(self, keep: np.ndarray) -> "Scene":
        """The scene of some of the patients: int (m,) or bool (n,)."""
        index = torch.from_numpy(np.flatnonzero(keep) if keep.dtype == bool else keep)
        p = {name: value[index] for name, value in self.p.items()}
        tables = {name: value[index] for name, value in self.profiles.items()}
        return Scene(p=p, x=self.x[index], z=self.z[index], px=self.px[index], size=self.size, profiles=tables)

    def side(self, name: str) -> Tensor:
        """Parameter of the side a pixel lies on: float (n, h, w)."""
        return torch.where(self.left, self.p[f"{name}_L"], self.p[f"{name}_R"])


def habitus(seeds: np.ndarray) -> dict[str, np.ndarray]:
    """Standard normal build of each patient, clipped to +-2: int (n,) -> {name: float (n,)}."""
    rows = [np.random.Generator(np.random.Philox(key=[int(s), 0])).standard_normal(len(HABITUS)) for s in seeds]
    values = np.clip(np.stack(rows), -2, 2)
    return {name: values[:, i] for i, name in enumerate(HABITUS)}


def parameters(patients: DataFrame) -> dict[str, np.ndarray]:
    """Sizes and places of every structure: table of n patients -> {name: float (n,)} in cm unless a ratio."""
    g = habitus(patients["seed"].to_numpy())
    male = (patients["sex"] == "M").to_numpy(float)
    supine = (patients["view"] == "AP").to_numpy(float)
    age = patients["age_years"].to_numpy(float) - 50
    bmi = patients["bmi"].to_numpy(float) - 25
    p = {f"g_{name}": value for name, value in g.items()}
    scale = np.where(male == 1, 1.06, 0.96) * (1 + 0.03 * g["width"])
    p["inner"] = 13.4 * scale  # half the inner width of the chest at its base
    p["lung_depth"] = 8.5 * scale * (1 + 0.05 * g["depth"] + 0.002 * age)
    p["wall"] = np.clip(2.0 + 0.12 * bmi + 0.3 * g["wall"], 1.1, 6)
    p["body"] = 2 * (p["lung_depth"] + WALL_CM) + 0.28 * bmi  # anterior to posterior surface
    height = 1 + 0.05 * g["height"] + 0.03 * (male - 0.5) - 0.05 * supine - 0.004 * np.clip(bmi, -5, 15)
    p["apex"] = -13.2 * height + 0.3 * g["apex"]
    base = 8.2 * height - 1.3 * supine
    p["dome_R"] = base - 0.7 + 0.5 * g["dome_right"]
    p["dome_L"] = base + 0.6 + 0.5 * g["dome_left"]
    p["dome_rise"] = np.clip(4.2 + 0.5 * g["sulcus"], 3.0, 5.5)
    p["ctr"] = patients["ctr"].to_numpy(float) + patients["cardiomegaly"] * patients["cardiomegaly_excess"]
    p["heart_width"] = p["ctr"] * 2 * p["inner"] / 1.03
    p["heart_share"] = 0.33 + 0.03 * g["heart_shape"]  # of the heart's width right of the midline
    p["heart_tilt"] = np.deg2rad(40 + 6 * g["heart_tilt"] - 6 * supine)
    p["heart_y"] = 3.5 + 0.4 * g["heart_y"]  # its outline, drawn by the ventricle's apex, lies before its middle
    p["heart_mid"] = p["heart_y"] - 2.5
    p["knob"] = np.clip(0.9 + 0.012 * age + 0.25 * g["knob"], 0.35, 2.2)
    p["bone"] = patients["bones"].to_numpy(float) * np.clip(1 - 0.004 * age, 0.75, 1.12)
    p["breast"] = (1 - male) * np.clip(2.0 + 0.12 * bmi + 0.6 * g["breast_size"], 0.8, 4.5)
    p["male"], p["supine"], p["bmi"] = male, supine, bmi
    p["source"] = patients["view"].map(SOURCE_DISTANCE_CM).to_numpy(float)
    p["to_front"] = 1 - 2 * supine
    collimation = (0.5 + 0.5 * scale) * (1 + 0.02 * g["crop_x"] + 0.07 * supine)
    p["field"] = patients["group"].map(FIELD_CM).to_numpy(float) * collimation
    return p


def rib_profiles(rngs: list[np.random.Generator], *, width_cm: float, first_cm: np.ndarray, smooth_cm: float) -> Tensor:
    """Bone along the height of both cage walls: eleven ribs with brighter rims.

    Parameters
    ----------
    rngs : list of numpy.random.Generator
        One per patient.
    width_cm, smooth_cm : float
        Height of a rib, and of a pixel, which softens its rims.
    first_cm : ndarray
        z of the first rib, float (n,).

    Returns
    -------
    Tensor
        float (n, 2 * TABLE), right then left, about 0 to 1.
    """
    draws = torch.from_numpy(np.stack([rng.standard_normal((3, 2, 11), np.float32) for rng in rngs]))[..., None, :]
    gaps = (2.35 + 0.05 * torch.arange(11) + 0.14 * draws[:, 0]).clamp(1.9, 3.2)  # (n, 2, 1, 11)
    centre = torch.from_numpy(first_cm).float()[:, None, None, None] + gaps.cumsum(-1) - gaps[..., :1]
    half = (width_cm / 2 * (1 + 0.12 * draws[:, 1])).clamp(0.4, 1)
    z = torch.linspace(*RIB_RANGE_CM, TABLE)[:, None]
    d = (z - centre) / half  # (n, 2, TABLE, 11)
    sharp = 2 * half / float(np.hypot(0.16, smooth_cm / 2))
    rims = 0.65 + 0.35 * d * d + 0.25 * d.clamp(0, 1)  # the lower rim is the sharper one
    bone = (1 + 0.15 * draws[:, 2]) * rims * torch.sigmoid((1 - d.abs()) * sharp)
    return bone.sum(-1).flatten(1)


def vessel_profiles(rngs: list[np.random.Generator], *, level: int, smooth_cm: float) -> Tensor:
    """Thickness (cm) of vessels against the angle around the hilum, periodic: float (n, 2 * TABLE), right then left."""
    count, radius, width = ((9, 2.8, 0.5), (20, 5.5, 0.36), (34, 9.5, 0.26))[level]
    angle = torch.linspace(-np.pi, np.pi, TABLE + 1)[:-1, None]
    draws = torch.from_numpy(np.stack([rng.random((2, 2, count), np.float32) for rng in rngs]))[..., None, :]
    centres = (torch.arange(count) + 0.75 * draws[:, 0]) * (2 * np.pi / count)
    wide = float(np.hypot(width, smooth_cm))
    distance = torch.remainder(angle - centres + np.pi, 2 * np.pi) - np.pi  # (n, 2, TABLE, count)
    heights = (0.3 + draws[:, 1]) * width * width / wide
    return (heights * torch.exp(-0.5 * (distance * (2 * radius / wide)).square())).sum(-1).flatten(1)


def profiles(seeds: np.ndarray, apex: np.ndarray, pixel_cm: float) -> dict[str, Tensor]:
    """Profiles of every patient: ribs back and front, three levels of vessels (n, 2 * TABLE), texture (n, 4, 10)."""
    rngs = [np.random.Generator(np.random.Philox(key=[int(seed), 2])) for seed in seeds]
    waves = torch.from_numpy(np.stack([rng.uniform(-1, 1, (4, 10)) for rng in rngs])).float()
    back = rib_profiles(rngs, width_cm=1.15, first_cm=apex + 0.3, smooth_cm=pixel_cm)
    front = rib_profiles(rngs, width_cm=1.3, first_cm=apex + 1.3, smooth_cm=pixel_cm)
    trees = [vessel_profiles(rngs, level=level, smooth_cm=pixel_cm) for level in range(3)]
    return {"texture": waves, "back": back, "front": front} | {f"vessels_{k}": tree for k, tree in enumerate(trees)}


def look_up(table: Tensor, position: Tensor, left: Tensor) -> Tensor:
    """Read profiles of two sides with linear interpolation.

    Parameters
    ----------
    table : Tensor
        float (n, 2 * TABLE), right then left.
    position : Tensor
        float (n, h, w), in samples; clipped to the profile.
    left : Tensor
        bool (n, h, w).

    Returns
    -------
    Tensor
        float (n, h, w).
    """
    position = position.clamp(0, TABLE - 1.001)
    lower = position.floor()
    share = position - lower
    index = (lower.long() + TABLE * left).flatten(1)
    values = torch.lerp(table.gather(1, index), table.gather(1, index + 1), share.flatten(1))
    return values.view_as(position)


def scene(patients: DataFrame, *, size: int) -> Scene:
    """Put a batch of patients before the detector: coordinates in cm and parameters, see Scene."""
    raw = parameters(patients)
    pixel_cm = float(np.mean(list(FIELD_CM.values()))) / size
    p = {name: torch.tensor(np.asarray(v), dtype=torch.float32)[:, None, None] for name, v in raw.items()}
    half = p["field"] / 2
    grid = (2 * torch.arange(size, dtype=torch.float32) + 1) / size - 1
    x = half * grid[None, None, :] + 0.6 * p["g_x"]
    z = half * grid[None, :, None] + 0.8 * p["g_z"]
    x = x + 0.03 * p["g_turn"] * z  # the patient leans; as a shear, which keeps z a matter of rows alone
    tables = profiles(patients["seed"].to_numpy(), raw["apex"], pixel_cm)
    return Scene(p=p, x=x, z=z, px=p["field"] / size, size=size, profiles=tables)


def body(s: Scene) -> Tensor:
    """Half the chord of trunk, neck, shoulders and arms, float (n, h, w) in cm."""
    p, X = s.p, s.x.abs()
    trunk = p["inner"] + p["wall"] + 0.6
    half_depth = p["body"] / 2
    armpit = torch.sigmoid((-5.5 - s.z) / 1.6) * (5.0 + 0.6 * p["g_shoulder"])
    width = trunk + armpit + 0.05 * (s.z - 6).clamp_min(0)
    top = p["apex"] - 0.5 - 3.8 * torch.exp(-((X - 5).clamp_min(0)) / 3.5) + 0.012 * X * X
    fade = 1 - torch.exp(-(s.z - top).clamp_min(0) / 2.2)
    chest = root(1 - (X / width).square().square()) * half_depth * fade
    neck = root(1 - (X / (5.0 + 0.3 * p["g_neck"] + 0.06 * p["bmi"])).square()) * 4.7
    neck = neck * torch.sigmoid((p["apex"] + 4 - s.z) / 2)
    arm = X - (19.5 + 0.5 * p["g_arm"] + 0.14 * p["bmi"] + 0.16 * (s.z + 10))
    arm = root(1 - (arm / 4.6).square()) * 4.6 * torch.sigmoid((s.z + 12) / 1.5)
    return torch.maximum(torch.maximum(chest, neck), arm)


def cavity(s: Scene, scale: Tensor | float = 1.0, *, root_z: float = 3.0) -> Tensor:
    """Half the chord of the ellipsoid one lung fills, before heart and diaphragm cut it, float (n, h, w) in cm.

    `scale` below 1 shrinks the lung about a point low at the hilum (a pneumothorax); 1 is the whole cavity.
    """
    p = s.p
    x, z = s.at(-1.0)
    X = x.abs()
    half_width = 0.5 * p["inner"] - 0.15
    hinge = 0.22 * p["inner"]
    X = (X - hinge) / scale + hinge
    z = (z - root_z) / scale + root_z
    centre_z = 6.0
    v = (z - centre_z) / (centre_z - p["apex"])
    centre_x = 0.5 * p["inner"] + 0.2 - 1.7 * v.clamp_max(0).square()  # the apex leans to the midline
    u = (X - centre_x) / half_width
    v2 = v * v
    return root(1 - u * u - v2 * (0.55 + 0.45 * v2)) * p["lung_depth"]


def heart(s: Scene) -> Tensor:
    """Half the chord of the heart: left ventricle (tilted ellipse) and right atrium, float (n, h, w) in cm."""
    p = s.p
    x, z = s.at(p["heart_y"])
    right, left = -p["heart_width"] * p["heart_share"], p["heart_width"] * (1 - p["heart_share"])
    reach = 0.31 * p["heart_width"] + 1.4  # half the ventricle's extent along x
    cos, sin = p["heart_tilt"].cos(), p["heart_tilt"].sin()
    major = reach / (cos * cos + (sin / 1.6) ** 2).sqrt()
    centre_z = torch.minimum(p["dome_L"], p["dome_R"] + 1) - 0.42 * major
    dx, dz = x - (left - reach), z - centre_z
    along, across = (dx * cos + dz * sin) / major, (dz * cos - dx * sin) * 1.6 / major
    ventricle = root(1 - (along * along + across * across) ** 2) * 0.9 * major  # blunter than an ellipsoid
    width = 0.26 * p["heart_width"] + 0.6
    u, v = (x - (right + width)) / width, (z - centre_z - 0.3) / (1.5 * width)
    atrium = root(1 - (u * u + v * v) ** 2) * 1.3 * width
    return torch.maximum(ventricle, atrium)


def mediastinum(s: Scene) -> Tensor:
    """Half the chord of the great vessels and the spine between the lungs, float (n, h, w) in cm."""
    p, z = s.p, s.z
    arch = p["apex"] + 6.2 + 0.4 * p["g_pulmonary"]
    knob = p["knob"] * torch.exp(-(((z - arch) / 1.5) ** 2))
    trunk = (0.8 + 0.15 * p["g_pulmonary"]) * torch.exp(-(((z - arch - 3.6) / 1.5) ** 2))
    left = 1.75 + 0.2 * p["g_mediastinum"] + knob + trunk + 0.03 * (z - arch).clamp_min(0)
    right = 2.0 + 0.2 * p["g_mediastinum"] + 0.35 * torch.exp(-(((z - arch - 1.5) / 2.2) ** 2))
    inlet = 1.2 * torch.sigmoid((p["apex"] + 1.5 - z) / 1.2) * (1 + 0.15 * p["supine"])
    width = torch.where(s.left, left, right) * (1 + 0.08 * p["supine"]) + inlet
    return root(1 - (s.x / width) ** 2) * p["lung_depth"]


def abdomen(s: Scene) -> Tensor:
    """Half the chord of what lies below the diaphragm: paraboloids over elliptic cylinders, float (n, h, w) in cm."""
    p = s.p
    x, z = s.at(1.0)
    u = (x.abs() - 0.43 * p["inner"]) / (0.60 * p["inner"])
    u = torch.where(u < 0, 0.4 * u, u)  # the dome stays high towards the heart
    up = (p["dome_rise"] - (z - s.side("dome"))).clamp_min(0) / p["dome_rise"]
    return root(root(1 - u * u - up)) * p["lung_depth"] * 0.97  # soon opaque below its edge


def ribs(s: Scene) -> tuple[Tensor, Tensor]:
    """Bone of the ribs along the ray (cm) and their profile (0 = none, about 1 = rib), both float (n, h, w)."""
    p = s.p
    x, z = s.at(0.0)
    X = x.abs()
    v = ((z - 6.0) / (6.0 - p["apex"] + 1.0)).clamp(-0.98, 0.0)
    v2 = v * v
    cage = 0.5 * p["inner"] - 1.7 * v2 + (0.5 * p["inner"] + 0.5) * root(1 - v2 * (0.55 + 0.45 * v2))
    q = X / cage
    depth = root(1 - q.square().clamp_max(1))
    reach = p["lung_depth"] * (0.465 + 0.036 * p["g_rib_slope"])
    step = (TABLE - 1) / (RIB_RANGE_CM[1] - RIB_RANGE_CM[0])
    inside = torch.sigmoid((1.01 - q) / 0.012)
    back_z = z - reach * (1 - depth) + 0.16 * (X - 2).clamp_min(0) * (1 - q)
    back = look_up(s.profiles["back"], (back_z - RIB_RANGE_CM[0]) * step, s.left)
    back = back * inside * torch.sigmoid((X - 1.6) / 0.4)
    front_z = z - reach * (1 + depth) + 1.5 * (1 - q)
    front = look_up(s.profiles["front"], (front_z - RIB_RANGE_CM[0]) * step, s.left)
    cartilage = 5.2 + 0.22 * (z + 6).clamp_min(-3)
    front = front * inside * torch.sigmoid((X - cartilage) / 0.5)
    along = 1 / (depth + 0.35)  # a rib that runs along the ray is seen end on
    bone = (1.9 * back + 1.2 * front) * (0.55 + 0.45 * along) * (1 + 0.1 * p["g_rib_gain"])
    fade = torch.sigmoid((p["dome_R"] + 8 - z) / 1.5)
    return bone * fade, torch.maximum(back, front) * fade


def stroke(distance: Tensor, radius: Tensor | float, px: Tensor) -> Tensor:
    """Chord (cm) of a cylinder of this radius at this distance from its axis, averaged over about a pixel."""
    wide = (torch.as_tensor(radius) ** 2 + (0.5 * px) ** 2).sqrt()
    return root(1 - (distance / wide).square()) * (2.0 * radius * radius / wide)


def girdle(s: Scene) -> tuple[Tensor, Tensor]:
    """Bone of clavicles, scapulae and humeri (cm), and of the spine (cm), both float (n, h, w)."""
    p, px = s.p, s.px
    x, z = s.at(4.0)
    X = x.abs()
    t = (X - 2.2) / 14
    tilt = torch.where(s.left, 1.0, -1.0) * 0.3 * p["g_lean"]
    line = p["apex"] + 3.6 + 0.5 * p["g_clavicle_z"] - (2.2 + 0.6 * p["g_clavicle_rise"]) * t
    line = line - 0.75 * torch.sin(6.28 * t) + tilt + 0.8 * p["supine"]
    ends = torch.sigmoid((X - 1.8) / 0.25) * torch.sigmoid((16.5 - X) / 0.3)
    bone = 2.3 * stroke(z - line, 0.62 + 0.25 * (0.35 - t).clamp_min(0), px) * ends
    x, z = s.at(-6.0)
    X = x.abs()
    u = X - (p["inner"] + 1.6 + 0.5 * p["g_scapula"] - 1.6 * p["supine"])
    w = z - (p["apex"] + 9.0)
    u = u - 0.22 * w  # the blade points down and outwards
    blade = (1 - (u / 2.9) ** 2 - (w / 6.6) ** 2 + 0.10 * w * (u / 2.9).abs()).clamp_min(0)
    bone = bone + 1.1 * torch.tanh(4 * blade) + 1.0 * torch.exp(-(((blade - 0.12) / 0.12) ** 2))
    head = half_chord((X - 18.6) / 2.3, (z - p["apex"] - 4.4) / 2.4, 2.3)
    shaft = stroke(X - 19.6 - 0.15 * (z - p["apex"] - 5), 1.1, px) * torch.sigmoid((z - p["apex"] - 5) / 0.6)
    bone = bone + 1.1 * head + 1.3 * shaft
    period = 2.3 + 0.035 * (z - p["apex"])
    discs = 0.5 + 0.5 * torch.tanh(3 * torch.cos(6.283 * z / period + p["g_spine_gain"]) + 2.2)
    half = 1.75 + 0.02 * (z - p["apex"]).clamp_min(0)
    bodies = root(1 - (x / half).square()) * 2.6 * (0.55 + 0.45 * discs)
    processes = 1.2 * torch.exp(-((x / 0.35) ** 2)) * discs
    pedicles = 0.9 * torch.exp(-(((X - 1.25) / 0.35) ** 2)) * discs
    return bone, bodies + processes + pedicles


def airway(s: Scene) -> Tensor:
    """Air in trachea and main bronchi along the ray, cm, float (n, h, w)."""
    p = s.p
    fork = p["apex"] + 8.2 + 0.4 * p["g_pulmonary"]
    radius = 0.85 + 0.08 * p["g_trachea"] + 0.08 * (p["male"] - 0.5)
    trachea = stroke(s.x + 0.25 - 0.06 * (s.z - fork), radius, s.px) * torch.sigmoid((fork - s.z) / 0.4)
    slope = torch.where(s.left, 1.25, 0.85)
    bronchus = stroke((s.x.abs() - slope * (s.z - fork)) * 0.66, 0.55, s.px)
    return trachea + bronchus * torch.sigmoid((s.z - fork) / 0.4) * torch.sigmoid((fork + 3.2 - s.z) / 0.5)


def breasts(s: Scene) -> Tensor:
    """Soft tissue in front of the chest wall, cm, float (n, h, w)."""
    p = s.p
    x, z = s.at(p["body"] / 2)
    X = x.abs()
    centre = 0.58 * p["inner"] + 0.5 * p["g_breast_x"]
    dz = z - (3.2 + 0.6 * p["breast"] + 0.8 * p["g_breast_z"] - 2.0 * p["supine"])
    v = torch.where(dz < 0, dz / 9.0, dz / (3.2 + 0.5 * p["breast"]))
    female = root(1 - ((X - centre) / (0.43 * p["inner"] + 0.5 * p["breast"])) ** 2 - v * v) * p["breast"] * 1.5
    chest = torch.sigmoid((X - 3) / 1.5) * torch.sigmoid((-1.5 - z) / 1.5) * torch.sigmoid((z - p["apex"] - 3) / 2)
    return female + (0.5 + 0.8 * p["male"]) * chest


def gas(s: Scene) -> Tensor:
    """Gas in stomach and bowel along the ray, cm, float (n, h, w); an upright stomach has a fluid level."""
    p = s.p
    z0 = p["dome_L"] + 2.6 + 0.4 * p["g_gas_z"]
    x0 = 0.45 * p["inner"] + 1.2 * p["g_gas_x"]
    size = (0.8 + 0.4 * p["g_gas_size"]).clamp_min(0.15)
    dz = s.z - z0
    stomach = half_chord((s.x - x0) / (3.2 * size), dz / (1.6 * size), 2.6 * size)
    stomach = stomach * torch.maximum(torch.sigmoid((0.6 * size - dz) / 0.2), 0.8 * p["supine"])
    colon = half_chord((s.x - x0 - 3.2) / 2.3, (s.z - z0 - 3.5 - p["g_crop_z"]) / 1.5, 1.6)
    loop = half_chord((s.x + 2.0 * p["g_gas_x"] - 2) / 2.6, (s.z - z0 - 6 + p["g_gas_size"]) / 1.2, 1.3)
    return stomach + colon + loop


def texture(s: Scene, rows: slice) -> Tensor:
    """Smooth irregularity about 0 with a spread near 1: sums of products of cosines, float (n, h, w)."""
    low, high = s.profiles["texture"][:, rows, :].abs(), s.profiles["texture"][:, rows, :]
    axis = torch.linspace(-1, 1, s.size)
    rate = 5 + 30 * low[:, 0]  # (n, 10) radians per half field
    across = torch.cos(rate[:, :, None] * axis + 9 * high[:, 1, :, None])  # (n, 10, size)
    down = torch.cos(rate.flip(1)[:, :, None] * axis - 9 * high[:, 1, :, None])
    return torch.einsum("nkh,nkw->nhw", down, across) * 0.6
