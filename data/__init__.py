"""Makes this folder a package (`course_data`), so that what is installed has the corpora and their cards, too."""
