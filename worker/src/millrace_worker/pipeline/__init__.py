"""Make a model and put it before its users: preprocess, train, evaluate, publish, as a canvas of Celery."""
