#!/usr/bin/env python3
"""Makes the pages of docs/reference from the doc comments of the public headers.

    docs/reference/make.py            writes the pages, and the links to them in LINKED
    docs/reference/make.py --check    writes nothing; says what is not current, and exits with 1

A header becomes a page, a function a heading of its own on it, so that a link to it is stable:
task.md#whorl_spawn. Whatever stands in a header without a function (types, constants) is shown as
it is. The headers are written by one template (docs/README.md, Change), which this relies on.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "docs/reference"
# Pages that end in link definitions made here: [whorl_spawn]: ../reference/task.md#whorl_spawn
LINKED = [ROOT / "docs/guide/coming-from-asyncio.md"]
LINKS_BEGIN = "<!-- made by docs/reference/make.py from here on -->"

FUNCTION = re.compile(r"\b(whorl_[a-z0-9_]+)\((?!\*)")
FACTS = ("From", "Thread-safe", "Waits", "Cancellation point", "Allocates", "Order", "Model",
         "Since", "Source")
FACT = re.compile(r"(?:^|(?<=\s))(%s):\s+" % "|".join(FACTS))
TYPE = re.compile(r"(?:struct|enum) whorl_\w+(?=[ ;])|typedef \w+ \**(whorl_\w+)\(")
PARAMETER = re.compile(r"^  ([a-z][a-z_0-9, ]*?)  +(\S.*)$")
WORD = re.compile(r"`[^`]*`|\b(?:(?:struct|enum) )?whorl_[a-z0-9_]+\b|\b__[a-z]+__\b|\bWHORL_[A-Z_0-9]+\b|-E[A-Z0-9]+\b|\*")


class Item:
    """A comment and what it stands above."""

    def __init__(self, comment, code):
        self.comment, self.code = comment, code
        self.functions = FUNCTION.findall(code) if code.startswith("WHORL_API") else []
        kind = TYPE.match(code)
        known = kind and (comment or not is_noise(code))
        self.type = (kind.group(1) or kind.group(0)) if known else None

    def summary(self):
        """What the function is for, in one line."""
        text = " ".join(first_paragraph(self.comment))
        text = re.sub(r"^(whorl_[a-z0-9_]+(, )?)+ - ", "", text)
        text = re.match(r".*?\.(?= |$)|.*", text).group(0)
        return text[:1].upper() + text[1:]


def first_paragraph(lines):
    return lines[:lines.index("")] if "" in lines else lines


def comment_text(lines):
    """The lines of a comment without its marks; the indentation behind them stays."""
    text = "\n".join(lines).strip()[2:-2].split("\n")
    text = [re.sub(r"^ \* ?", "", line).rstrip() for line in text]
    text[0] = text[0].strip()
    while text and not text[0]:
        text.pop(0)
    while text and not text[-1]:
        text.pop()
    return text


def take_comment(lines, at):
    end = at
    while "*/" not in lines[end]:
        end += 1
    return comment_text(lines[at:end + 1]), end + 1


def take_code(lines, at):
    """Up to a blank line, or the next comment, outside of braces."""
    code, depth = [], 0
    while at < len(lines) and (depth > 0 or (lines[at].strip() and not lines[at].startswith("/*"))):
        depth += lines[at].count("{") - lines[at].count("}")
        code.append(lines[at])
        at += 1
    return "\n".join(code), at


def is_noise(code):
    """Of no use to a reader: guards, includes, and the names of types that other headers have."""
    return all(re.match(r"#(ifndef|define) WHORL_\w+_H$|#include|#endif$|WHORL_(BEGIN|END)$"
                        r"|struct \w+;$|$", line) for line in code.split("\n"))


def items_of(header):
    lines, at, items = header.read_text().split("\n"), 0, []
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        comment = []
        if lines[at].startswith("/*"):
            comment, at = take_comment(lines, at)
        code, at = take_code(lines, at)
        if comment or not is_noise(code):
            items.append(Item(comment, code))
    return items


class Pages:
    def __init__(self):
        headers = sorted((ROOT / "include/whorl").glob("*.h"))
        self.headers = {header.stem: items_of(header) for header in headers}
        self.page_of = {name: page for page, items in self.headers.items() for item in items
                        for name in item.functions + [item.type] if name}

    def link(self, name, folder=""):
        return f"{folder}{self.page_of[name]}.md#{name.replace(' ', '-')}"

    def prose(self, text):
        def mark(found):
            word = found.group(0)
            if word == "*":
                return r"\*"
            if word.startswith("`"):
                return word
            return f"[`{word}`]({self.link(word)})" if word in self.page_of else f"`{word}`"
        text = re.sub(r"([<>|])", r"\\\1", text)
        return WORD.sub(mark, text)

    def facts(self, text):
        parts = FACT.split(text)
        rows = []
        for key, value in zip(parts[1::2], parts[2::2]):
            value = self.prose(re.sub(r"\s+", " ", value).strip())
            if key == "Source":
                value = f"[{value}](../../{value})"
            rows.append(f"- {key}: {value}")
        return rows

    def parameters(self, lines):
        rows = []
        for line in lines:
            found = PARAMETER.match(line)
            if found:
                rows.append([found.group(1), found.group(2)])
            else:
                rows[-1][1] += " " + line.strip()
        return [f"- `{name}`: {self.prose(text)}" for name, text in rows]

    def paragraph(self, lines):
        if FACT.match(lines[0]):
            return self.facts(" ".join(lines))
        if all(line.startswith("     ") for line in lines):
            return ["```c"] + [line[5:] for line in lines] + ["```"]
        if PARAMETER.match(lines[0]):
            return self.parameters(lines)
        inner = next((at for at, line in enumerate(lines) if at and FACT.match(line)), len(lines))
        text = [self.prose(" ".join(line.strip() for line in lines[:inner]))]
        return text + ([""] + self.facts(" ".join(lines[inner:])) if inner < len(lines) else [])

    def comment(self, lines):
        out, paragraph = [], []
        for line in lines + [""]:
            if line:
                paragraph.append(line)
            elif paragraph:
                # A blank line inside an example is part of it.
                rendered = self.paragraph(paragraph)
                if out and out[-2:] == ["```", ""] and rendered[0] == "```c":
                    out[-2:] = [""] + rendered[1:] + [""]
                else:
                    out += rendered + [""]
                paragraph = []
        return out

    def item(self, item):
        out = []
        section = item.comment and re.match(r"---- (.*) ----$", item.comment[0])
        if section:
            title = section.group(1)
            return [f"## {title[0].upper()}{title[1:]}", ""]
        for name in item.functions:
            out += [f"### {name}", ""]
        if item.type:
            out += [f"### {item.type}", ""]
        if item.code and not is_noise(item.code):
            out += ["```c", item.code, "```", ""]
        comment = list(item.comment)
        if comment and item.functions:
            comment[0] = re.sub(r"^(whorl_[a-z0-9_]+(, )?)+ - ", "", comment[0])
            comment[0] = comment[0][:1].upper() + comment[0][1:]
        return out + self.comment(comment)

    def page(self, name):
        items = self.headers[name]
        intro = re.sub(r"^\w+\.h - ", "", items[0].comment[0])
        out = [f"# {name}.h", "",
               f"Made from [include/whorl/{name}.h](../../include/whorl/{name}.h) by "
               "`docs/reference/make.py`; changes are made there. [All functions](README.md).", ""]
        out += self.comment([intro[:1].upper() + intro[1:]] + items[0].comment[1:])
        for item in items[1:]:
            out += self.item(item)
        return "\n".join(out).rstrip() + "\n"

    def index(self):
        out = ["# Reference", "",
               "Every public function and type, by header; made from the comments in "
               "[include/whorl](../../include/whorl) by `docs/reference/make.py`.", ""]
        for name, items in self.headers.items():
            title = re.sub(r"^\w+\.h - ", "", " ".join(first_paragraph(items[0].comment)))
            out += [f"## [{name}.h]({name}.md)", "", self.prose(title[:1].upper() + title[1:]), ""]
            rows = [f"| [`{word}`]({self.link(word)}) | {self.prose(item.summary())} |"
                    for item in items for word in item.functions + [item.type] if word]
            if rows:
                out += ["| | |", "| --- | --- |"] + rows + [""]
        return "\n".join(out).rstrip() + "\n"

    def linked(self, page):
        """page with a definition for each function that it links to."""
        text = page.read_text().split(LINKS_BEGIN)[0].rstrip() + "\n"
        names = sorted(set(re.findall(r"\]\[((?:struct |enum )?whorl_[a-z0-9_]+)\]", text)))
        unknown = [name for name in names if name not in self.page_of]
        if unknown:
            sys.exit(f"{page.relative_to(ROOT)}: the reference has no {', '.join(unknown)}")
        links = [f"[{name}]: {self.link(name, '../reference/')}" for name in names]
        return "\n".join([text, LINKS_BEGIN, ""] + links) + "\n"

    def all(self):
        made = {HERE / f"{name}.md": self.page(name) for name in self.headers}
        made[HERE / "README.md"] = self.index()
        made.update({page: self.linked(page) for page in LINKED})
        return made


def main():
    made = Pages().all()
    stale = [page for page, text in made.items() if not page.exists() or page.read_text() != text]
    surplus = [page for page in HERE.glob("*.md") if page not in made]
    if sys.argv[1:] == ["--check"]:
        for page in stale + surplus:
            print(f"not current: {page.relative_to(ROOT)}: run docs/reference/make.py")
        sys.exit(1 if stale or surplus else 0)
    for page in stale:
        page.write_text(made[page])
    for page in surplus:
        page.unlink()


if __name__ == "__main__":
    main()
