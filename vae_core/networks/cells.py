"""One recurrent layer over a sequence: the library's fused kernel, or step by step where the state is dropped out.

Shapes: B sequences, T steps, D inputs, H hidden units. A state is (h, c) for an LSTM, (h,) for a GRU, each (B, H).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

State = tuple[Tensor, ...]


def run_sequence(rnn: nn.LSTM | nn.GRU, inputs: Tensor, state: State | None, mask: Tensor | None = None) -> tuple[Tensor, State]:
    """Runs the layer over (B, T, D); returns the hidden states (B, T, H) and the last state.

    Args:
        state: where to start; None: zeros.
        mask: (B, H), multiplies h wherever the recurrent matrix reads it, the same at every step: variational dropout
            (Gal & Ghahramani 2016, eq. 7). The fused kernels know no such mask, so it costs a Python loop over T.
    """
    if state is None:
        zeros = inputs.new_zeros(len(inputs), rnn.hidden_size)
        state = (zeros, zeros) if isinstance(rnn, nn.LSTM) else (zeros,)
    if mask is not None:
        return _run_steps(rnn, inputs, state, mask)
    if isinstance(rnn, nn.LSTM):
        hidden, cell = state
        outputs, (hidden, cell) = rnn(inputs, (hidden.unsqueeze(0), cell.unsqueeze(0)))
        return outputs, (hidden.squeeze(0), cell.squeeze(0))
    outputs, hidden = rnn(inputs, state[0].unsqueeze(0))
    return outputs, (hidden.squeeze(0),)


def _run_steps(rnn: nn.LSTM | nn.GRU, inputs: Tensor, state: State, mask: Tensor) -> tuple[Tensor, State]:
    step = _lstm_step if isinstance(rnn, nn.LSTM) else _gru_step
    weight_input, weight_hidden, bias_input, bias_hidden = dict(rnn.named_parameters()).values()  # torch's documented order
    outputs = []
    for from_input in linear(inputs, weight_input, bias_input).unbind(1):  # the inputs of all steps in one matrix product
        state = step(from_input, linear(state[0] * mask, weight_hidden, bias_hidden), state)
        outputs.append(state[0])
    return torch.stack(outputs, 1), state


def _lstm_step(from_input: Tensor, from_hidden: Tensor, state: State) -> State:
    """c' = f c + i g, h' = o tanh(c') (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000)."""
    into, forget, new, out = (from_input + from_hidden).chunk(4, -1)
    cell = forget.sigmoid() * state[1] + into.sigmoid() * new.tanh()
    return out.sigmoid() * cell.tanh(), cell


def _gru_step(from_input: Tensor, from_hidden: Tensor, state: State) -> State:
    """h' = (1 - u) n + u h, n = tanh(x_n + r h_n) (Cho et al. 2014, in the variant of cuDNN)."""
    reset_x, update_x, new_x = from_input.chunk(3, -1)
    reset_h, update_h, new_h = from_hidden.chunk(3, -1)
    new = (new_x + (reset_x + reset_h).sigmoid() * new_h).tanh()
    return (new + (update_x + update_h).sigmoid() * (state[0] - new),)
