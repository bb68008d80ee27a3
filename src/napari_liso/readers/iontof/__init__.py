"""ION-TOF: SurfaceLab's block tree, raw events, text exports and BIF images."""
