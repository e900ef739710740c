"""Builds small enhanced multi-frame images: a knob for each awkward case.

CT and MR are valid by dciodvfy; PET lacks what only describes its acquisition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from dicom_series import PATIENT, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

SOP_CLASS = {"CT": EnhancedCTImageStorage, "MR": EnhancedMRImageStorage, "PT": EnhancedPETImageStorage}
FRAME_TYPE = {
    "CT": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
    "MR": ["ORIGINAL", "PRIMARY", "T1", "NONE"],
    "PT": ["ORIGINAL", "PRIMARY", "STATIC", "NONE"],
}
DIMENSIONS = {
    "echo": ("EffectiveEchoTime", "MREchoSequence"),
    "b_value": ("DiffusionBValue", "MRDiffusionSequence"),
    "time": ("TemporalPositionIndex", "FrameContentSequence"),
    "phase": ("NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence"),
}


def make_enhanced(
    path: Path,
    *,
    modality: str = "CT",
    slices: int = 5,
    shape: tuple[int, int] = (6, 8),
    spacing: tuple[float, float] = (0.7, 0.8),
    step: float = 3.0,
    depths: Sequence[float] | None = None,
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    slope: float | Sequence[float] | None = 1.0,
    intercept: float | Sequence[float] = 0.0,
    bits_stored: int = 16,
    signed: bool = True,
    padding: tuple[int, int] | int | None = None,
    stored: np.ndarray | None = None,
    volumes: dict[str, Sequence[Any]] | None = None,
    shared: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    compress: str | None = None,
    change: Callable[[Dataset], None] | None = None,
    change_frame: Callable[[Dataset, int], None] | None = None,
    series: str = "1",
    instance: int = 1,
    seed: int = 7,
) -> np.ndarray:
    """Writes an enhanced image and returns its stored values ``[frame, y, x]``.

    Args:
        depths: positions along the normal in mm, one for each frame in frame order; replaces `step`.
        slope: one value, or one for each frame, or None for MR without a Pixel Value Transformation.
        volumes: dimension -> its value for each frame: ``echo``, ``b_value``, ``time``, ``phase``.
        shared: orientation and spacing stand in the shared groups instead of in each frame's.
        change: gets the data set before it is saved.
        change_frame: gets the functional groups of each frame and its index.
        instance: Instance Number; part of the SOP Instance UID.
    """
    rng = np.random.default_rng(seed)
    depths = [step * k for k in range(slices)] if depths is None else list(depths)
    low, high = (
        (-(1 << bits_stored - 1), (1 << bits_stored - 1) - 1) if signed else (0, (1 << bits_stored) - 1)
    )
    if stored is None:
        kind = np.int16 if signed else np.uint16
        stored = rng.integers(max(low, -900), min(high, 1500), (len(depths), *shape)).astype(kind)
    ds = _root(modality, series)
    ds.SOPInstanceUID, ds.InstanceNumber = uid("enhanced", series, instance), instance
    ds.NumberOfFrames = len(depths)
    ds.Rows, ds.Columns = stored.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits_stored, bits_stored - 1
    ds.PixelRepresentation = int(signed)
    if padding is not None:
        ends = np.atleast_1d(padding)
        for keyword, end in zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), ends, strict=False):
            ds.add_new(keyword, "SS" if signed else "US", int(end))
    normal = np.cross(orientation[:3], orientation[3:])
    common, frames = _shared(modality), []
    for k, depth in enumerate(depths):
        place = np.array([-20.0, -30.0, 5.0]) + depth * normal
        group = _frame(modality, k, place)
        home = common if shared else group
        home.PlaneOrientationSequence = [_item(ImageOrientationPatient=[float(v) for v in orientation])]
        home.PixelMeasuresSequence = [_item(PixelSpacing=list(spacing), SliceThickness=step)]
        if slope is not None:
            group.PixelValueTransformationSequence = [
                _item(
                    RescaleSlope=_ds(slope, k), RescaleIntercept=_ds(intercept, k),
                    RescaleType="HU" if modality == "CT" else "US",
                )
            ]  # fmt: skip
        frames.append(group)
    _dimensions(ds, frames, depths, volumes or {})
    for k, group in enumerate(frames):
        if change_frame is not None:
            change_frame(group, k)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [common], frames
    big = syntax == ExplicitVRBigEndian
    ds.PixelData = stored.astype(stored.dtype.newbyteorder(">" if big else "<")).tobytes()
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    if change is not None:
        change(ds)
    if compress is not None:
        ds.compress(compress, generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(
        path, enforce_file_format=True, implicit_vr=ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2",
        little_endian=not big,
    )  # fmt: skip
    return stored


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _ds(values: float | Sequence[float], k: int) -> str:
    return str(pydicom.valuerep.format_number_as_ds(float(np.ravel(values)[k % np.size(values)])))


def _root(modality: str, series: str) -> Dataset:
    ds = _item(
        SpecificCharacterSet="ISO_IR 100",
        SOPClassUID=SOP_CLASS[modality],
        ImageType=FRAME_TYPE[modality],
        Modality=modality,
        AcquisitionDateTime="20200102101112",
        Manufacturer="ACME", ManufacturerModelName="Scanner 3", SoftwareVersions="v1",
        DeviceSerialNumber="SN-42", StationName="ROOM2",
        AccessionNumber="", ReferringPhysicianName="", StudyID="", PositionReferenceIndicator="",
        PatientName=PATIENT, PatientID="PID4711", PatientBirthDate="", PatientSex="O",
        PatientPosition="HFS",
        StudyInstanceUID=uid("study"), SeriesInstanceUID=uid("series", series),
        FrameOfReferenceUID=uid("frame"),
        SeriesNumber=4, AcquisitionNumber=1,
        SeriesDescription=f"Chest {PATIENT.split('^')[0]} 3 mm",
        ContentQualification="PRODUCT", PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE", PresentationLUTShape="IDENTITY",
        BurnedInAnnotation="NO", LossyImageCompression="00", SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2", AcquisitionContextSequence=[], AcquisitionDuration=1.5,
    )  # fmt: skip
    for keyword in ("Study", "Series", "Content"):
        setattr(ds, f"{keyword}Date", "20200102")
        setattr(ds, f"{keyword}Time", "101112")
    if modality == "MR":
        ds.update(
            _item(
                ComplexImageComponent="MAGNITUDE", AcquisitionContrast="T1", MagneticFieldStrength=3,
                KSpaceFiltering="NONE", ResonantNucleus="1H", ApplicableSafetyStandardAgency="IEC",
                PulseSequenceName="SE", MRAcquisitionType="2D", EchoPulseSequence="SPIN",
                MultipleSpinEcho="NO", MultiPlanarExcitation="NO", SteadyStatePulseSequence="NONE",
                EchoPlanarPulseSequence="NO", SaturationRecovery="NO", SpectrallySelectedSuppression="NONE",
                OversamplingPhase="NONE", GeometryOfKSpaceTraversal="RECTILINEAR",
                RectilinearPhaseEncodeReordering="LINEAR", SegmentedKSpaceTraversal="SINGLE",
                NumberOfKSpaceTrajectories=1, PhaseContrast="NO",
                TimeOfFlightContrast="NO", CardiacSynchronizationTechnique="NONE",
                RespiratoryMotionCompensationTechnique="NONE", BulkMotionCompensationTechnique="NONE",
                IsocenterPosition=[0.0, 0.0, 0.0],
            )
        )  # fmt: skip
    return ds


def _shared(modality: str) -> Dataset:
    region = _item(CodeValue="51185008", CodingSchemeDesignator="SCT", CodeMeaning="Chest")
    group = _item(
        FrameAnatomySequence=[_item(FrameLaterality="U", AnatomicRegionSequence=[region])],
    )
    if modality == "PT":
        return group
    if modality == "CT":
        group.IrradiationEventIdentificationSequence = [_item(IrradiationEventUID=uid("event"))]
        group.CTAcquisitionTypeSequence = [
            _item(AcquisitionType="SEQUENCED", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")
        ]
        group.CTAcquisitionDetailsSequence = [
            _item(
                RotationDirection="CW", RevolutionTime=0.5, SingleCollimationWidth=0.6,
                TotalCollimationWidth=19.2,
                TableHeight=100.0, GantryDetectorTilt=0.0, DataCollectionDiameter=500.0,
            )
        ]  # fmt: skip
        group.CTTableDynamicsSequence = [_item(TableSpeed=1.0)]
        group.CTReconstructionSequence = [
            _item(
                ReconstructionAlgorithm="FILTER_BACK_PROJ", ConvolutionKernel="B30",
                ConvolutionKernelGroup="SOFT_TISSUE", ReconstructionDiameter=400.0,
                ReconstructionPixelSpacing=[0.7, 0.8], ReconstructionAngle=360.0, ImageFilter="NONE",
            )
        ]  # fmt: skip
        group.CTExposureSequence = [
            _item(ExposureTimeInms=500.0, XRayTubeCurrentInmA=200.0, ExposureInmAs=100.0,
                  ExposureModulationType="NONE")
        ]  # fmt: skip
        group.CTXRayDetailsSequence = [
            _item(KVP=120, FocalSpots=[1.2], FilterType="FLAT", FilterMaterial="ALUMINUM",
                  CalciumScoringMassFactorPatient=1.0,
                  EnergyWeightingFactor=1.0)
        ]  # fmt: skip
        group.CTGeometrySequence = [
            _item(DistanceSourceToDetector=1000.0, DistanceSourceToDataCollectionCenter=500.0)
        ]
    else:
        group.MRTimingAndRelatedParametersSequence = [
            _item(RepetitionTime=500.0, FlipAngle=90.0, EchoTrainLength=1, RFEchoTrainLength=1,
                  GradientEchoTrainLength=0,
                  SpecificAbsorptionRateSequence=[
                      _item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY",
                            SpecificAbsorptionRateValue=0.1)
                  ],
                  OperatingModeSequence=[
                      _item(OperatingModeType="STATIC FIELD", OperatingMode="IEC_NORMAL")
                  ],
                  GradientOutputType="DB_DT", GradientOutput=50.0)
        ]  # fmt: skip
        group.MRFOVGeometrySequence = [
            _item(InPlanePhaseEncodingDirection="ROW", MRAcquisitionFrequencyEncodingSteps=8,
                  MRAcquisitionPhaseEncodingStepsInPlane=6, PercentSampling=100, PercentPhaseFieldOfView=100)
        ]  # fmt: skip
        group.MRModifierSequence = [
            _item(InversionRecovery="NO", FlowCompensation="NONE", Spoiling="NONE", T2Preparation="NO",
                  SpectrallySelectedExcitation="NONE", SpatialPresaturation="NONE", PartialFourier="NO",
                  ParallelAcquisition="NO")
        ]  # fmt: skip
        group.MRImagingModifierSequence = [
            _item(MagnetizationTransfer="NONE", BloodSignalNulling="NO", Tagging="NONE",
                  TransmitterFrequency=123.0, PixelBandwidth=200)
        ]  # fmt: skip
        group.MRReceiveCoilSequence = [
            _item(ReceiveCoilName="BODY", ReceiveCoilManufacturerName="", ReceiveCoilType="BODY",
                  QuadratureReceiveCoil="YES")
        ]  # fmt: skip
        group.MRTransmitCoilSequence = [
            _item(TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY")
        ]
        group.MRAveragesSequence = [_item(NumberOfAverages=1)]
    return group


def _frame(modality: str, k: int, place: np.ndarray) -> Dataset:
    kind = _item(
        FrameType=FRAME_TYPE[modality], PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )  # fmt: skip
    time = f"20200102{10 + k // 3600:02d}{k // 60 % 60:02d}{k % 60:02d}"
    group = _item(
        FrameContentSequence=[
            _item(
                FrameAcquisitionNumber=1, FrameReferenceDateTime=time, FrameAcquisitionDateTime=time,
                FrameAcquisitionDuration=500.0,
            )
        ],
        PlanePositionSequence=[
            _item(ImagePositionPatient=[pydicom.valuerep.format_number_as_ds(float(v)) for v in place])
        ],
        FrameVOILUTSequence=[_item(WindowCenter=40, WindowWidth=400)],
    )  # fmt: skip
    if modality == "PT":
        group.PETFrameTypeSequence = [kind]
    elif modality == "CT":
        group.CTImageFrameTypeSequence = [kind]
        group.CTPositionSequence = [
            _item(TablePosition=0.0, DataCollectionCenterPatient=[0.0, 0.0, 0.0],
                  ReconstructionTargetCenterPatient=[0.0, 0.0, 0.0])
        ]  # fmt: skip
    else:
        kind.ComplexImageComponent, kind.AcquisitionContrast = "MAGNITUDE", "T1"
        group.MRImageFrameTypeSequence = [kind]
        group.MREchoSequence = [_item(EffectiveEchoTime=10.0)]
    return group


def _dimensions(
    ds: Dataset, frames: list[Dataset], depths: Sequence[float], volumes: dict[str, Sequence[Any]]
) -> None:
    """Dimension organisation (C.7.6.17): stack, position in it, then the dimensions of `volumes`."""
    ds.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=uid("dimensions"))]
    pointers = [("StackID", "FrameContentSequence"), ("InStackPositionNumber", "FrameContentSequence")]
    pointers += [DIMENSIONS[name] for name in volumes]
    tag = pydicom.tag.Tag
    ds.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=uid("dimensions"), DimensionIndexPointer=tag(k),
            FunctionalGroupPointer=tag(g),
        )
        for k, g in pointers
    ]  # fmt: skip
    ranks = {depth: n for n, depth in enumerate(sorted(set(depths)), start=1)}
    for k, group in enumerate(frames):
        content = group.FrameContentSequence[0]
        content.StackID, content.InStackPositionNumber = "1", ranks[depths[k]]
        indices = [1, ranks[depths[k]]]
        for name, values in volumes.items():
            keyword, sequence = DIMENSIONS[name]
            item = (group.get(sequence) or [Dataset()])[0]
            setattr(item, keyword, values[k])
            setattr(group, sequence, [item])
            if name == "b_value":
                item.DiffusionDirectionality = "NONE" if values[k] == 0 else "ISOTROPIC"
            indices.append(sorted(set(values)).index(values[k]) + 1)
        content.DimensionIndexValues = indices
