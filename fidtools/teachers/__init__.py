"""Teachers that read a question and a passage together: cross-encoders, and what a teacher's scores are worth."""
