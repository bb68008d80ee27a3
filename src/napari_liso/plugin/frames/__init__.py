"""Which frames of a measurement its layers of counts hold."""
