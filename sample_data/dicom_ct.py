"""Writes a stack of HU slices as a CT Image Storage series (PS3.3 A.3) of a fictional patient.

UIDs are hashes of fixed texts, dates are fixed: the same pixels give the same bytes. 12 bits stored in
16, unsigned, rescale intercept -1024, JPEG-LS lossless, as many scanners do; values below -1024 HU clipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless, generate_uid

INTERCEPT = -1024
STUDY = "medidiff sample study 1"
IMPLEMENTATION = "medidiff sample_data"


def uid(*texts: str) -> str:
    """A UID that depends on the texts only."""
    return str(generate_uid(entropy_srcs=[IMPLEMENTATION, *texts]))


def write_series(
    folder: Path,
    hu: np.ndarray[Any, Any],
    heights: tuple[float, ...],
    pixel_mm: float,
    slice_mm: float,
    *,
    number: int,
    description: str,
    comment: str,
    tube_ma: int,
) -> None:
    """One file a slice, ``001.dcm`` at the feet end.

    Args:
        folder: where the files go; made where absent.
        hu: ``[z, y, x]``.
        heights: z of the slices in mm, rising.
        pixel_mm: pixel size.
        slice_mm: slice thickness.
        number: Series Number.
        description: Series Description.
        comment: Image Comments: how the pixels were made.
        tube_ma: X-Ray Tube Current.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for k, (plane, z) in enumerate(zip(hu, heights, strict=True), 1):
        ds = _common()
        ds.SeriesInstanceUID = uid(STUDY, description)
        ds.SOPInstanceUID = uid(STUDY, description, str(k))
        ds.SeriesNumber, ds.InstanceNumber = number, k
        ds.SeriesDescription, ds.ImageComments = description, comment
        ds.XRayTubeCurrent, ds.ExposureTime, ds.Exposure = tube_ma, 500, tube_ma // 2
        first = [-(n - 1) / 2.0 * pixel_mm for n in plane.shape[::-1]]
        ds.ImagePositionPatient = [*first, z]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.SliceLocation = z
        ds.SliceThickness, ds.SpacingBetweenSlices = slice_mm, slice_mm
        ds.PixelSpacing = [pixel_mm, pixel_mm]
        ds.ReconstructionDiameter = pixel_mm * plane.shape[1]
        stored = np.clip(np.rint(plane) - INTERCEPT, 0, 4095).astype(np.uint16)
        _pixels(ds, stored)
        ds.compress(JPEGLSLossless, generate_instance_uid=False)
        ds.save_as(folder / f"{k:03d}.dcm", enforce_file_format=True)


def _common() -> Dataset:
    """Everything that is the same in every file."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = uid("implementation")
    ds.file_meta.ImplementationVersionName = "MEDIDIFF_SAMPLE"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20000101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.AccessionNumber, ds.StudyID = "", "1"
    ds.Modality = "CT"
    ds.Manufacturer, ds.ManufacturerModelName = "Synthetic phantom", "sample_data"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", "1"
    ds.InstitutionName = "No hospital: computed images"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Synthetic chest and abdomen"
    ds.PatientName, ds.PatientID = "Phantom^Medidiff", "MEDIDIFF-PHANTOM-1"
    ds.PatientBirthDate, ds.PatientSex = "", ""
    ds.PatientComments = "Computed phantom. No person was scanned."
    ds.BodyPartExamined, ds.PatientPosition = "ABDOMEN", "HFS"
    ds.ContrastBolusAgent = "SIMULATED"
    ds.ScanOptions, ds.KVP, ds.FilterType = "AXIAL", 120, "BOWTIE"
    ds.GantryDetectorTilt, ds.TableHeight, ds.RotationDirection = 0, 120, "CW"
    ds.DataCollectionDiameter = 500
    ds.ConvolutionKernel = "SOFT"
    ds.StudyInstanceUID = uid(STUDY)
    ds.FrameOfReferenceUID = uid(STUDY, "frame")
    ds.PositionReferenceIndicator = ""
    ds.AcquisitionNumber = 1
    return ds


def _pixels(ds: Dataset, stored: np.ndarray[Any, Any]) -> None:
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = INTERCEPT, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = [50, -600], [400, 1500]
    ds.WindowCenterWidthExplanation = ["ABDOMEN", "LUNG"]
    ds.BurnedInAnnotation = "NO"
    ds.PixelData = stored.astype("<u2").tobytes()
