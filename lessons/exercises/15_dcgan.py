"""Exercise 15: how many stamps reach a pixel, and what a classifier says of samples.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import math

import numpy as np


def stamps_on(size, kernel, stride, padding):
    """How many stamps of a transposed convolution reach each pixel along a line.

    `size` pixels each lay a stamp of `kernel` pixels on a canvas, the first at its beginning, each
    next one `stride` further on. The canvas ends with the last stamp; then `padding` pixels are
    cut off at both ends. The result is a list or an array of whole numbers, one a pixel.
    """
    raise NotImplementedError


def class_figures(probabilities):
    """(entropy, confidence) of samples; probabilities (N, classes) are a classifier's, NumPy.

    A sample counts for its likeliest class. The entropy is -sum p log p of the shares p of the
    classes (0 log 0 is 0), divided by its largest possible value. The confidence is the mean
    probability of the likeliest class.
    """
    raise NotImplementedError


def close(found, expected):
    return (isinstance(found, tuple) and len(found) == len(expected)
            and all([math.isclose(a, b, abs_tol=1e-9) for a, b in zip(found, expected)]))


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    found = list(answer.stamps_on(1, 3, 2, 0))
    yield ("one stamp of 3 pixels", found == [1, 1, 1],
           "a single pixel lays a single stamp, and the canvas is as long as that")
    found = list(answer.stamps_on(4, 3, 2, 0))
    yield ("stamps of 3, two pixels apart", found == [1, 1, 2, 1, 2, 1, 2, 1, 1],
           "stamp number i begins at i * stride, and where two overlap both count; the canvas has "
           "(size - 1) * stride + kernel pixels")
    found = list(answer.stamps_on(5, 4, 2, 1))
    yield ("stamps of 4, with padding 1: 5 pixels become 10", found == [1] + 8 * [2] + [1],
           "padding makes a transposed convolution smaller: cut that many off at both ends, "
           "after all stamps are laid")
    found = list(answer.stamps_on(3, 2, 3, 0))
    yield ("stamps of 2, three pixels apart, leave gaps", found == [1, 1, 0, 1, 1, 0, 1, 1],
           "pixels that no stamp reaches stay in the result, with a 0")

    even = np.eye(4)[[0, 1, 2, 3, 3, 2, 1, 0]]
    found = answer.class_figures(even.copy())
    yield ("four classes in equal shares: 1 and 1", close(found, (1.0, 1.0)),
           "return a pair; the largest entropy is log(classes), that of equal shares")
    try:
        with np.errstate(all="ignore"):
            found = answer.class_figures(np.array([[0.6, 0.4, 0.0], [0.8, 0.1, 0.1]]))
    except ValueError:                            # math.log(0)
        found = None
    yield ("all samples in one class: entropy 0, confidence 0.7", close(found, (0.0, 0.7)),
           "give each sample to its likeliest class, then take the shares of the classes; leave "
           "out those with share 0, as 0 log 0 is 0; the confidence is a mean over samples")
    uneven = np.array([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(3)
    yield ("shares 3/4, 1/4 and 0", close(answer.class_figures(uneven), (entropy, 0.725)),
           "divide by the log of the number of all classes, found or not")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
