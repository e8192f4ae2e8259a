"""Plots of the report page, each made from tables; the page arranges them."""
