"""Print what each public name imports, one JSON line per name: `python imported.py module:name ...`.

Each name is imported in a process of its own. Those processes are forks of one that has imported torch, for torch
takes seconds; names that need no torch come before the word `torch`.
"""

import json
import os
import sys
from importlib import import_module
from types import ModuleType


def main(names: list[str]) -> None:
    """Import each name in a fork; import torch here where its turn comes."""
    for name in names:
        if name == "torch":
            import_module(name)
            continue
        child = os.fork()
        if child == 0:
            print(json.dumps(imported(*name.split(":"))), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit(f"{name} cannot be imported")


def imported(module: str, name: str) -> dict[str, object]:
    """Import a name; return it with the files of ours that came with it, and the packages of others."""
    getattr(import_module(module), name)
    packages = {loaded.partition(".")[0] for loaded in sys.modules}
    return {
        "name": f"{module}:{name}",
        "files": sorted(filter(None, map(file_of, sys.modules))),
        "packages": sorted(packages),
    }


def file_of(name: str) -> str | None:
    """Return a module of ours that is neither a package nor a namespace."""
    module: ModuleType = sys.modules[name]
    path = getattr(module, "__file__", None) or ""
    return name if name.startswith("fieldmark") and path and not path.endswith("__init__.py") else None


if __name__ == "__main__":
    main(sys.argv[1:])
