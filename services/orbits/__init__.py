"""Where satellites are and what is planned for them: orbit and plan files from the AUXIP, tracks, passes, memory."""
