"""Of all tests: an interrupt reaches the commands they start."""

import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell's background job ignores interrupts, and whatever it starts inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
