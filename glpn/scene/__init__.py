"""From a depth prediction to what one looks at and takes away: geometry, figures, files."""
