"""What scripts of each era see: stand-ins for the modules and objects of that time."""
