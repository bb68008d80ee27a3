"""What follows from a fit: resistances, networks of boundaries, activation energies."""
