"""The learner's edition: each page of the book as a plain notebook, made from the build of the site."""
