"""What is shown as HTML beside the picture: tables, state, differences."""
