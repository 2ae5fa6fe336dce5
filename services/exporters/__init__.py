"""Figures of what tells none itself: consumers' lag, backups, ClamAV."""
