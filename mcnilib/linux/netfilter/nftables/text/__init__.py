"""Rulesets as nft prints them, as text and as JSON, and back."""
