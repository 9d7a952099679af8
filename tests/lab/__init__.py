"""The laboratory: real Cyrus servers, clients for them, and means to compare what they hold.

See README.md for the interface by example.
"""
