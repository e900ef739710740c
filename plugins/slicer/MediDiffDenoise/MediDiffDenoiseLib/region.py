"""Region: a ROI of the scene as voxel bounds."""
