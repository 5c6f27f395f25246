"""What others wrote: bytes and settings, bounded, understood or refused by name."""
