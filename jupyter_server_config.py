"""What Jupyter's server does when it is started in this folder: it sends each message to the browser at once.

Else a small message waits until the browser has acknowledged the one before, 40 ms or more, and a click in a panel is
answered with several.
Source: TCP_NODELAY in tcp(7); set_nodelay() in tornado/websocket.py (Tornado 6.6).
"""

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """A kernel's connection to a browser that does not wait for acknowledgements."""

    def connect(self):
        """Connect, with Nagle's algorithm switched off."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()


get_config().ServerApp.kernel_websocket_connection_class = PromptConnection  # noqa: F821
