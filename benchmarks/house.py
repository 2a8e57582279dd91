"""What the house is like: circles among modules, arrows against the order of rooms, and the size of functions.

python -m benchmarks.house
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "glpn"
MAX_LINES = 60


def modules() -> dict[str, Path]:
    """Return every module of glpn by its full name, but glpn itself, from which others take the version."""
    named = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: path for name, path in named.items() if name != "glpn"}


def imports() -> dict[str, set[str]]:
    """Return which modules each one imports, statements inside functions included."""
    known = modules()
    return {name: _imported(name, path, known) - {name} for name, path in known.items()}


def _imported(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            inside = {f"{source}.{alias.name}" for alias in node.names}
            found |= {module if module in known else source for module in inside}
    return found & known.keys()


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle, or nothing."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def functions() -> Iterator[tuple[str, int]]:
    """Yield (file:line name, lines) of every function, decorators apart, docstring included."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                where = f"{path.relative_to(PACKAGE).as_posix()}:{node.lineno} {node.name}"
                yield where, node.end_lineno - node.lineno + 1


def main() -> None:
    arrows = imports()
    sizes = sorted(functions(), key=lambda one: one[1], reverse=True)
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py"))
    print(f"modules              {len(arrows)}")
    print(f"import statements    {sum(map(len, arrows.values()))}")
    print(f"circles              {' -> '.join(circle(arrows)) or 0}")
    print(f"longest function     {sizes[0][1]} lines, {sizes[0][0]}")
    print(f"over {MAX_LINES} lines        {sum(size > MAX_LINES for _, size in sizes)} of {len(sizes)} functions")
    print(f"lines of Python      {lines}")


if __name__ == "__main__":
    main()
