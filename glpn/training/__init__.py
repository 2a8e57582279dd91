"""Training, distillation and evaluation of GLPN, and the synthetic scenes that the embedded model is made from."""
