"""The page that people label answers on, and the file of what they said."""
