"""imzML, the common format of mass spectrometry imaging."""
