"""The network: GLPN as in the paper, its processor, loading and saving, and the fast form the estimator runs."""
