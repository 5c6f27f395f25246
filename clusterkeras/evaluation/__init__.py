"""A model against mocks: predictions, numbers, card, domain shifts, competitors."""
