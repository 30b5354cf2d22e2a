"""Prompt compression as a service: an OpenAI-compatible proxy in front of any server.

Where a client is pointed at the proxy, `X-Tamis-Rate: 0.5` among its headers, or
`"tamis": {"rate": 0.5}` in the body, has a prompt compressed on its way. All else passes as
it is: other requests, every answer, and the client's key, which the proxy neither keeps nor
shows.
"""

from tamis.prompting.serving.proxy import proxy, serve

__all__ = ["proxy", "serve"]
