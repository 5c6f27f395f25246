"""The population behind a catalogue: mass function, age distribution, number."""
