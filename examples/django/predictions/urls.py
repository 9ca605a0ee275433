"""The one page."""

from django.urls import path

from predictions.views import predict

urlpatterns = [path("", predict, name="predict")]
