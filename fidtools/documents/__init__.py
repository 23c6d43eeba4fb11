"""Documents as people have them: text, Markdown, HTML, PDF and DOCX files, alone or in folders."""
