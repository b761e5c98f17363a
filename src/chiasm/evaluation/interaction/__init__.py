"""How two modalities share what they know of an outcome: what both know, what one knows alone, what only both tell."""
