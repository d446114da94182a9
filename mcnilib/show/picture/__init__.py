"""The finished drawing, and what paints it: SVG, PNG and PDF."""
