"""Physical Electronics (ULVAC-PHI): raw event streams and SIMS-H5 archives."""
