"""Arrays of counts in TIFF, HDF5 and zarr, with axes and names of peaks."""
