"""Answers to exercise 01."""


def divide_rules(g, x, y):
    """x / y is x times 1 / y; and y^(-1) has the derivative -y^(-2)."""
    return g / y, -g * x / y ** 2


def backward(end):
    """First collect the history, then walk it from the newest number to the oldest."""
    seen, todo = {}, [end]
    while todo:
        number = todo.pop()
        if number.serial not in seen:
            seen[number.serial] = number
            todo += [parent for parent, _ in number.parents]
    end.grad = 1.0
    for serial in sorted(seen, reverse=True):
        for parent, rule in seen[serial].parents:
            parent.grad += rule(seen[serial].grad)
