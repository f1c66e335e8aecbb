"""A DICOM store that segments what it is sent: C-STORE in, a report and masks in a folder out.

    pip install './client[examples]'
    python dicom_store.py grpc://gpu01:8001 results/ 11112

It understands ophthalmic photography and secondary capture. The store answers at once whether it has taken the image,
so a server that is down or full is the sender's to retry (status 0xA700, out of resources).
"""

# ruff: noqa: T201

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import convert_color_space
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    OphthalmicPhotography8BitImageStorage,
    SecondaryCaptureImageStorage,
    Verification,
)
from segserve import Client, InvalidImageError, InvalidInputError, SegserveError

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000


class Store:
    """Handles C-STORE requests with one client, which is safe for pynetdicom's threads."""

    def __init__(self, client: Client, results: Path) -> None:
        self._client = client
        self._results = results

    def handle(self, event: evt.Event) -> int:
        """Segment one instance; returns the DICOM status."""
        ds = event.dataset
        ds.file_meta = event.file_meta
        try:
            # Only pixels leave this process: the request id stays a random one, the UID names the files here.
            result = self._client.segment(to_pixels(ds))
            result.save(self._results, name=str(ds.SOPInstanceUID), overlay=False)
        except (InvalidImageError, InvalidInputError, ValueError, AttributeError) as error:
            print(f"{ds.get('SOPInstanceUID')}: {error}", file=sys.stderr)
            return CANNOT_UNDERSTAND
        except SegserveError as error:
            print(f"{ds.SOPInstanceUID}: {error}", file=sys.stderr)
            return OUT_OF_RESOURCES
        return SUCCESS


def to_pixels(ds: Dataset) -> npt.NDArray[np.uint8]:
    """Pixels as uint8 [h, w, 3] RGB or [h, w]. Raises ValueError for what the model was not made for.

    Decoded pixels rather than an encapsulated JPEG: DICOM viewers ignore EXIF orientation, and so must the masks.
    """
    if int(ds.get("NumberOfFrames", 1) or 1) != 1:
        raise ValueError("only single-frame images are segmented")
    pixels = ds.pixel_array
    if ds.BitsAllocated != 8:
        raise ValueError(f"{ds.BitsAllocated}-bit images are not segmented")
    if ds.SamplesPerPixel == 3 and str(ds.PhotometricInterpretation).startswith("YBR_FULL"):
        pixels = convert_color_space(pixels, ds.PhotometricInterpretation, "RGB")
    return np.ascontiguousarray(pixels, np.uint8)


def make_ae() -> AE:
    """An application entity that accepts fundus photographs."""
    ae = AE(ae_title="SEGSERVE")
    for context in (OphthalmicPhotography8BitImageStorage, SecondaryCaptureImageStorage, Verification):
        ae.add_supported_context(context)
    return ae


def main() -> int:
    """Serve until interrupted."""
    url, results, port = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with Client(url, model="fundus_hemorrhage", timeout_s=30) as client:
        store = Store(client, results)
        make_ae().start_server(("0.0.0.0", port), evt_handlers=[(evt.EVT_C_STORE, store.handle)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
