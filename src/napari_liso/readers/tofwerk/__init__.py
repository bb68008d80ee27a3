"""Tofwerk: HDF5 files of FIB-SIMS instruments (TESCAN, Thermo Fisher)."""
