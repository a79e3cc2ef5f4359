"""What browsers need, and what is needed against them: sessions, headers, the defence against other sites' pages."""
