"""The demo page; the only part of the project that imports gradio. `page.build_demo` makes it, app.py runs it."""
