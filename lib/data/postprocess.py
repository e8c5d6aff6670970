"""What happens to a picture after it was made: rounding to 8 bit, JPEG, and resampling with mild sharpening.

Wang et al. 2020, CNN-generated images are surprisingly easy to spot (arXiv:1912.11035), is the usual source of the
warning that a detector may learn the file format instead of the generator; Gallagher 2005, Detection of linear and
cubic interpolation in JPEG compressed images, that resampling leaves traces of its own.

Conventions: images are float32 (n, channels, height, width) in [0, 1]; nothing here is random.
"""

import io

import torch
from torch import Tensor
from torch.nn import functional

KERNELS = ("bilinear", "bicubic", "nearest", "area")
SAMPLING = 2  # Pillow's number for chroma at half the resolution, 4:2:0


def quantised(images: Tensor) -> Tensor:
    """Round to the 256 levels of an 8-bit file.

    Parameters
    ----------
    images : float Tensor
        Any shape; values outside [0, 1] are clipped.

    Returns
    -------
    float Tensor
        Multiples of 1/255 in [0, 1].

    Examples
    --------
    >>> (255 * quantised(torch.tensor([-1.0, 0.5, 2.0]))).tolist()
    [0.0, 128.0, 255.0]
    """
    return (images.clamp(0, 1) * 255).round() / 255


def reencoded(images: Tensor, *, quality: int) -> Tensor:
    """Write each picture as a JPEG and read it again.

    Parameters
    ----------
    images : float Tensor (n, 1 or 3, height, width) in [0, 1]
    quality : int in [1, 95]
        Pillow's scale; colour is stored at half the resolution.

    Returns
    -------
    float32 Tensor, the shape and device of ``images``

    Raises
    ------
    ValueError
        Another number of channels, or ``quality`` out of range.
    """
    from PIL import Image

    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must have shape (n, 1 or 3, height, width), got {tuple(images.shape)}; add a batch")
    if not 1 <= quality <= 95:
        raise ValueError(f"quality must be in [1, 95], got {quality}; 75 is the usual value")
    grey, found = images.shape[1] == 1, []
    for picture in (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu().permute(0, 2, 3, 1).numpy():
        stream = io.BytesIO()
        image = Image.fromarray(picture[..., 0] if grey else picture)
        image.save(stream, format="JPEG", quality=quality, subsampling=0 if grey else SAMPLING)
        read = torch.frombuffer(bytearray(Image.open(stream).tobytes()), dtype=torch.uint8)
        found.append(read.view(*picture.shape))
    return torch.stack(found).permute(0, 3, 1, 2).to(images) / 255


def resampled(
    images: Tensor, *, factor: float = 2.0, down: str = "bicubic", up: str = "bilinear", sharpen: float = 0.5
) -> Tensor:
    """Shrink pictures, enlarge them again with another kernel, and sharpen a little.

    Parameters
    ----------
    images : float Tensor (n, channels, height, width)
    factor : float
        How much smaller the picture is in between, at least 1.
    down, up : {"bilinear", "bicubic", "nearest", "area"}
        Kernels; "bilinear" and "bicubic" are widened when shrinking, so that nothing aliases.
    sharpen : float
        Unsharp mask: so many times the difference from a 3 x 3 binomial blur is added; 0 = none.

    Returns
    -------
    float Tensor, the shape of ``images``
        Not clipped.

    Raises
    ------
    ValueError
        An unknown kernel, a factor below 1, or negative sharpening.

    Examples
    --------
    >>> resampled(torch.full((1, 1, 8, 8), 0.5)).mean().round(decimals=4).item()
    0.5
    """
    if down not in KERNELS or up not in KERNELS:
        raise ValueError(f"down and up must be among {', '.join(KERNELS)}, got {down!r} and {up!r}")
    if factor < 1 or sharpen < 0:
        raise ValueError(f"factor must be at least 1 and sharpen at least 0, got {factor:g} and {sharpen:g}")
    side = [max(1, round(length / factor)) for length in images.shape[2:]]
    result = _resized(_resized(images, side, down), list(images.shape[2:]), up)
    return result + sharpen * (result - _blurred(result))


def _resized(images: Tensor, side: list[int], kernel: str) -> Tensor:
    if kernel in ("nearest", "area"):
        return functional.interpolate(images, size=side, mode=kernel)
    return functional.interpolate(images, size=side, mode=kernel, align_corners=False, antialias=True)


def _blurred(images: Tensor) -> Tensor:
    line = images.new_tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(line, line).expand(images.shape[1], 1, 3, 3)
    return functional.conv2d(functional.pad(images, [1] * 4, mode="replicate"), kernel, groups=images.shape[1])
