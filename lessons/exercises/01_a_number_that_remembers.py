"""Exercise 01: the rules of a division, and the walk back.

Write the two functions, and run this file: it grades them, and gives a hint where one is wrong.
"""

import math


def divide_rules(g, x, y):
    """The derivatives of the end with respect to x and y, a pair; g is that with respect to x / y.

    All are plain numbers.
    """
    raise NotImplementedError


def backward(end):
    """Set `grad` of the number `end` to 1, and add to the `grad` of each number in its history.

    A number has `grad` (0.0 so far), `serial` (newer numbers have larger ones) and `parents`, a
    list of pairs: a number, and the rule that turns this one's `grad` into what the parent gets.
    """
    raise NotImplementedError


class Number:
    """What `backward` gets: the number of lesson 01, with no more than it needs."""

    made = 0

    def __init__(self, value, parents=()):
        self.value, self.parents, self.grad = value, list(parents), 0.0
        self.serial, Number.made = Number.made, Number.made + 1

    def __add__(self, other):
        return Number(self.value + other.value, [(self, lambda g: g), (other, lambda g: g)])

    def __mul__(self, other):
        return Number(self.value * other.value, [(self, lambda g: g * other.value),
                                                 (other, lambda g: g * self.value)])


def checks(answer):
    """(what is checked, whether it holds, a hint where it does not)."""
    pair = answer.divide_rules(1.0, 6.0, 2.0)
    yield ("divide_rules gives a pair", isinstance(pair, tuple) and len(pair) == 2,
           "return two numbers, with a comma between them: first for x, then for y")
    yield ("x / y grows with x as 1 / y", math.isclose(pair[0], 0.5),
           "keep y fixed: x / y is then x times a constant. Which one?")
    yield ("x / y shrinks as y grows, by x / y^2", math.isclose(pair[1], -1.5),
           "keep x fixed, and differentiate x times y^(-1): mind its sign and its power")
    pair = answer.divide_rules(10.0, 6.0, 4.0)
    yield ("both multiply by g, and y = 4 is squared",
           math.isclose(pair[0], 2.5) and math.isclose(pair[1], -3.75),
           "the chain rule: what lies between the end and x / y comes in as a factor; and y^2 is "
           "y * y, which is 2 y for y = 2 alone")

    x, y = Number(3.0), Number(4.0)
    end = x * y
    answer.backward(end)
    yield ("backward differentiates one product", (x.grad, y.grad, end.grad) == (4.0, 3.0, 1.0),
           "start with end.grad = 1.0, then go through end.parents and call each rule on end.grad")
    x = Number(3.0)
    answer.backward(x * x)
    yield ("a number that is used twice gets both contributions", x.grad == 6.0,
           "contributions add up: what a parent has so far must not be lost")
    x = Number(2.0)
    a = x * x
    b = a * x
    answer.backward(a + b)
    yield ("each number waits until all that was made from it had its turn",
           (a.grad, x.grad) == (3.0, 16.0),
           "go through the whole history in the order of `serial`, the newest first, each once")
    x = end = Number(1.0)
    for _ in range(5000):
        end = end + x
    try:
        answer.backward(end)
    except RecursionError:                        # Python's limit, which a loop does not have
        x.grad = 0.0
    yield ("a long chain does not meet Python's limit", x.grad == 5001.0,
           "collect the history with a loop and a list of what is still to do, not by recursion")


if __name__ == "__main__":
    from tinygen.lessons import grade

    grade(checks)
