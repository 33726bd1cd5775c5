"""Eight small, strict APIs in the usual styles. Each has its own rules, limits and counters.

python -m source_api.shapes graphql --port 8001 --items 200

shape = SHAPES["graphql"](ShapeOptions(items=200))   # in a test: shape.app, shape.counters, shape.change(...)
"""

from source_api.shapes.children import ChildrenShape
from source_api.shapes.export import ExportShape
from source_api.shapes.graphql import GraphqlShape
from source_api.shapes.last_id import LastIdShape
from source_api.shapes.link_header import LinkHeaderShape
from source_api.shapes.oauth import OauthShape
from source_api.shapes.options import ShapeOptions
from source_api.shapes.plain import PlainShape
from source_api.shapes.search import SearchShape
from source_api.shapes.shape import TOKEN, Shape

SHAPES: dict[str, type[Shape]] = {
    shape.name: shape
    for shape in (
        LinkHeaderShape,
        GraphqlShape,
        LastIdShape,
        SearchShape,
        ExportShape,
        OauthShape,
        ChildrenShape,
        PlainShape,
    )
}

__all__ = ["SHAPES", "TOKEN", "Shape", "ShapeOptions"]
