"""The notebook's face: IPython and widgets are imported here and nowhere else."""
