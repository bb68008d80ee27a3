"""All that imports napari or Qt: hooks, layers and widgets over the science."""
