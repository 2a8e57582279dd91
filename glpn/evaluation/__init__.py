"""How far a prediction is from ground truth: metrics, scores over data sets, corrupted photos."""
