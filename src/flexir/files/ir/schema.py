"""The messages of ``schema.proto``, made from its compiled descriptor.

``schema.desc`` is what ``protoc --descriptor_set_out`` makes of ``schema.proto``; a test compares
them. Building the classes from it instead of shipping generated code keeps every protobuf runtime
since 4.22 usable.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
except ImportError as error:
    raise ImportError(
        "saving and loading graphs needs protobuf and safetensors: pip install 'flextorchir[ir]'"
    ) from error


def _messages() -> dict[str, Any]:
    found = descriptor_pb2.FileDescriptorSet()
    found.ParseFromString(files(__package__).joinpath("schema.desc").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in found.file:
        pool.Add(file)
    described = pool.FindFileByName("schema.proto").message_types_by_name
    return {
        name: message_factory.GetMessageClass(descriptor) for name, descriptor in described.items()
    }


def unknown_fields(message: Any) -> bytes:
    """What a message holds beyond the schema, its parts not included."""
    rest = type(message)()
    rest.CopyFrom(message)
    for field, _ in message.ListFields():
        rest.ClearField(field.name)
    data: bytes = rest.SerializeToString()
    return data


def parse_message(kind: str, data: bytes) -> tuple[Any, bool]:
    """The message of a file's bytes, and whether it holds something beyond the schema.

    Args:
        kind: of the file, a key of ``MESSAGES``.
        data: its bytes.
    """
    known = MESSAGES[kind]()
    known.ParseFromString(data)
    known.DiscardUnknownFields()
    if known.SerializeToString(deterministic=True) == data:
        return known, False
    message = MESSAGES[kind]()  # it holds more, or another writer laid it out otherwise
    message.ParseFromString(data)
    return message, bool(known.ByteSize() != message.ByteSize())


_MADE = _messages()
Graph: Any = _MADE["Graph"]
MESSAGES = {"graph": Graph, "program": _MADE["Program"]}  # by the name of the file
