/*
 * trace.c - the interleaving of one execution, a column for each thread.
 *
 * Owns:       the lines.
 * Invariant:  filled only while engine.tracing, when a failed execution is run once more.
 */
#include "model/engine/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINES_MAX = 1 << 13, TEXT_MAX = 200 };

static struct {
    unsigned thread;
    bool step; /* has a number */
    char text[TEXT_MAX];
} lines[LINES_MAX];
static unsigned line_count;
static unsigned lines_lost;

void trace_reset(void)
{
    line_count = 0;
    lines_lost = 0;
}

static void add_line(unsigned thread, bool step, const char *text)
{
    if (line_count == LINES_MAX) {
        lines_lost++;
        return;
    }
    lines[line_count].thread = thread;
    lines[line_count].step = step;
    const size_t whole = strlen(text);
    const size_t length = whole < TEXT_MAX ? whole : TEXT_MAX - 1;
    memcpy(lines[line_count].text, text, length);
    lines[line_count].text[length] = 0;
    line_count++;
}

static const char *value_text(uint64_t value, char *ret_text, size_t bytes_max)
{
    if (!heap_describe(value, ret_text, bytes_max)) {
        (void)snprintf(ret_text, bytes_max, value < 100000 ? "%llu" : "%#llx",
                       (unsigned long long)value);
    }
    return ret_text;
}

/* The text of the argument without what ck's macros put around it. */
static const char *field_text(const char *field, char *ret_text, size_t bytes_max)
{
    const char *const cast = strncmp(field, "(void", 5) == 0 ? strstr(field, ")(") : NULL;
    const char *start = cast != NULL ? cast + 2 : field;
    start += *start == '&';
    (void)snprintf(ret_text, bytes_max, "%s", start);
    const size_t length = strlen(ret_text);
    if (cast != NULL && length > 0 && ret_text[length - 1] == ')') {
        ret_text[length - 1] = 0;
    }
    return ret_text;
}

/* What the operation did, after its name. */
static void describe_effect(char *text, size_t bytes_max, const struct whorl__site *site,
                            uint64_t read, uint64_t written, enum model_mark mark, unsigned detail)
{
    char old[40];
    char new[40];
    value_text(read, old, sizeof(old));
    value_text(written, new, sizeof(new));
    static const char *const stale = " (old: %u newer)";
    char note[60] = "";
    if (mark == MODEL_MARK_STALE || (mark == MODEL_MARK_FAILED && detail > 0)) {
        (void)snprintf(note, sizeof(note), stale, detail);
    } else if (mark == MODEL_MARK_BUFFERED) {
        (void)snprintf(note, sizeof(note), " (to the buffer)");
    } else if (mark == MODEL_MARK_FORWARDED) {
        (void)snprintf(note, sizeof(note), " (from the buffer)");
    } else if (mark == MODEL_MARK_INSERTED) {
        (void)snprintf(note, sizeof(note), " (before %u newer)", detail);
    }
    switch (site->op) {
    case WHORL__OP_LOAD:
        (void)snprintf(text, bytes_max, " = %s%s", old, note);
        break;
    case WHORL__OP_STORE:
        (void)snprintf(text, bytes_max, " := %s%s", new, note);
        break;
    case WHORL__OP_FENCE:
    case WHORL__OP_PLAIN_READ:
    case WHORL__OP_PLAIN_WRITE:
    case WHORL__OP_PLAIN_COPY:
        text[0] = 0;
        break;
    default:
        if (mark == MODEL_MARK_FAILED) {
            (void)snprintf(text, bytes_max, ": fails, is %s%s", old, note);
        } else {
            (void)snprintf(text, bytes_max, ": %s -> %s%s", old, new, note);
        }
    }
}

void trace_operation(const struct whorl__site *site, const struct model_location *location,
                     uint64_t read, uint64_t written, enum model_mark mark, unsigned detail)
{
    if (!engine.tracing) {
        return;
    }
    char field[80] = "";
    char effect[140];
    char text[TEXT_MAX * 2];
    if (location != NULL && !trace_name(location->address, field, sizeof(field))) {
        field_text(site->field, field, sizeof(field));
    }
    describe_effect(effect, sizeof(effect), site, read, written, mark, detail);
    const unsigned order = site->weakened != 0 ? site->weakened - 1U : site->order;
    const bool plain = site->op >= WHORL__OP_PLAIN_READ;
    (void)snprintf(text, sizeof(text), "%s:%d %s%s%s%s%s%s%s", sites_short_file(site->file),
                   site->line, sites_op_name(site->op), plain ? "" : " ",
                   plain ? "" : sites_order_name(order), field[0] != 0 ? " " : "", field, effect,
                   site->weakened != 0 ? " [weakened]" : "");
    add_line(engine.current->index, true, text);
}

void trace_flush(const struct model_thread *owner, const struct model_location *location,
                 uint64_t value)
{
    if (!engine.tracing) {
        return;
    }
    char field[80];
    char number[40];
    char text[TEXT_MAX];
    if (!trace_name(location->address, field, sizeof(field))) {
        field_text(location->name, field, sizeof(field));
    }
    (void)snprintf(text, sizeof(text), "~ %s := %s leaves the buffer", field,
                   value_text(value, number, sizeof(number)));
    add_line(owner->index, false, text);
}

void trace_text(const char *text)
{
    if (engine.tracing && engine.current != NULL) {
        add_line(engine.current->index, false, text);
    }
}

void model_note(const char *format, ...)
{
    if (!engine.tracing) {
        return;
    }
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    trace_text(text);
}

/* ---- names that a model gives to addresses ---- */

enum { NAMES_MAX = 64 };

static struct {
    const void *address;
    const char *name;
} names[NAMES_MAX];
static unsigned name_count;

void trace_forget_names(void)
{
    name_count = 0;
}

void model_name(const void *address, const char *name)
{
    if (engine.tracing && name_count < NAMES_MAX) {
        names[name_count].address = address;
        names[name_count].name = name;
        name_count++;
    }
}

bool trace_name(const void *address, char *ret_text, size_t bytes_max)
{
    for (unsigned i = 0; i < name_count; i++) {
        if (names[i].address == address) {
            (void)snprintf(ret_text, bytes_max, "%s", names[i].name);
            return true;
        }
    }
    return false;
}

/* ---- printing ---- */

/* A part of the text that fits the column, broken at a space if there is one. */
static size_t part_length(const char *text, size_t width)
{
    const size_t length = strlen(text);
    if (length <= width) {
        return length;
    }
    for (size_t i = width; i > width / 2; i--) {
        if (text[i] == ' ') {
            return i;
        }
    }
    return width;
}

static void print_line(unsigned number, unsigned line, unsigned width, unsigned columns)
{
    const unsigned column = lines[line].thread < columns ? lines[line].thread : 0;
    const char *text = lines[line].text;
    char label[12] = "";
    if (lines[line].step) {
        (void)snprintf(label, sizeof(label), "%u", number);
    }
    do {
        const size_t length = part_length(text, width);
        printf("%5s  %*s%.*s\n", label, (int)(column * (width + 2)), "", (int)length, text);
        text += length;
        text += *text == ' ';
        label[0] = 0;
    } while (*text != 0);
}

/* setup and finish are told in the first column, between rules. */
static void print_rule(const char *what)
{
    printf("       -- %s --\n", what);
}

void trace_print(void)
{
    const unsigned columns = engine.thread_count;
    const unsigned width = columns <= 2 ? 50 : columns == 3 ? 40 : 32;
    printf(" step");
    for (unsigned i = 0; i < columns; i++) {
        printf("  thread %-*u", i + 1 < columns ? (int)width - 7 : 0, i);
    }
    printf("\n");
    unsigned number = 0;
    bool in_main = false;
    bool begun = false;
    for (unsigned i = 0; i < line_count; i++) {
        const bool main = lines[i].thread == MODEL_MAIN;
        if (main != in_main || i == 0) {
            print_rule(!main ? "threads" : begun ? "finish" : "setup");
        }
        begun |= !main;
        in_main = main;
        number += lines[i].step;
        print_line(number, i, width, columns);
    }
    if (lines_lost > 0) {
        printf("       ... and %u more lines\n", lines_lost);
    }
}
