"""Light to pixels: PSF, rendering, noise, what stands out, and its colours."""
