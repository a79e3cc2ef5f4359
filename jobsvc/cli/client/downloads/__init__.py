"""Downloads: results, exports and rows left over, that go on where they broke off."""
