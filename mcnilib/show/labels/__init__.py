"""The words in a picture: their texts, their sizes, and the places that are free for them."""
