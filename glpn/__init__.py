"""GLPN monocular depth estimation: photo in, metres out."""
