"""The smallest Textual program: a header, a footer and one line."""

from textual.app import App, ComposeResult
from textual.widgets import Footer, Header, Static


class BareApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Header()
        yield Static("a bare program")
        yield Footer()


BareApp().run()
