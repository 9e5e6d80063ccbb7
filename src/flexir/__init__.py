from .capture import capture
from .interpreter import replay
