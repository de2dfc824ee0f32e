"""Widgets: the inspector, its threads and its face in the browser (`js/`, `inspector.css`)."""
