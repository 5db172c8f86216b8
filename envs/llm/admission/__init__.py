"""When a request may be sent: room under the limits, a slot, and the pace that the endpoint takes."""
