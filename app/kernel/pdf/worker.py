"""The process that lays out one document: started by `kernel.pdf.render` as a script, without the application.

It reads an order (JSON) from standard input and writes the PDF to standard output. Memory and processor time are
limited before anything is read. The folder it works in, all that a template could read, holds the fonts only.
"""

from __future__ import annotations

import json
import resource
import sys


def main() -> None:
    """Lay out what standard input orders; ends with status 1 and a reason on standard error if that fails."""
    memory, seconds = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import typst

    order = json.load(sys.stdin.buffer)
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[order["fonts"]])
    try:
        pdf = typst.compile(
            order["template"].encode(),
            font_paths=fonts,
            ignore_system_fonts=True,
            format="pdf",
            sys_inputs={"data": order["data"]},
            timestamp=order["timestamp"],
        )
    except typst.TypstError as error:
        sys.exit(f"{error.message} {error.diagnostic}"[:2_000])
    sys.stdout.buffer.write(pdf)


if __name__ == "__main__":
    main()
