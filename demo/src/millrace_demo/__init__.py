"""The demonstration of Millrace: train a digit classifier, predict the held-out scans."""
