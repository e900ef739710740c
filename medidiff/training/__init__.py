"""From clean scans and noise physics to trained weights (TensorFlow; extra ``train``)."""
