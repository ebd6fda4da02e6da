"""The figures once more for print, by matplotlib: PDF and SVG of a column's width."""
