"""The two decoders of EDD: attention LSTMs that write a table's structure and the text of its cells."""

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from visionkit.layers.additive_attention import AttentionLSTM, RecurrentState


class TableLSTM(nn.Module):
    """An attention LSTM over tokens (Zhong et al. 2020, "Image-based table recognition", section 4).

    As structure decoder it reads the picture; as cell decoder it is also told, at the start and at every step, the
    state of the structure decoder where the cell opens, projected to half its own width. A ``SequenceDecoder`` of
    ``visionkit.types``.

    Args:
        vocabulary: number of tokens.
        channels: of the memory.
        condition: channels of what a sequence is told at its start; 0 for nothing.
        hidden: channels of the state.
        embedding: channels of a token.
        attention: channels in which state and memory are compared.
        dropout: share of the outputs that are left out in training.
    """

    def __init__(
        self,
        vocabulary: int,
        channels: int,
        condition: int = 0,
        hidden: int = 256,
        embedding: int = 16,
        attention: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.told = nn.Linear(condition, hidden // 2) if condition else None
        self.lstm = AttentionLSTM(embedding, channels, hidden, attention, hidden // 2 if condition else 0)
        self.out_channels = self.lstm.out_channels
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.out_channels, vocabulary))

    def start(
        self,
        memory: Float[Tensor, "b n c"],
        valid: Bool[Tensor, "b n"] | None = None,
        condition: Float[Tensor, "b d"] | None = None,
    ) -> RecurrentState:
        """State before the first token."""
        told = None if self.told is None or condition is None else self.told(condition)
        return self.lstm.start(memory, valid, told)

    def trace(
        self, tokens: Int64[Tensor, "b k"], state: RecurrentState, added: Float[Tensor, "b k e"] | None = None
    ) -> tuple[Float[Tensor, "b k d"], RecurrentState]:
        """As ``step``, but what the logits are computed from; ``added`` goes to the tokens' embeddings."""
        known = self.embedding(tokens)
        return self.lstm(known if added is None else known + added, state)

    def step(
        self, tokens: Int64[Tensor, "b k"], state: RecurrentState
    ) -> tuple[Float[Tensor, "b k v"], RecurrentState]:
        """Logits after each of ``k`` further tokens, and the new state."""
        outputs, state = self.trace(tokens, state)
        return self.head(outputs), state
