"""Dilated LSTM blocks with shortcuts between them (Chang et al. 2017, Smyl 2020)."""

from torch import Tensor

from forecast.models.shared.dilated import DilatedStack, DilationParams
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import StepDecoder, input_size, inputs
from forecast.windows.windows import Batch


class Network(RecurrentModel):
    """A stack of dilated LSTMs, whose last state a direct multi-horizon head decodes."""

    Params = DilationParams

    def __init__(self, params: DilationParams, shape: Shape) -> None:
        super().__init__(params, shape)
        self.encoder = DilatedStack(input_size(self.shape), self.shape, params)
        self.decoder = StepDecoder(params.hidden_size, self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        state = self.encoder(inputs(batch))
        return self.decoder(state, batch.future_covariates)  # type: ignore[no-any-return]
