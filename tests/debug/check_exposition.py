#!/usr/bin/env python3
# check_exposition.py - whether standard input is Prometheus text exposition 0.0.4, strictly.
#
# First by rules of our own, which ask more than a parser does: HELP and TYPE once for each name, in
# front of its samples, which stand together; counters end in _total and are integers; no sample
# twice. Then, where it is installed, by the parser of Prometheus' own Python client. Prints a line a
# fault and what was found; exit code 0: all is well.
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(r"^(%s)(\{[^{}]*\})? (\S+)$" % NAME)
LABELS = re.compile(r'^\{([a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*")'
                    r'(?:,([a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"))*\}$')

faults = []


def fault(number, text):
    faults.append("line %d: %s" % (number, text))


def check_header(number, line, families):
    match = re.match(r"^# (HELP|TYPE) (%s) (.+)$" % NAME, line)
    if match is None:
        fault(number, "neither HELP nor TYPE: " + line)
        return
    kind, name, rest = match.groups()
    family = families.setdefault(name, {"samples": 0})
    if kind in family:
        fault(number, "a second %s of %s" % (kind, name))
    if family["samples"] > 0:
        fault(number, "%s of %s after its samples" % (kind, name))
    if kind == "TYPE" and rest not in ("counter", "gauge"):
        fault(number, "no type of ours: " + rest)
    family[kind] = rest


def check_sample(number, line, families, seen, order):
    match = SAMPLE.match(line)
    if match is None or (match.group(2) and LABELS.match(match.group(2)) is None):
        fault(number, "no sample: " + line)
        return
    name, labels, value = match.groups()
    family = families.get(name)
    if family is None or "HELP" not in family or "TYPE" not in family:
        fault(number, "no HELP or TYPE in front of " + name)
        return
    family["samples"] += 1
    if (name, labels) in seen:
        fault(number, "twice: %s%s" % (name, labels))
    seen.add((name, labels))
    if order and order[-1] != name and name in order:
        fault(number, "samples of %s do not stand together" % name)
    order.append(name)
    if not re.match(r"^[0-9]+$", value):
        fault(number, "not a whole number: " + value)
    if (family["TYPE"] == "counter") != name.endswith("_total"):
        fault(number, "counters, and nothing else, end in _total: " + name)


def check(text):
    families, seen, order = {}, set(), []
    if not text.endswith("\n"):
        fault(0, "the last line has no end")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        if line.startswith("#"):
            check_header(number, line, families)
        else:
            check_sample(number, line, families, seen, order)
    for name, family in families.items():
        if family["samples"] == 0:
            fault(0, "no sample of " + name)
    return len(families), len(order)


def check_by_client(text, samples):
    try:
        from prometheus_client.parser import text_string_to_metric_families
    except ImportError:
        return "python3-prometheus-client is not installed"
    try:
        parsed = sum(len(family.samples) for family in text_string_to_metric_families(text))
    except ValueError as error:
        fault(0, "the client's parser: %s" % error)
        return "the client's parser does not"
    if parsed != samples:
        fault(0, "the client's parser finds %d samples, not %d" % (parsed, samples))
    return "the client's parser agrees"


text = sys.stdin.read()
names, samples = check(text)
verdict = check_by_client(text, samples)
print("\n".join(faults + ["%d names, %d samples; %s" % (names, samples, verdict)]))
sys.exit(1 if faults or samples == 0 else 0)
