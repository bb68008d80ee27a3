"""The 1-D series (brick-layer) model: grains and boundaries one behind the other."""
