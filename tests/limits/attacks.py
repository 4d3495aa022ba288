"""Texts that would take an implementation without limits down, and the code that each must end in."""

from __future__ import annotations

from tests.reading import sound


def lets(n: int, each: str, first: str = "1") -> str:
    """`let a0 = first`, then `n` definitions, each from the one before (`P`)."""
    return f"let a0 = {first}\n" + "".join(f"let a{i} = {each.replace('P', f'a{i - 1}')}\n" for i in range(1, n))


def backwards(n: int, each: str) -> str:
    return "".join(f"let a{i} = {each.replace('N', f'a{i + 1}')}\n" for i in range(n)) + f"let a{n} = 1\n"


ATTACKS = {
    "nested doubling lists": (lets(60, "[P, P]"), "E043"),
    "repeated squaring": (lets(30, "P * P", "3"), "E020"),
    "a sum of 5,000 terms": ("let a = " + " + ".join(["1"] * 5000) + "\n", "E044"),
    "3,000 chained definitions": (lets(3000, "P + 1"), "E042"),
    "2,000 parentheses": ("let a = " + "(" * 2000 + "1" + ")" * 2000 + "\n", "E044"),
    "doubling strings": (lets(60, '"${P}${P}"', '"xxxxxxxxxxxxxxxx"'), "E043"),
    "doubling calls": (lets(60, "magnitude(P, P)"), "E043"),
    "doubling changes": (lets(60, "P -> P"), "E043"),
    "doubling ranges": (lets(60, "P..P"), "E043"),
    "doubling selectors": (lets(60, "P & P", "@linear"), "E043"),
    "selectors inside each other": (lets(60, "!(!(!(!(P | @query) & @key) | @value) & @out)", "@ffn"), "E044"),
    "lists inside each other": (lets(60, "[[[[P]]]]"), "E044"),
    "lists inside each other, backwards": (backwards(60, "[" * 50 + "N" + "]" * 50), "E044"),
    "chained definitions, backwards": (backwards(1500, "N + 1"), "E044"),
    "one string of many long ones": (
        'let a = "' + "x" * 20_000 + '"\nlet b = "' + "${a}" * 10 + '"\nlet c = "' + "${b}" * 5000 + '"\n',
        "E043",
    ),
    "one string of many lists": ("let a = [" + "1," * 3000 + "]\n" + 'let b = "' + "${a}" * 9000 + '"\n', "E043"),
    "a tower of not": ("let a = " + "not " * 250 + "true\n", "E044"),
    "a tower of minus": ("let a = " + "-" * 3000 + "1\n", "E044"),
    "2,000 open blocks": ("a {\n" * 2000, "E044"),
    "more than 20,000 tokens": ("let a = [" + "1," * 15_000 + "]\n", "E042"),
    "more than 2,000 statements": ("".join(f"let a{i} = 1\n" for i in range(2100)), "E042"),
    "more than 2,000 statements in a block": ("meta {\n" + "".join(f"a{i} = 1\n" for i in range(2100)) + "}\n", "E042"),
    "more than 64 KiB": ("# comment\n" * 7000, "E042"),
    "powers of ten": (lets(20, "P * 1e60", "1e60"), "E020"),
    "lengths beyond bounds": (lets(20, "P * 1e60", "1 epoch"), "E020"),
    "sizes beyond bounds": ("let a = 1e60 GiB * 1e60\n", "E020"),
    "a huge exponent": ("let a = 1e999999999\n", "E020"),
    "a number of 60,000 digits": ("let a = " + "9" * 60_000 + "\n", "E020"),
    "a pattern of 60,000 digits": ("let a = " + "9" * 30_000 + ":" + "9" * 30_000 + "\n", "E020"),
    "divisions without end": (lets(60, "P / 7919", "1"), "E020"),
    "conditions inside each other": ("let a = " + "if true then 1 else " * 300 + "1\n", "E044"),
    "conditions in parentheses": ("let a = " + "if true then (" * 70 + "1" + ") else 2" * 70 + "\n", "E044"),
    "2,000 open lists": ("let a = " + "[" * 2000 + "\n", "E044"),
    "a call in a call": ("let a = " + "f(" * 200 + "1" + ")" * 200 + "\n", "E044"),
    "a chain of comparisons by and": ("let a = " + " and ".join(["1 < 2"] * 200) + "\n", "E044"),
    "a long regular expression": ('let a = re"' + "(a|b)*" * 1000 + '"\n', "E049"),
    "a regular expression that grows": ('let a = re"((((a{1,100}){1,100}){1,100}){1,100})"\n', "E049"),
    "a regular expression that looks back": ('let a = re"(a+)+\\1"\n', "E049"),
    "a glob of many numbers": ('let a = @linear & "{0..999999}"\n', "E049"),
    "a glob of many stars": ('let a = @linear & "' + "*a" * 5000 + '"\n', "E049"),
    "long selectors in a string": (lets(40, "P | P", "@linear") + 'let b = "${a39}"\n', "E043"),
}

#: one token, or a part of one, over and over: as much as a file may hold
PIECES = [
    *("(", "[", "{", ")", "]", "}", "a ", "a.", "1 ", "1:2 ", "1%", "@a ", "..", "->", "±", "+/-", "- ", "! ", "= "),
    *(", ", ": ", '"', '""', '"""', "\\", 're"', '"${', '"${a}"', "#", "# x\n", "##\n", "\n", "\r\n", "\r", "\t", " "),
    *("a = 1\n", "a {\n", "a { }\n", "let a = a\n", "param a: a\n", "if ", "not ", "x per ", "stage a { ", "recipe 1 "),
    *(
        "\x00",
        "\u202e",
        "\ufeff",
        "é",
        "\U0001f600",
        "%",
        ";",
        "'",
        "let a = (\n",
        "a b c\n",
        "1 2\n",
        "use ",
        "a[1,\n",
    ),
]


def filled(piece: str) -> str:
    text = 'recipe 1 "x"\n'
    return text + piece * ((65_536 - len(text)) // len(piece.encode()))


def attack(name: str) -> tuple[str, str]:
    text, code = ATTACKS[name]
    return sound(add=text), code
