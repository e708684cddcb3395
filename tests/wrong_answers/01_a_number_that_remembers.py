"""Typical wrong answers to exercise 01, each with words of the hint that it must get."""


def sign_forgotten(g, x, y):
    return g / y, g * x / y ** 2


def without_g(g, x, y):
    return 1 / y, -x / y ** 2


def twice_y(g, x, y):
    return g / y, -g * x / (2 * y)


def one_number(g, x, y):
    return g / y


def overwriting(end):
    end.grad = 1.0
    todo = [end]
    while todo:
        number = todo.pop(0)
        for parent, rule in number.parents:
            parent.grad = rule(number.grad)
            todo.append(parent)


def in_the_wrong_order(end):
    """Depth first: it hands on a derivative before it is complete."""
    end.grad = 1.0
    seen, todo = set(), [end]
    while todo:
        number = todo.pop()
        if number.serial in seen:
            continue
        seen.add(number.serial)
        for parent, rule in number.parents:
            parent.grad += rule(number.grad)
            todo.insert(0, parent)


def by_recursion(end):
    end.grad = 1.0
    seen = {}

    def collect(number):
        if number.serial not in seen:
            seen[number.serial] = number
            for parent, _ in number.parents:
                collect(parent)

    collect(end)
    for serial in sorted(seen, reverse=True):
        for parent, rule in seen[serial].parents:
            parent.grad += rule(seen[serial].grad)


WRONG = [
    ({"divide_rules": sign_forgotten}, "mind its sign"),
    ({"divide_rules": without_g}, "comes in as a factor"),
    ({"divide_rules": twice_y}, "for y = 2 alone"),
    ({"divide_rules": one_number}, "return two numbers"),
    ({"backward": overwriting}, "contributions add up"),
    ({"backward": in_the_wrong_order}, "newest first"),
    ({"backward": by_recursion}, "not by recursion"),
]
