"""Modality: what the scene knows of it, for the NRRD file that the worker gets cannot tell. Needs slicer.

A volume from the DICOM database has it in the subject hierarchy, and CT has Hounsfield units; else medidiff
goes by the values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import slicer

from .command import Settings

VAGUE = "OT", "SC"
"""DICOM modalities of images from anywhere: their values must tell."""


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
    if not found or found in VAGUE:
        return settings
    if found not in ("CT", "MR"):
        raise ValueError(
            f"'{volume.GetName()}' is {found}, for which there is no model. To try one all the same, "
            "choose CT or MR as the modality."
        )
    return replace(settings, modality=found)
