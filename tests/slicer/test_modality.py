"""What the scene knows of a modality is told, unless the user has said otherwise."""

from __future__ import annotations

import pytest
import scenes

slicer = scenes.slicer_core()
from MediDiffDenoiseLib.command import Settings  # noqa: E402
from MediDiffDenoiseLib.modality import with_modality  # noqa: E402


def test_the_scene_tells_the_modality() -> None:
    scene = scenes.new_scene()
    node = scenes.add(scene, scenes.body())

    def asked(modality: str = "auto") -> str:
        return with_modality(Settings(modality=modality), node).modality

    assert asked() == "auto"
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    node.SetVoxelValueUnits(units)
    assert asked() == "CT"
    scenes.tell_modality(scene, node, "MR")
    assert asked() == "MR"
    assert asked("CT") == "CT"
    scenes.tell_modality(scene, node, "PT")
    with pytest.raises(ValueError, match="'CT chest' is PT, for which there is no model"):
        asked()
    assert asked("MR") == "MR"
    scenes.tell_modality(scene, node, "OT")
    assert asked() == "auto"


def test_settings_stay_otherwise_as_they_are() -> None:
    scene = scenes.new_scene()
    node = scenes.add(scene, scenes.body())
    scenes.tell_modality(scene, node, "CT")
    given = Settings(preset="quality", strength=0.5, seed=7)
    assert with_modality(given, node) == Settings(modality="CT", preset="quality", strength=0.5, seed=7)
