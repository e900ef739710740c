"""Builds small DICOM series with one knob for each awkward case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

SOP_CLASS = {
    "CT": CTImageStorage,
    "MR": MRImageStorage,
    "PT": PositronEmissionTomographyImageStorage,
}
PATIENT = "Doe^Jane"


def uid(*words: object) -> str:
    return str(generate_uid(entropy_srcs=[str(w) for w in ("medidiff test", *words)]))


def make_series(
    folder: Path,
    *,
    modality: str = "CT",
    slices: int = 5,
    shape: tuple[int, int] = (6, 8),
    spacing: tuple[float, float] = (0.7, 0.8),
    step: float = 3.0,
    depths: Sequence[float] | None = None,
    tilt: float = 0.0,
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    bits_allocated: int = 16,
    bits_stored: int = 16,
    signed: bool = True,
    slope: float | Sequence[float] | None = 1.0,
    intercept: float | Sequence[float] | None = 0.0,
    padding: tuple[int, int] | int | None = None,
    stored: np.ndarray | None = None,
    syntax: str = ExplicitVRLittleEndian,
    compress: str | None = None,
    fragments: int = 1,
    name: Callable[[int], str] = "IM{:03d}.dcm".format,
    change: Callable[[Dataset, int], None] | None = None,
    series: str = "1",
    first: int = 0,
    seed: int = 7,
) -> np.ndarray:
    """Writes a series and returns its stored values ``[z, y, x]`` in order of position.

    Args:
        depths: positions along the normal in mm; replaces `step`.
        tilt: degrees; shifts each slice along its columns.
        slope: one value, or one for each slice, or None for an image without rescale.
        padding: PixelPaddingValue, or that and PixelPaddingRangeLimit.
        compress: transfer syntax to compress to.
        fragments: pieces of each compressed image; more than one comes with an empty offset table.
        change: gets each data set and its index before it is saved.
        first: index of the first slice in the UIDs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = np.dtype(f"{'i' if signed else 'u'}{bits_allocated // 8}")
    bits_stored = min(bits_stored, bits_allocated)
    rng = np.random.default_rng(seed)
    depths = [step * k for k in range(slices)] if depths is None else list(depths)
    low, high = (
        (-(1 << bits_stored - 1), (1 << bits_stored - 1) - 1) if signed else (0, (1 << bits_stored) - 1)
    )
    if stored is None:
        top = min(high, 1500)
        stored = rng.integers(max(low, -900), top, (len(depths), *shape)).astype(kind)
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    normal = np.cross(row, column)
    for k, depth in enumerate(depths):
        ds = _common(modality, series)
        ds.SOPInstanceUID = uid(series, first + k)
        ds.InstanceNumber = first + k + 1
        ds.Rows, ds.Columns = stored.shape[1:]
        ds.PixelSpacing = list(spacing)
        ds.ImageOrientationPatient = [float(v) for v in orientation]
        place = np.array([-20.0, -30.0, 5.0]) + depth * normal + depth * np.tan(np.radians(tilt)) * column
        ds.ImagePositionPatient = [pydicom.valuerep.format_number_as_ds(float(v)) for v in place]
        if slope is not None:
            ds.RescaleSlope = pydicom.valuerep.format_number_as_ds(float(np.ravel(slope)[k % np.size(slope)]))
            ds.RescaleIntercept = pydicom.valuerep.format_number_as_ds(
                float(np.ravel(intercept)[k % np.size(intercept)])
            )
        values = stored[k]
        big = syntax == ExplicitVRBigEndian
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits_allocated, bits_stored, bits_stored - 1
        ds.PixelRepresentation = int(signed)
        if padding is not None:
            ends = np.atleast_1d(padding)
            ds.add_new("PixelPaddingValue", "SS" if signed else "US", int(ends[0]))
            if len(ends) > 1:
                ds.add_new("PixelPaddingRangeLimit", "SS" if signed else "US", int(ends[1]))
        data = values.astype(values.dtype.newbyteorder(">" if big else "<")).tobytes()
        ds.PixelData = data + bytes(len(data) % 2)
        ds["PixelData"].VR = "OW" if bits_allocated > 8 or syntax == ImplicitVRLittleEndian else "OB"
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = syntax
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        if change is not None:
            change(ds, k)
        if compress is not None:
            ds.compress(compress, generate_instance_uid=False)
        if fragments > 1:
            (image,) = generate_frames(ds.PixelData, number_of_frames=1)
            ds.PixelData = encapsulate([image], fragments_per_frame=fragments, has_bot=False)
        implicit = ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
        ds.save_as(
            folder / name(k), enforce_file_format=True, implicit_vr=implicit, little_endian=not big,
        )  # fmt: skip
    return stored


def _common(modality: str, series: str) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if modality == "CT" else ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID = SOP_CLASS[modality]
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20200102"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101112"
    ds.Modality = modality
    ds.Manufacturer, ds.ManufacturerModelName = "ACME", "Scanner 3"
    ds.SoftwareVersions, ds.DeviceSerialNumber, ds.StationName = "v1", "SN-42", "ROOM2"
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.SeriesDescription = f"Chest {PATIENT.split('^')[0]} 3 mm"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = PATIENT, "PID4711", "", "O"
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("study"), uid("series", series)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid("frame"), ""
    ds.SeriesNumber, ds.AcquisitionNumber = 4, 1
    if modality == "CT":
        ds.KVP, ds.RescaleType = "120", "HU"
    if modality == "PT":
        ds.Units = "BQML"
    ds.SliceThickness = "3"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    return ds
