"""Protobuf messages built at import from a schema in text.

They live in descriptor pools of their own: they need neither TensorBoard nor TensorFlow, clash with neither, and work with every
protobuf runtime from 4.21 on (generated code would be tied to one). Fields that a schema does not name pass through untouched.
Enumerations are int32 and maps are repeated entries, which is the same on the wire.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["Messages"]

_FIELD = re.compile(
    r"(?:(?P<oneof>\w+): )?(?P<repeated>repeated )?(?P<type>\w+) (?P<name>\w+) = (?P<number>\d+)"
)


class Messages:
    """The message classes of one schema, by name: `messages["Event"]`.

    A schema has a line `message NAME` for each message and below it a line for each field, `TYPE NAME = NUMBER`, which may
    begin with `repeated`, or with `ONEOF:` for the oneof that it belongs to. A type in capitals is a message of the schema.
    """

    def __init__(self, package: str, schema: str) -> None:
        self._package = package
        self._pool = descriptor_pool.DescriptorPool()
        self._pool.AddSerializedFile(_file_descriptor(package, schema).SerializeToString())

    def __getitem__(self, name: str) -> Any:
        descriptor = self._pool.FindMessageTypeByName(f"{self._package}.{name}")
        if hasattr(message_factory, "GetMessageClass"):
            return message_factory.GetMessageClass(descriptor)
        factory: Any = message_factory.MessageFactory(self._pool)
        return factory.GetPrototype(descriptor)  # protobuf 4.21


def _file_descriptor(package: str, schema: str) -> descriptor_pb2.FileDescriptorProto:
    name = package.replace(".", "/") + ".proto"
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
    for line in filter(None, map(str.strip, schema.splitlines())):
        if line.startswith("message "):
            message = file.message_type.add(name=line.removeprefix("message "))
            continue
        match = _FIELD.fullmatch(line)
        assert match, line
        field = message.field.add(name=match["name"], number=int(match["number"]))
        field.label = field.LABEL_REPEATED if match["repeated"] else field.LABEL_OPTIONAL
        if match["type"][0].isupper():
            field.type = field.TYPE_MESSAGE
            field.type_name = f".{package}.{match['type']}"
        else:
            field.type = getattr(field, "TYPE_" + match["type"].upper())
        if oneof := match["oneof"]:
            names = [declared.name for declared in message.oneof_decl]
            if oneof not in names:
                message.oneof_decl.add(name=oneof)
                names.append(oneof)
            field.oneof_index = names.index(oneof)
    return file
