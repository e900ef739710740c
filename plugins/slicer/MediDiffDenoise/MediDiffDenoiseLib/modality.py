"""Modality: what the scene knows of it, for the NRRD file that the worker gets cannot tell. Needs slicer.

A volume from the DICOM database has it in the subject hierarchy, and CT has Hounsfield units; else medidiff
goes by the values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import slicer

from .command import Settings

UNKNOWN = "PT", "US", "NM", "XA", "RF", "DX", "CR", "MG", "OPT"
"""DICOM modalities for which there is no model."""


def with_modality(settings: Settings, volume: Any) -> Settings:
    """The settings with the modality that the scene tells, where it was left to be found.

    Args:
        settings: as the user gave them.
        volume: the input.

    Raises:
        ValueError: a modality without a model.
    """
    if settings.modality != "auto":
        return settings
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume.GetScene())
    item = hierarchy.GetItemByDataNode(volume) if hierarchy is not None else 0
    found = hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
    units = volume.GetVoxelValueUnits()
    if not found and units is not None and units.GetCodeValue() == "[hnsf'U]":
        found = "CT"
    if found in UNKNOWN:
        raise ValueError(
            f"'{volume.GetName()}' is {found}, for which there is no model. To try one all the same, "
            "choose CT or MR as the modality."
        )
    return replace(settings, modality=found) if found in ("CT", "MR") else settings
