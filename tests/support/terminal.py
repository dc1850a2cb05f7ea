"""What a person at a terminal sees."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios


def on_a_terminal(width, *arguments, answer=None):
    """What a terminal of this width shows, line by line, without colors; questions get the answer."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "fpnkit.runs", *map(str, arguments)]
    settings = termios.tcgetattr(theirs)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, settings)
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment | {"TERM": "xterm-256color"})
    os.close(theirs)
    if answer is not None:
        os.write(ours, answer.encode())
    output = b""
    while chunk := _read(ours):
        output += chunk
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", output.decode()).splitlines()


def _read(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other side is closed
        return b""
