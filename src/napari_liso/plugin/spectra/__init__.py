"""Files of events or spectra: mass scale, windows, reading again."""
