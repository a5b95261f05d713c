"""pydantic validates, coerces and serializes through its Rust core: models, unions, dates, JSON schema, errors, generics."""
# versions: >=2
import datetime
import decimal
import enum
import importlib.metadata
import pickle
import typing
import uuid

import pydantic
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, computed_field, field_validator


def check(ok, what):
    if not ok:
        raise SystemExit("pydantic: " + what)


class Color(enum.Enum):
    RED = "red"


class Item(BaseModel):
    id: uuid.UUID
    price: decimal.Decimal = Field(gt=0)
    tags: typing.List[str] = []
    color: Color = Color.RED
    when: typing.Optional[datetime.datetime] = None
    value: typing.Union[int, str] = 0

    @field_validator("tags")
    @classmethod
    def lower(cls, tags):
        return [t.lower() for t in tags]

    @computed_field
    @property
    def double(self) -> decimal.Decimal:
        return self.price * 2


class Page(BaseModel, typing.Generic[typing.TypeVar("T")]):
    items: typing.List[Item]


check(importlib.metadata.version("pydantic") == pydantic.VERSION, "metadata and module disagree on the version")
item = Item.model_validate({"id": "12345678-1234-5678-1234-567812345678", "price": "1.50", "tags": ["A"], "when": "2024-02-29T12:00:00Z", "value": "x"})
check(item.tags == ["a"] and item.when.utcoffset() == datetime.timedelta(0) and item.double == 3 and item.value == "x", "validation")
check(Item.model_validate_json(item.model_dump_json(exclude={"double"})) == item and item.model_dump()["color"] is Color.RED, "round trip")
check(pickle.loads(pickle.dumps(item)) == item and item.model_copy(update={"value": 3}).value == 3, "pickle or copy")
try:
    Item.model_validate({"id": "x", "price": -1})
    raise SystemExit("pydantic: wrong data is accepted")
except ValidationError as e:
    check({tuple(x["loc"]) for x in e.errors()} == {("id",), ("price",)} and "uuid" in str(e), "errors")
check(Item.model_json_schema()["properties"]["id"]["format"] == "uuid" and Page(items=[item]).items[0] == item, "JSON schema")
check(TypeAdapter(typing.Dict[str, typing.List[int]]).validate_json('{"a": ["1", 2]}') == {"a": [1, 2]}, "TypeAdapter")
check(str(TypeAdapter(pydantic.AnyHttpUrl).validate_python("https://example.com:443/a")) == "https://example.com/a", "URL")
check(pydantic.create_model("Made", x=(int, 1))(x="4").x == 4, "create_model")
