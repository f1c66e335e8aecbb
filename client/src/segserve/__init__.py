"""Client for medical-image segmentation models served by NVIDIA Triton.

with segserve.Client("grpc://gpu01:8001", model="fundus_hemorrhage") as client:
    result = client.segment("eye.jpg")
    print(result.report.classes["hemorrhage"].lesion_count)
"""

from segserve._async_client import AsyncClient
from segserve._batch import Item
from segserve._client import Client
from segserve._coco import to_coco
from segserve._compare import ClassComparison, Comparison, LesionMatch, compare
from segserve._config import HedgePolicy, RetryPolicy, Tls
from segserve._counters import Counters
from segserve._geojson import to_geojson
from segserve._geometry import Crop, Geometry
from segserve._images import find_images
from segserve._journal import Journal
from segserve._masks import Masks
from segserve._model import EndpointHealth, Health, ModelInfo, ModelKind
from segserve._overlay import OverlayStyle
from segserve._probability import ProbabilityMap
from segserve._progress import Progress
from segserve._report import Classes, ClassReport, FieldOfView, ImageInfo, Lesion, ModelIdentity, Report
from segserve._result import SegmentationResult
from segserve._source import Named
from segserve._table import write_csv
from segserve.contract import CONTRACT_VERSION
from segserve.errors import (
    AccessDeniedError,
    ClientClosedError,
    ContractMismatchError,
    DeadlineExceededError,
    InvalidImageError,
    InvalidInputError,
    JournalError,
    MissingExtraError,
    ModelNotFoundError,
    ModelNotReadyError,
    ModelUnavailableError,
    OutputError,
    OverloadedError,
    RequestRefusedError,
    SegserveError,
    ServerConnectionError,
    ServerFaultError,
    TlsError,
)

__all__ = [
    "CONTRACT_VERSION",
    "AccessDeniedError",
    "AsyncClient",
    "ClassComparison",
    "ClassReport",
    "Classes",
    "Client",
    "ClientClosedError",
    "Comparison",
    "ContractMismatchError",
    "Counters",
    "Crop",
    "DeadlineExceededError",
    "EndpointHealth",
    "FieldOfView",
    "Geometry",
    "Health",
    "HedgePolicy",
    "ImageInfo",
    "InvalidImageError",
    "InvalidInputError",
    "Item",
    "Journal",
    "JournalError",
    "Lesion",
    "LesionMatch",
    "Masks",
    "MissingExtraError",
    "ModelIdentity",
    "ModelInfo",
    "ModelKind",
    "ModelNotFoundError",
    "ModelNotReadyError",
    "ModelUnavailableError",
    "Named",
    "OutputError",
    "OverlayStyle",
    "OverloadedError",
    "ProbabilityMap",
    "Progress",
    "Report",
    "RequestRefusedError",
    "RetryPolicy",
    "SegmentationResult",
    "SegserveError",
    "ServerConnectionError",
    "ServerFaultError",
    "Tls",
    "TlsError",
    "compare",
    "find_images",
    "to_coco",
    "to_geojson",
    "write_csv",
]
