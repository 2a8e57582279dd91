"""What several pages share: components, texts in HTML, colors, events."""
