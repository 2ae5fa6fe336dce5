"""Upload of auxiliary files by users: resumable, checked, scanned for viruses, handed to the ingestion."""
