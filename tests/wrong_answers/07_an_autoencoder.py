"""Typical wrong answers to exercise 07, each with words of the hint that it must get."""

import numpy as np


def two_ways(x, w):
    """The parts of the decoder and of the encoder."""
    codes = x @ w.T
    g = (1 / (1 + np.exp(-codes @ w)) - x) / len(x)
    return codes.T @ g, (g @ w.T).T @ x


def turned(x, w):
    return sum(two_ways(x, w)).T[None]


def decoder_only(x, w):
    return two_ways(x, w)[0]


def encoder_only(x, w):
    return two_ways(x, w)[1]


def sign_turned(x, w):
    return -sum(two_ways(x, w))


def of_the_sum(x, w):
    return sum(two_ways(x, w)) * len(x)


def twice_the_decoder(x, w):
    return 2 * two_ways(x, w)[0]


def in_place(encoder, decoder, a, c):
    (w, b), (v, d) = encoder, decoder
    b += c
    return (a @ w, a @ b), (v @ np.linalg.inv(a), d)


def old_bias_kept(encoder, decoder, a, c):
    (w, b), (v, d) = encoder, decoder
    v = v @ np.linalg.inv(a)
    return (a @ w, b + c), (v, d - v @ c)


def a_turned(encoder, decoder, a, c):
    (w, b), (v, d) = encoder, decoder
    v = v @ np.linalg.inv(a.T)
    return (a.T @ w, a.T @ b + c), (v, d - v @ c)


def decoder_left(encoder, decoder, a, c):
    (w, b), _ = encoder, decoder
    return (a @ w, a @ b + c), decoder


def shift_left_over(encoder, decoder, a, c):
    (w, b), (v, d) = encoder, decoder
    return (a @ w, a @ b + c), (v @ np.linalg.inv(a), d)


def multiplied_on_both_sides(encoder, decoder, a, c):
    (w, b), (v, d) = encoder, decoder
    return (a @ w, a @ b + c), (v @ a, d - v @ a @ c)


def weights_turned(encoder, decoder, a, c):
    (w, b), (v, d) = encoder, decoder
    return ((a @ w).T, a @ b + c), (v @ np.linalg.inv(a), d - v @ np.linalg.inv(a) @ c)


WRONG = [
    ({"tied_gradient": turned}, "the shape of w"),
    ({"tied_gradient": decoder_only}, "w is used twice"),
    ({"tied_gradient": encoder_only}, "w is used twice"),
    ({"tied_gradient": sign_turned}, "by a logit is p - x"),
    ({"tied_gradient": of_the_sum}, "the mean over N"),
    ({"tied_gradient": twice_the_decoder}, "the decoder contributes"),
    ({"move_codes": in_place}, "the caller's arrays"),
    ({"move_codes": weights_turned}, "first the encoder's, (K, H)"),
    ({"move_codes": old_bias_kept}, "the old bias"),
    ({"move_codes": a_turned}, "(a W) h"),
    ({"move_codes": decoder_left}, "what is left over"),
    ({"move_codes": shift_left_over}, "what is left over"),
    ({"move_codes": multiplied_on_both_sides}, "what multiplies `moved`"),
]
